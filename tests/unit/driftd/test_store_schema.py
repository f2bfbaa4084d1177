"""The store's schema: put in place by a command, named when it is missing, left alone when newer."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from typer.testing import CliRunner, Result

from driftd.cli.main import build
from driftd.errors import MistakeError, UnreachableError
from driftd.store import migrate as module
from driftd.store.database import Database
from driftd.store.migrate import look, migrate, upgrade
from driftd.store.schema import metadata
from driftd.store.store import open_store
from stack.postgres import Postgres
from tests.support.databases import KINDS, execute

HEAD = "0002"


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database, without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/driftd.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = f"schema_{tmp_path.name}"
    yield server.create(name)
    execute(server.url(), f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def settings(url: str, tmp_path: Path) -> Path:
    file = tmp_path / "settings.yaml"
    file.write_text(f"store: {url}\n")
    return file


def driftd_migrate(settings: Path, *more: str) -> Result:
    return CliRunner().invoke(build(), ["migrate", "--settings", str(settings), *more])


def write(url: str, *statements: str) -> None:
    database = Database(url)
    with database.writing() as connection:
        for statement in statements:
            connection.execute(text(statement))
    database.close()


def migrate_to(url: str, revision: str) -> None:
    """As an older version of driftd did."""
    database = Database(url)
    with database.writing() as connection:
        config = module._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    database.close()


def difference(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))


def test_a_store_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    file = tmp_path / "driftd.db"

    with pytest.raises(MistakeError, match="driftd migrate"):
        open_store(f"sqlite:///{file}")
    assert look(f"sqlite:///{file}").state == "behind"

    assert not file.exists()


def test_a_store_without_its_schema_says_what_to_run(url: str) -> None:
    if url.startswith("sqlite"):
        write(url, "CREATE TABLE other (x INTEGER)")
    with pytest.raises(MistakeError, match=r"nothing, this version needs .*; run: driftd migrate"):
        open_store(url)


def test_migrate_says_from_where_to_where_and_check_whether_it_is_due(settings: Path) -> None:
    due = driftd_migrate(settings, "--check")
    done = driftd_migrate(settings)
    again = driftd_migrate(settings)
    good = driftd_migrate(settings, "--check")

    told = [(one.exit_code, one.output.strip()) for one in (due, done, again, good)]
    assert told == [
        (1, f"the store is empty, this version needs {HEAD}; run: driftd migrate"),
        (0, f"the store was empty and is at {HEAD} now"),
        (0, f"the store is at {HEAD}, as this version needs it: nothing to do"),
        (0, f"the store is at {HEAD}, as this version needs it: nothing to do"),
    ]


def test_the_store_of_the_first_release_goes_on_with_all_that_it_holds(
    url: str, settings: Path
) -> None:
    migrate_to(url, "0001")
    write(
        url,
        "INSERT INTO request (request_id, wall_at) VALUES ('r', 1.0)",
        "INSERT INTO outbox (op_id, model, kind) VALUES ('op', 'm', 'train')",
    )
    with pytest.raises(MistakeError, match=f"is at 0001, this version needs {HEAD}"):
        open_store(url)
    assert driftd_migrate(settings, "--check").exit_code == 1

    done = driftd_migrate(settings)

    assert done.output.strip() == f"the store was at 0001 and is at {HEAD} now"
    store = open_store(url)
    assert [row.op_id for row in store.outbox.open("m")] == ["op"]
    assert not store.inbox.put("m", "operator", b"{}", "r")
    store.close()


def test_migrations_make_exactly_the_tables_and_indexes_of_the_schema(url: str) -> None:
    migrate(url)
    database = Database(url)
    assert difference(database.engine) == []
    found = inspect(database.engine)
    for table in metadata.sorted_tables:
        made = {index["name"] for index in found.get_indexes(table.name)}
        assert {index.name for index in table.indexes} <= made
    database.close()


def test_a_store_of_a_later_version_is_left_as_it_is(url: str, settings: Path) -> None:
    migrate(url)
    write(url, "UPDATE alembic_version SET version_num = '9999'")

    told = driftd_migrate(settings)

    assert (told.exit_code, driftd_migrate(settings, "--check").exit_code) == (0, 0)
    assert "at 9999, where a later version of driftd left it" in told.output
    assert migrate(url) == "9999"
    open_store(url).close()


def test_workers_that_start_at_once_migrate_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(upgrade, [url] * 4))

    assert sorted(before.state for before, _ in found) == ["behind", "here", "here", "here"]
    assert {after.revision for _, after in found} == {HEAD}


def test_a_migration_that_fails_leaves_the_store_where_it_was(url: str) -> None:
    migrate_to(url, "0001")
    write(url, "CREATE INDEX request_by_age ON request (wall_at)")

    with pytest.raises(Exception, match="request_by_age"):
        migrate(url)

    assert look(url).revision == "0001"
    database = Database(url)
    names = {index["name"] for index in inspect(database.engine).get_indexes("decision")}
    database.close()
    assert "decision_by_age" not in names, "it came before the one that failed"


def test_postgresql_keeps_blobs_in_a_cheap_form(postgres: Postgres) -> None:
    url = postgres.create("blobs")
    migrate(url)
    kept = execute(
        url,
        "SELECT attrelid::regclass::text, attcompression, attstorage FROM pg_attribute "
        "WHERE attname IN ('blob', 'snapshot') AND attrelid::regclass::text IN ('partial', 'pane', "
        "'model_state') ORDER BY 1",
    )
    lz4 = execute(
        url,
        "SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'default_toast_compression'",
    )
    how = ("l", "x") if lz4 == [(True,)] else ("", "e")
    assert kept == [("model_state", *how), ("pane", *how), ("partial", *how)]


def test_a_user_who_may_not_make_tables_is_told_who_must_own_the_database(
    postgres: Postgres,
) -> None:
    url = postgres.create("foreign")
    execute(url, "CREATE ROLE guest LOGIN PASSWORD 'guest'")
    guest = url.replace("//driftd:secret@", "//guest:guest@")

    with pytest.raises(UnreachableError, match="ALTER DATABASE driftd OWNER TO driftd"):
        migrate(guest)
