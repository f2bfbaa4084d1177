"""Published policies: files are published here by compare-and-set; control reads only this."""

from typing import Any

from sqlalchemy import Select, func, select

from driftd.errors import DriftdError
from driftd.store.database import Database, added
from driftd.store.rows import PolicyRow
from driftd.store.schema import policy

PUBLISH_TRIES = 5


class MovedError(DriftdError):
    """Another revision of the policy is in force than the one that was expected."""

    def __init__(self, model: str, expected: int, in_force: int) -> None:
        known = f"revision {in_force} is in force" if in_force else "no policy is in force"
        super().__init__(f"{model}: {known}, not the expected revision {expected}")
        self.in_force = in_force


class Policies:
    """``store.policies``. Revisions of a model count from 1 and are never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def publish(
        self,
        model: str,
        text: str,
        digest: str,
        by: str,
        spec_json: bytes,
        *,
        expect: int | None = None,
    ) -> int:
        """Make this text the model's policy; the same digest as now keeps the same revision.

        ``expect``: the revision that must be in force (0: none); raises ``MovedError`` if another is.
        """
        query = _newest(model)
        for _ in range(PUBLISH_TRIES):
            with self._database.writing() as connection:
                row = connection.execute(query).mappings().one_or_none()
                if row is not None and row["digest"] == digest:
                    return int(row["revision"])
                in_force = 0 if row is None else int(row["revision"])
                if expect is not None and expect != in_force:
                    raise MovedError(model, expect, in_force)
                new = {
                    "model": model,
                    "revision": in_force + 1,
                    "digest": digest,
                    "text": text,
                    "by": by,
                    "spec_json": spec_json,
                    "wall_at": self._database.now(),
                }
                if added(connection, policy, new):
                    return in_force + 1
        raise RuntimeError(f"policy of {model}: {PUBLISH_TRIES} others published at this moment")

    def current(self, model: str) -> PolicyRow | None:
        """The newest revision of the model's policy, or None."""
        with self._database.reading() as connection:
            row = connection.execute(_newest(model)).mappings().one_or_none()
        return None if row is None else PolicyRow(**row)

    def revision_of(self, model: str, digest: str) -> int:
        """The newest revision of the model that had this content, or 0."""
        query = select(func.max(policy.c.revision)).where(
            policy.c.model == model, policy.c.digest == digest
        )
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one_or_none() or 0)

    def heads(self) -> dict[str, tuple[int, str]]:
        """model -> (revision, digest) in force, without the texts."""
        newest = _newest_of_all()
        query = select(policy.c.model, policy.c.revision, policy.c.digest).join(
            newest,
            (policy.c.model == newest.c.model) & (policy.c.revision == newest.c.revision),
        )
        with self._database.reading() as connection:
            return {row.model: (int(row.revision), row.digest) for row in connection.execute(query)}

    def all(self) -> list[PolicyRow]:
        """The newest revision of every model, by name."""
        newest = _newest_of_all()
        query = (
            select(policy)
            .join(
                newest,
                (policy.c.model == newest.c.model) & (policy.c.revision == newest.c.revision),
            )
            .order_by(policy.c.model)
        )
        with self._database.reading() as connection:
            return [PolicyRow(**row) for row in connection.execute(query).mappings()]


def _newest(model: str) -> Select[Any]:
    return select(policy).where(policy.c.model == model).order_by(policy.c.revision.desc()).limit(1)


def _newest_of_all() -> Any:
    return (
        select(policy.c.model, func.max(policy.c.revision).label("revision"))
        .group_by(policy.c.model)
        .subquery()
    )
