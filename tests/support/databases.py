"""Stores for tests: a new SQLite file, or an emptied database of a real PostgreSQL."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from driftd.store.migrate import migrate
from driftd.store.schema import metadata
from stack.postgres import Postgres

KINDS = ("sqlite", "postgresql")
_NAME = f"contract_{os.getpid()}"
_EMPTY = "".join(f'DELETE FROM "{table.name}";' for table in metadata.sorted_tables)
_ready: dict[str, str] = {}
_migrated = bytearray()


def sqlite_url(folder: Path) -> str:
    """A new store in a file, its schema in place."""
    file = folder / "driftd.db"
    url = f"sqlite:///{file}"
    if "sqlite" in _ready:
        file.write_bytes(_migrated)
        return url
    _ready["sqlite"] = migrate(url)
    _migrated.extend(file.read_bytes())
    return url


@contextmanager
def postgresql_url(server: Postgres) -> Iterator[str]:
    """An empty store. One database serves all tests of this process, one after the other: to empty
    it takes a hundredth of what making one does."""
    url = server.url(_NAME)
    if url not in _ready:
        server.create(_NAME)
        _ready[url] = migrate(url)
    try:
        yield url
    finally:
        execute(url, f"{_EMPTY} UPDATE alembic_version SET version_num = '{_ready[url]}'")


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """One statement from outside, and its rows."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return list(cursor.fetchall()) if cursor.description else []
