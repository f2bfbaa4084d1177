"""The schema's way from version to version: Alembic, without a file of its own."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, func, select

from driftd.errors import MistakeError
from driftd.store.database import Database

_SCRIPTS = Path(__file__).parent / "migrations"
# Any number that nobody else locks: the letters "drif".
_LOCK = 0x64726966


def migrate(url: str) -> str:
    """Bring the store at ``url`` to this version's schema; returns the revision it stands at. One
    of a later version stays as it is."""
    database = Database(url)
    try:
        with database.writing() as connection:
            if connection.dialect.name == "postgresql":
                # Several workers may start at once; on SQLite the write lock makes them wait.
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            config = _config()
            revision = MigrationContext.configure(connection).get_current_revision()
            if revision is not None and not _known(ScriptDirectory.from_config(config), revision):
                # A later version was here. It only expanded what this one needs.
                return revision
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            return MigrationContext.configure(connection).get_current_revision() or ""
    finally:
        database.close()


def require_schema(connection: Connection) -> None:
    """Raise ``MistakeError`` unless the schema is this version's, or one that came after it."""
    revision = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(_config())
    if revision == scripts.get_current_head():
        return
    if revision is not None and not _known(scripts, revision):
        # Written by a later version, which only expands: the version before it runs on beside it.
        return
    raise MistakeError(
        f"the store's schema is at {revision or 'nothing'}, this version needs "
        f"{scripts.get_current_head()}; run: driftd migrate"
    )


def _known(scripts: ScriptDirectory, revision: str) -> bool:
    try:
        return scripts.get_revision(revision) is not None
    except CommandError:
        return False


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config
