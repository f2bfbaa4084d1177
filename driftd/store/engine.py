"""The engine of each kind of database: sessions that end by themselves, errors that say what to do."""

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from driftd.errors import MistakeError
from driftd.store.cursor import PlainCursor

BUSY_TIMEOUT_MS = 10_000
# A worker that is stopped inside its transaction must not hold a partition's row for ever.
POSTGRESQL_OPTIONS = (
    "-c idle_in_transaction_session_timeout=4s -c lock_timeout=4s -c statement_timeout=10s"
)
# A server that vanished without a word is noticed within 11 s, long before a worker counts as hung.
POSTGRESQL_CONNECT: dict[str, Any] = {
    "connect_timeout": 3,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
WRITES = "driftd_writes"
# What passes by itself or by an administrator's hand. Class 25: the session was ended while idle, or
# a failover left us on a standby; 3D, 28, 42501: no such database, no such user, not allowed.
_PASSING = ("08", "25", "28", "3D", "40", "42501", "53", "55P03", "57", "58")
_ADVICE = (
    ("password", "give it in PGPASSWORD or in the file that PGPASSFILE names"),
    ('database "', "make it: CREATE DATABASE driftd OWNER driftd"),
    ("permission denied", "give the database to its user: ALTER DATABASE driftd OWNER TO driftd"),
    ("too many", "raise the server's max_connections, or run fewer workers"),
    ("connection slots", "raise the server's max_connections, or run fewer workers"),
    ("read-only transaction", "this server is a standby; the URL must name the primary"),
)


def make_engine(url: str) -> Engine:
    """An engine with the settings that the protocol of the store rests on.

    Raises ``MistakeError`` for a URL that cannot work; its text never shows a password.
    """
    parsed = parse_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _sqlite(parsed)
    if backend == "postgresql":
        return _postgresql(parsed)
    raise MistakeError(f"store: {backend} is not known; use sqlite:/// or postgresql+psycopg://")


def parse_url(url: str) -> URL:
    """The parts of a store's URL; ``postgres://`` and ``postgresql://`` mean the driver we have."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # What cannot be taken apart may hold a password anywhere: only its beginning is told.
        shown = url.partition(":")[0][:20]
        raise MistakeError(
            f"store: '{shown}…' is no database URL, e.g. sqlite:///driftd.db or "
            "postgresql+psycopg://driftd@db.example:5432/driftd (characters such as @ : / in a "
            "user's name or password are written as %40 %3A %2F)"
        ) from error
    if parsed.drivername in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def is_passing(error: DBAPIError) -> bool:
    """Whether the same statement may go well later: nothing in it is wrong."""
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None) or ""
    return state.startswith(_PASSING)


def told(error: DBAPIError) -> str:
    """What the database said, without the statement and its values, and what to do about it."""
    text = " ".join(str(error.orig).split())
    advice = next((then for words, then in _ADVICE if words in text), None)
    return f"store: {text}" if advice is None else f"store: {text}; {advice}"


def _sqlite(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise MistakeError("store: SQLite in memory would forget; name a file: sqlite:///driftd.db")
    engine = create_engine(
        url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000}, hide_parameters=True
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql(url: URL) -> Engine:
    if url.drivername != "postgresql+psycopg":
        raise MistakeError(f"store: {url.drivername} is not known; use postgresql+psycopg://")
    connect = {name: value for name, value in POSTGRESQL_CONNECT.items() if name not in url.query}
    mine = url.query.get("options", "")
    # What the URL says comes last and holds; what it leaves out is ours.
    connect["options"] = f"{POSTGRESQL_OPTIONS} {mine if isinstance(mine, str) else ' '.join(mine)}"
    connect["cursor_factory"] = PlainCursor
    if "application_name" not in url.query:
        connect["application_name"] = "driftd"
    return create_engine(
        url.difference_update_query(["options"]),
        # A server that was started anew is noticed before a statement is lost on it.
        pool_pre_ping=True,
        connect_args=connect,
        # What is counted is nobody's business in a log.
        hide_parameters=True,
    )


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
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
