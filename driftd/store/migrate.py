"""The schema's way from version to version: Alembic, without a file of its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, func, select, text

from driftd.errors import MistakeError
from driftd.store.database import Database

_SCRIPTS = Path(__file__).parent / "migrations"
# Any number that nobody else locks: the letters "drif".
_LOCK = 0x64726966
# A table that somebody reads is waited for so long: behind a waiting migration all others wait too.
_LOCK_TABLE = "10s"
_LOCK_MIGRATION = "10min"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a store's schema stands, beside what this version of driftd needs.

    ``revision``: '' for an empty store. ``state``: ``behind`` (a migration is due), ``here``, or
    ``ahead``: a later version of driftd was here, which only adds to what this one needs.
    """

    revision: str
    needed: str
    state: Literal["behind", "here", "ahead"]


def migrate(url: str) -> str:
    """Bring the store at ``url`` to this version's schema; returns the revision it stands at. One
    of a later version stays as it is."""
    return upgrade(url)[1].revision


def upgrade(url: str) -> tuple[Standing, Standing]:
    """The same; where the store stood and where it stands. Several may do it at once: one does, the
    others wait. Raises ``UnreachableError``; then nothing was changed."""
    database = Database(url)
    try:
        with database.writing() as connection:
            if connection.dialect.name == "postgresql":
                _wait_for_turn(connection)
            before = _standing(connection)
            if before.state == "behind":
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
            return before, _standing(connection)
    finally:
        database.close()


def look(url: str) -> Standing:
    """Where the store stands; nothing is changed and no file is made. Raises ``UnreachableError``."""
    database = Database(url)
    try:
        if database.is_missing():
            return Standing(revision="", needed=_head(), state="behind")
        with database.reading() as connection:
            return _standing(connection)
    finally:
        database.close()


def require_schema(connection: Connection) -> None:
    """Raise ``MistakeError`` unless the schema is this version's, or one that came after it."""
    found = _standing(connection)
    if found.state == "behind":
        raise MistakeError(
            f"the store's schema is at {found.revision or 'nothing'}, this version needs "
            f"{found.needed}; run: driftd migrate"
        )


def _wait_for_turn(connection: Connection) -> None:
    # An index on a large table takes as long as it takes; the zombies' limits are not for it.
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_MIGRATION}'"))
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TABLE}'"))


def _standing(connection: Connection) -> Standing:
    revision = MigrationContext.configure(connection).get_current_revision() or ""
    scripts = ScriptDirectory.from_config(_config())
    needed = _head()
    if revision == needed:
        return Standing(revision=revision, needed=needed, state="here")
    ahead = bool(revision) and not _known(scripts, revision)
    return Standing(revision=revision, needed=needed, state="ahead" if ahead else "behind")


def _head() -> str:
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _known(scripts: ScriptDirectory, revision: str) -> bool:
    try:
        return scripts.get_revision(revision) is not None
    except CommandError:
        return False


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config
