"""Published policies: files are published here by compare-and-set; control reads only this."""

from typing import Any

from sqlalchemy import Select, func, select

from driftd.store.database import Database, insert
from driftd.store.rows import PolicyRow
from driftd.store.schema import policy

PUBLISH_TRIES = 5


class Policies:
    """``store.policies``. Revisions of a model count from 1 and are never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def publish(self, model: str, text: str, digest: str, by: str, spec_json: bytes) -> int:
        """Make this text the model's policy; the same digest as now keeps the same revision."""
        query = _newest(model)
        for _ in range(PUBLISH_TRIES):
            with self._database.writing() as connection:
                row = connection.execute(query).mappings().one_or_none()
                if row is not None and row["digest"] == digest:
                    return int(row["revision"])
                revision = 1 if row is None else int(row["revision"]) + 1
                new = insert(connection, policy).values(
                    model=model,
                    revision=revision,
                    digest=digest,
                    text=text,
                    by=by,
                    spec_json=spec_json,
                    wall_at=self._database.now(),
                )
                if connection.execute(new.on_conflict_do_nothing()).rowcount == 1:
                    return revision
        raise RuntimeError(f"policy of {model}: {PUBLISH_TRIES} others published at this moment")

    def current(self, model: str) -> PolicyRow | None:
        """The newest revision of the model's policy, or None."""
        with self._database.reading() as connection:
            row = connection.execute(_newest(model)).mappings().one_or_none()
        return None if row is None else PolicyRow(**row)

    def all(self) -> list[PolicyRow]:
        """The newest revision of every model, by name."""
        newest = (
            select(policy.c.model, func.max(policy.c.revision).label("revision"))
            .group_by(policy.c.model)
            .subquery()
        )
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
