"""The store's schema: put in place by a command, named when it is missing, left alone when newer."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from driftd.cli.main import build
from driftd.errors import MistakeError
from driftd.store.database import Database
from driftd.store.migrate import migrate
from driftd.store.store import open_store


def test_a_store_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    file = tmp_path / "driftd.db"

    with pytest.raises(MistakeError, match="driftd migrate"):
        open_store(f"sqlite:///{file}")

    assert not file.exists()


def test_migrate_makes_a_store_and_says_where_it_stands(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("store: sqlite:///driftd.db\n")

    ran = CliRunner().invoke(build(), ["migrate", "--settings", str(settings)])
    again = CliRunner().invoke(build(), ["migrate", "--settings", str(settings)])

    assert (ran.exit_code, again.exit_code) == (0, 0)
    assert ran.output == again.output
    open_store(f"sqlite:///{tmp_path}/driftd.db").close()


def test_a_store_of_a_later_version_is_left_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/driftd.db"
    migrate(url)
    database = Database(url)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'from_later'")
    database.close()

    assert migrate(url) == "from_later"
    open_store(url).close()
