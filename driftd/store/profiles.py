"""Reference profiles and baselines: what training looked like, what is normal."""

import hashlib

from sqlalchemy import Connection, func, select

from driftd.store.database import Database, put_all
from driftd.store.rows import ProfileRow, ProfileWrite
from driftd.store.schema import baseline, profile


class Profiles:
    """``store.profiles``. The newest row of a model is its current profile; old ones stay."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self, model: str) -> ProfileRow | None:
        """The model's current profile, or None."""
        with self._database.reading() as connection:
            return _current(connection, model)[0]

    def current_ids(self) -> dict[str, int]:
        """Model -> id of its current profile, for caches."""
        query = select(profile.c.model, func.max(profile.c.profile_id)).group_by(profile.c.model)
        with self._database.reading() as connection:
            return {model: int(newest) for model, newest in connection.execute(query)}

    def put(self, model: str, version: str, blob: bytes) -> int:
        """Make ``blob`` the model's current profile; the same one again keeps its id."""
        with self._database.writing() as connection:
            write = ProfileWrite(version=version, blob=blob)
            return put_profile(connection, model, write, self._database.now())


def put_profile(connection: Connection, model: str, write: ProfileWrite, now: float) -> int:
    """Insert unless the current profile is this one already; returns its id."""
    digest = hashlib.sha256(write.blob).hexdigest()
    row, known = _current(connection, model)
    if row is not None and row.version == write.version and known == digest:
        return row.profile_id
    new = profile.insert().values(
        model=model, version=write.version, digest=digest, blob=write.blob, wall_at=now
    )
    return int(connection.execute(new.returning(profile.c.profile_id)).scalar_one())


def put_baseline(connection: Connection, model: str, blob: bytes, now: float) -> None:
    """Replace the model's baseline."""
    put_all(connection, baseline, [{"model": model, "blob": blob, "wall_at": now}])


def _current(connection: Connection, model: str) -> tuple[ProfileRow | None, str]:
    query = (
        select(profile)
        .where(profile.c.model == model)
        .order_by(profile.c.profile_id.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None, ""
    names = ("profile_id", "model", "version", "blob")
    return ProfileRow(**{name: row[name] for name in names}), str(row["digest"])
