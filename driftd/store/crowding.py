"""Many small partials of one long bucket become few: ids are deleted and the sum of them inserted,
in one transaction with the model's state locked, so that a control step sees the one or the other."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, func, select

from driftd.store.database import Database, delete_all
from driftd.store.rows import PartialRow
from driftd.store.schema import model_state, partial

GROUPS_MAX = 100
# What is merged at once in memory.
BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """The partials of one arm in one bucket."""

    model: str
    version: str
    variant: str
    bucket: float
    rows: int


class Crowding:
    """``store.crowding``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def crowds(self, rows_min: int) -> list[Crowd]:
        """Arms and buckets with at least ``rows_min`` partials, the largest first."""
        key = (partial.c.model, partial.c.version, partial.c.variant, partial.c.bucket)
        count = func.count()
        query = select(*key, count.label("rows")).group_by(*key).having(count >= rows_min)
        query = query.order_by(count.desc()).limit(GROUPS_MAX)
        with self._database.reading() as connection:
            return [Crowd(**row) for row in connection.execute(query).mappings()]

    def parts(self, crowd: Crowd) -> list[tuple[int, PartialRow]]:
        """Its oldest rows with their ids, up to a bound of bytes but two at least."""
        ours = (
            partial.c.model == crowd.model,
            partial.c.bucket == crowd.bucket,
            partial.c.version == crowd.version,
            partial.c.variant == crowd.variant,
        )
        query = select(partial).where(*ours).order_by(partial.c.id)
        found: list[tuple[int, PartialRow]] = []
        held = 0
        with self._database.reading() as connection:
            for row in connection.execute(query.limit(crowd.rows)).mappings():
                held += len(row["blob"])
                if held > BYTES_MAX and len(found) > 1:
                    break
                plain = {name: row[name] for name in row if name != "id"}
                found.append((row["id"], PartialRow(**plain)))
        return found

    def replace(self, ids: Sequence[int], merged: Sequence[PartialRow]) -> bool:
        """Put ``merged`` in the place of exactly the rows ``ids``, all of one model; False, and
        nothing written, when one of them is gone."""

        def work(connection: Connection) -> None:
            # Control steps lock this row first as well: the two wait for each other, never deadlock.
            model = merged[0].model
            lock = select(model_state.c.revision).where(model_state.c.model == model)
            connection.execute(lock.with_for_update()).all()
            delete_all(connection, partial, ids)
            connection.execute(partial.insert(), [asdict(row) for row in merged])

        return self._database.attempt(work)
