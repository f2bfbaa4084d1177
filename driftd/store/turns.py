"""Work that all workers can do and one does: whose turn it is, by compare-and-set."""

from sqlalchemy import Connection, update

from driftd.store.database import Database, LostError, added
from driftd.store.schema import flag

_PREFIX = "turn:"


class Turns:
    """``store.turns``. A turn that its worker does not end or keep runs out by itself; so what is
    done in it must bear to be done twice. Workers' clocks may differ: by that much turns overlap."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, name: str, worker: str, lease_s: float) -> bool:
        """Whether it is this worker's turn now, for ``lease_s``: it is due, and nobody is at it."""
        now = self._database.now()
        mine = {"by": worker, "wall_at": now + lease_s}

        def work(connection: Connection) -> None:
            if added(connection, flag, {"name": f"{_PREFIX}{name}", **mine}):
                return
            due = flag.c.wall_at <= now
            _change(connection, update(flag).where(due), name, mine)

        with self._database.reading() as connection:
            query = flag.select().where(flag.c.name == f"{_PREFIX}{name}", flag.c.wall_at > now)
            if connection.execute(query).first() is not None:
                return False
        return self._database.attempt(work)

    def keep(self, name: str, worker: str, lease_s: float) -> bool:
        """Go on for ``lease_s`` from now; False when another has it: leave off."""
        return self._mine(name, worker, {"wall_at": self._database.now() + lease_s})

    def end(self, name: str, worker: str, rest_s: float) -> bool:
        """Done; the next turn, of whomever, is due in ``rest_s``."""
        return self._mine(name, worker, {"by": "", "wall_at": self._database.now() + rest_s})

    def _mine(self, name: str, worker: str, news: dict[str, object]) -> bool:
        ours = update(flag).where(flag.c.by == worker)
        return self._database.attempt(lambda connection: _change(connection, ours, name, news))


def _change(connection: Connection, statement: object, name: str, news: dict[str, object]) -> None:
    named = statement.where(flag.c.name == f"{_PREFIX}{name}").values(news)  # type: ignore[attr-defined]
    if connection.execute(named).rowcount != 1:
        raise LostError
