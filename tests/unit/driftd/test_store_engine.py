"""Every way in which a database can be away or refuse: told in words, to be tried again, no secret."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, bindparam, make_url, select, text, update

from driftd.errors import MistakeError, UnreachableError
from driftd.store.database import Database
from driftd.store.engine import make_engine
from driftd.store.moves import Flush, Move
from driftd.store.rows import PartialRow
from driftd.store.schema import flag, model_state, position
from driftd.store.store import Store, open_store
from stack.postgres import PASSWORD, Postgres
from tests.support.databases import execute, postgresql_url, sqlite_url

MODELS = ("a", "b")


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    with postgresql_url(postgres) as url:
        yield url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url)
    yield store
    store.close()


def with_options(url: str, options: str) -> str:
    changed = make_url(url).update_query_dict({"options": options})
    return changed.render_as_string(hide_password=False)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "nonsense",
        "mysql://driftd:s3cret@localhost/x",
        "postgresql+asyncpg://driftd:s3cret@localhost/x",
        "postgresql+psycopg://driftd:s3cret@with@localhost:port/x",
    ],
)
def test_a_url_that_cannot_work_is_refused_with_a_better_one_and_without_its_password(
    url: str,
) -> None:
    with pytest.raises(MistakeError, match="store: ") as refused:
        make_engine(url)
    assert "s3cret" not in str(refused.value)
    assert "sqlite:///" in str(refused.value) or "postgresql+psycopg://" in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_usual_ways_to_write_postgresql_mean_the_driver_we_have(scheme: str) -> None:
    assert make_engine(f"{scheme}://driftd@db.example/driftd").url.drivername == (
        "postgresql+psycopg"
    )


def test_what_the_url_says_holds_over_what_we_set(url: str) -> None:
    database = Database(with_options(url, "-c lock_timeout=123ms"))
    with database.reading() as connection:
        said = [
            connection.execute(text(f"SHOW {name}")).scalar_one()
            for name in ("lock_timeout", "idle_in_transaction_session_timeout", "application_name")
        ]
    database.close()
    assert said == ["123ms", "4s", "driftd"]


def test_a_password_may_come_from_the_environment(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare = make_url(url)._replace(password=None).render_as_string()
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    with pytest.raises(UnreachableError, match="PGPASSWORD"):
        open_store(bare)

    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    open_store(bare).close()

    monkeypatch.delenv("PGPASSWORD")
    file = tmp_path / "pgpass"
    file.write_text(f"*:*:*:*:{PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", os.fspath(file))
    open_store(bare).close()


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"password": "s3cret"}, "PGPASSWORD"),
        ({"database": "nowhere"}, "CREATE DATABASE"),
        ({"port": 1}, "Is the server running"),
        ({"query": {"sslmode": "require"}}, "does not support SSL"),
    ],
    ids=["password", "database", "port", "TLS"],
)
def test_a_store_that_lets_nobody_in_says_why_and_what_to_do(
    url: str, change: dict[str, object], advice: str
) -> None:
    wrong = make_url(url).set(**change)  # type: ignore[arg-type]
    with pytest.raises(UnreachableError, match=advice) as told:
        open_store(wrong.render_as_string(hide_password=False))
    assert "s3cret" not in str(told.value)
    assert f":{PASSWORD}@" not in str(told.value)


def test_a_sqlite_store_that_is_locked_is_unreachable_not_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(sqlite_url(tmp_path))
    monkeypatch.setattr("driftd.store.engine.BUSY_TIMEOUT_MS", 10)
    other = open_store(f"sqlite:///{tmp_path}/driftd.db")
    with store.database.engine.connect() as holder:
        holder.exec_driver_sql("ROLLBACK")
        holder.exec_driver_sql("BEGIN EXCLUSIVE")
        with pytest.raises(UnreachableError, match="locked"):
            other.flags.set("f", "v", "me")
        holder.exec_driver_sql("ROLLBACK")
    other.flags.set("f", "v", "me")
    other.close()
    store.close()


def test_a_row_that_somebody_holds_is_waited_for_within_bounds(store: Store, url: str) -> None:
    store.ingest.discover({("t", 0): 0}, listed={})
    hasty = open_store(with_options(url, "-c lock_timeout=50ms"))
    flush = Flush(moves=(Move(topic="t", partition=0, lineage=0, old=0, new=1),))
    with store.database.writing() as holder:
        holder.execute(text("SELECT * FROM position FOR UPDATE"))
        with pytest.raises(UnreachableError, match="lock timeout"):
            hasty.ingest.flush(flush)
    assert hasty.ingest.flush(flush)
    hasty.close()


@pytest.mark.parametrize("rows", [1, 3])
def test_a_zombie_that_wakes_up_in_its_transaction_has_written_nothing(url: str, rows: int) -> None:
    """After many rows as after one: what follows the last of them must not stop the server's timer."""
    zombie = Database(with_options(url, "-c idle_in_transaction_session_timeout=50ms"))
    asleep = "SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction'"

    def work(connection: Connection) -> None:
        many = [{"name": f"before {n}"} for n in range(rows)]
        connection.execute(flag.insert(), many)
        for _ in range(1_000):
            if not execute(url, asleep):
                break
        connection.execute(text("INSERT INTO flag (name) VALUES ('after')"))

    with pytest.raises(UnreachableError):
        zombie.attempt(work)
    zombie.close()
    assert execute(url, "SELECT name FROM flag") == []


