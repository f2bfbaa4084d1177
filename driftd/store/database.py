"""Connections and transactions on SQLite and PostgreSQL: one way to read, one way to write."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Table, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from driftd.clock import steady_now, wall_now
from driftd.errors import UnreachableError
from driftd.store.engine import WRITES, is_passing, make_engine, told

# Fewer than any driver's limit on the parameters of one statement.
IDS_A_STATEMENT = 500
# One for each SQLite file of this process: BEGIN IMMEDIATE alone polls, and polling is unfair.
_LOCKS: dict[str, AbstractContextManager[Any]] = {}


class LostError(Exception):
    """A compare failed: somebody else was here first. The transaction is rolled back."""


def _unwatched(_kind: str, _seconds: float, _failed: bool) -> None:
    """Nobody looks at how long transactions take."""


class Database:
    """One engine. Writers on SQLite pass one lock each process, then ``BEGIN IMMEDIATE``: a
    deferred transaction that reads and then writes fails at once with *database is locked*, which
    no busy time-out helps against."""

    def __init__(self, url: str, now: Callable[[], float] = wall_now) -> None:
        self.now = now
        self.watch: Callable[[str, float, bool], None] = _unwatched
        """Told of each transaction: read or write, its seconds, whether it failed."""
        self.engine = make_engine(url)
        # A view of several statements is one moment of the store. (A write needs no such snapshot:
        # rowcount decides, and losers then read what is committed by now.)
        self._reader = self.engine
        if self.engine.dialect.name == "postgresql":
            self._reader = self.engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        self._lock: AbstractContextManager[Any] = nullcontext()
        if self.engine.dialect.name == "sqlite":
            self._lock = _LOCKS.setdefault(os.path.realpath(self.engine.url.database or ""), Lock())

    def is_missing(self) -> bool:
        """Whether it is a file that is not there; to open it would make an empty one, perhaps in
        the wrong place."""
        file = self.engine.url.database or ""
        return self.engine.dialect.name == "sqlite" and not Path(file).exists()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One read transaction, all of which sees one moment. Raises UnreachableError."""
        with (
            self._watched("read"),
            _reached(),
            self._reader.connect() as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One write transaction, rolled back by any exception. Raises UnreachableError: whether it
        was committed is then unknown."""
        with self._watched("write"), _reached(), self._lock, self.engine.connect() as connection:
            connection = connection.execution_options(**{WRITES: True})  # noqa: PLW2901
            with connection.begin():
                yield connection

    def attempt(self, work: Callable[[Connection], None]) -> bool:
        """Do ``work`` in one transaction; False when it raised ``LostError``, nothing written."""
        try:
            with self.writing() as connection:
                work(connection)
        except LostError:
            return False
        return True

    @contextmanager
    def _watched(self, kind: str) -> Iterator[None]:
        began, failed = steady_now(), False
        try:
            yield
        except UnreachableError:
            failed = True
            raise
        finally:
            self.watch(kind, steady_now() - began, failed)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


@contextmanager
def _reached() -> Iterator[None]:
    """A store that is away, busy for too long, ends our session or takes back one of two that wait
    for each other: to be tried again."""
    try:
        yield
    except DBAPIError as error:
        if not is_passing(error):
            raise
        raise UnreachableError(told(error)) from error
    except PoolTimeoutError as error:
        raise UnreachableError("store: all connections of this worker are in use") from error


def insert(connection: Connection, table: Table) -> Any:
    """An INSERT that knows ON CONFLICT, in the words of the connection's dialect."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def added(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert ``row`` unless its key is there; whether it was inserted.

    What comes back says so: an INSERT's rowcount is unknown (-1) on PostgreSQL.
    """
    key = next(iter(table.primary_key))
    new = insert(connection, table).values(row).on_conflict_do_nothing().returning(key)
    return connection.execute(new).first() is not None


def put_all(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert ``rows``; one whose key is there replaces the other columns of the row."""
    if not rows:
        return
    statement = insert(connection, table)
    keys = [column.name for column in table.primary_key]
    news = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=news), list(rows))


def delete_all(connection: Connection, table: Table, ids: Sequence[int]) -> None:
    """Delete exactly the rows ``ids``; when one of them is gone already, all is lost."""
    for start in range(0, len(ids), IDS_A_STATEMENT):
        chunk = ids[start : start + IDS_A_STATEMENT]
        done = connection.execute(delete(table).where(table.c.id.in_(chunk)))
        if done.rowcount != len(chunk):
            raise LostError
