"""Connections and transactions on SQLite and PostgreSQL: one way to read, one way to write."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, delete, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from driftd.clock import wall_now
from driftd.errors import MistakeError, UnreachableError

BUSY_TIMEOUT_MS = 10_000
# Fewer than any driver's limit on the parameters of one statement.
IDS_A_STATEMENT = 500
# A worker that is stopped inside its transaction must not hold a partition's row for ever.
POSTGRESQL_OPTIONS = (
    "-c idle_in_transaction_session_timeout=4s -c lock_timeout=4s -c statement_timeout=10s"
)
_WRITES = "driftd_writes"
# One for each SQLite file of this process: BEGIN IMMEDIATE alone polls, and polling is unfair.
_LOCKS: dict[str, AbstractContextManager[Any]] = {}


class LostError(Exception):
    """A compare failed: somebody else was here first. The transaction is rolled back."""


class Database:
    """One engine. Writers on SQLite pass one lock each process, then ``BEGIN IMMEDIATE``: a
    deferred transaction that reads and then writes fails at once with *database is locked*, which
    no busy time-out helps against."""

    def __init__(self, url: str, now: Callable[[], float] = wall_now) -> None:
        self.now = now
        self.engine = make_engine(url)
        self._lock: AbstractContextManager[Any] = nullcontext()
        if self.engine.dialect.name == "sqlite":
            self._lock = _LOCKS.setdefault(os.path.realpath(self.engine.url.database or ""), Lock())

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One read transaction; on SQLite all of it sees one moment. Raises UnreachableError."""
        with _reached(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One write transaction, rolled back by any exception. Raises UnreachableError: whether it
        was committed is then unknown."""
        with _reached(), self._lock, self.engine.connect() as connection:
            connection = connection.execution_options(**{_WRITES: True})  # noqa: PLW2901
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

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


@contextmanager
def _reached() -> Iterator[None]:
    """A store that is away, busy for too long or ends our session: to be tried again."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        raise UnreachableError(f"store: {error}") from error


def make_engine(url: str) -> Engine:
    """An engine with the settings that the protocol of the store rests on."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise MistakeError(
            f"store: {url!r} is no database URL, e.g. sqlite:///driftd.db"
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise MistakeError(
                "store: SQLite in memory would forget; name a file: sqlite:///driftd.db"
            )
        engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if backend == "postgresql":
        return create_engine(
            parsed,
            pool_pre_ping=True,
            connect_args={"options": POSTGRESQL_OPTIONS, "connect_timeout": 3, "keepalives": 1},
        )
    raise MistakeError(f"store: {backend} is not known; use sqlite:/// or postgresql+psycopg://")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own idea of transactions is switched off; _begin_sqlite says when one starts.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    # With a write-ahead log NORMAL survives kill -9 of the process whole; only a power cut may take
    # the newest transactions, and then their offsets with them: they are read again.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def insert(connection: Connection, table: Table) -> Any:
    """An INSERT that knows ON CONFLICT, in the words of the connection's dialect."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


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