def test_connections_that_the_server_ended_are_made_anew(store: Store, url: str) -> None:
    store.flags.set("f", "1", "me")
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    execute(url, ended)

    assert store.flags.get("f") == "1"


def test_of_two_that_wait_for_each_other_one_is_told_to_try_again(store: Store) -> None:
    for name in MODELS:
        store.control.model_row(name)
    both, lost = threading.Barrier(2), []

    def take(first: str, second: str) -> None:
        try:
            with store.database.writing() as connection:
                for name in (first, second):
                    mine = update(model_state).where(model_state.c.model == name)
                    connection.execute(mine.values(revision=model_state.c.revision + 1))
                    if name == first:
                        both.wait()
        except UnreachableError as error:
            lost.append(str(error))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(take, MODELS, reversed(MODELS)))

    assert len(lost) == 1
    assert "deadlock detected" in lost[0]
    assert [store.control.model_row(name).revision for name in MODELS] == [1, 1]


def test_many_rows_say_how_many_of_them_were_hit(store: Store) -> None:
    store.ingest.discover({("t", n): 0 for n in range(3)}, listed={})
    rows = [{"p": n} for n in range(5)]
    with store.database.writing() as connection:
        hit = update(position).where(position.c.partition == bindparam("p")).values(gap=1)
        assert connection.execute(hit, rows).rowcount == 3
        assert connection.execute(text("UPDATE position SET gap = 2")).rowcount == 3


def test_a_view_of_several_statements_is_one_moment(store: Store) -> None:
    with store.database.reading() as connection:
        before = connection.execute(text("SELECT COUNT(*) FROM flag")).scalar_one()
        store.flags.set("f", "v", "me")
        after = connection.execute(text("SELECT COUNT(*) FROM flag")).scalar_one()
    assert before == after == 0


def test_what_no_error_may_show_is_not_shown(store: Store) -> None:
    with pytest.raises(Exception, match="null value") as broken, store.database.writing() as c:
        c.execute(model_state.insert().values(model="user-42@example.org", snapshot=None))
    assert "user-42" not in str(broken.value).partition("DETAIL")[0]


@pytest.mark.parametrize("name", ["a\x00b", "half \ud800", "ünï", "tab\t"])
def test_any_text_of_a_producer_can_be_stored_and_found_again(store_url: str, name: str) -> None:
    store = open_store(store_url)
    row = PartialRow(model=name, version=name, variant="champion", bucket=0.0, n=1, blob=b"\x00")
    assert store.ingest.flush(Flush(moves=(), partials=(row,)))

    store.control.model_row(name)
    found = store.control.work(name, (), -50.0, 10.0, None)

    assert [one.n for _, one in found.partials] == [1]
    with store.database.reading() as connection:
        assert len(connection.execute(select(model_state)).all()) == 1
    store.close()


def test_publishers_that_race_give_each_content_one_revision(store_url: str) -> None:
    def publish(number: int) -> int:
        own = open_store(store_url)
        revision = own.policies.publish("m", "text", f"d{number % 2}", "me", b"{}")
        own.close()
        return revision

    with ThreadPoolExecutor(4) as pool:
        revisions = list(pool.map(publish, range(12)))

    store = open_store(store_url)
    current = store.policies.current("m")
    assert current is not None
    assert set(revisions) == set(range(1, current.revision + 1)), "counted without a hole"
    store.close()


def test_one_request_of_many_at_once_is_taken(store_url: str) -> None:
    def ask(_number: int) -> bool:
        own = open_store(store_url)
        taken = own.inbox.put("m", "operator", b"{}", "r1")
        own.close()
        return taken

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(ask, range(8))) == 1

    store = open_store(store_url)
    assert store.views.pulse("m").inbox == 1
    store.close()
