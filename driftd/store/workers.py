"""Signs of life: one row a worker process, written by itself every few seconds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import delete, func, select

from driftd.store.database import Database, put_all
from driftd.store.schema import worker


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """One worker as it last told of itself; times are wall time, ``body`` is what it said."""

    worker: str
    role: str
    wall_started: float
    wall_seen: float
    body: dict[str, Any]


class Workers:
    """``store.workers``: who is alive."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def beat(self, name: str, role: str, started: float, body: Mapping[str, Any]) -> None:
        """A sign of life with what the worker has to say about itself."""
        row = {
            "worker": name,
            "role": role,
            "wall_started": started,
            "wall_seen": self._database.now(),
            "body": msgspec.json.encode(body),
        }
        with self._database.writing() as connection:
            put_all(connection, worker, [row])

    def alive(self, since: float) -> list[str]:
        """Workers that gave a sign of life at or after ``since`` (wall time)."""
        query = select(worker.c.worker).where(worker.c.wall_seen >= since)
        with self._database.reading() as connection:
            return sorted(connection.execute(query).scalars())

    def all(self) -> list[WorkerRow]:
        """Every worker that is remembered, by name: those that run, and those that were killed."""
        with self._database.reading() as connection:
            rows = connection.execute(select(worker).order_by(worker.c.worker)).mappings().all()
        return [WorkerRow(**{**row, "body": msgspec.json.decode(row["body"])}) for row in rows]

    def ahead_s(self) -> float:
        """How far our clock is ahead of the store's; 0 where the store has none of its own."""
        with self._database.reading() as connection:
            if connection.dialect.name != "postgresql":
                return 0.0
            before = self._database.now()
            theirs = connection.execute(select(func.extract("epoch", func.clock_timestamp())))
            return (before + self._database.now()) / 2 - float(theirs.scalar_one())

    def leave(self, name: str) -> None:
        """Forget a worker that has stopped in order."""
        with self._database.writing() as connection:
            connection.execute(delete(worker).where(worker.c.worker == name))

    def forget(self, before: float) -> None:
        """Forget the workers that gave no sign of life since ``before`` (wall time)."""
        with self._database.writing() as connection:
            connection.execute(delete(worker).where(worker.c.wall_seen < before))
