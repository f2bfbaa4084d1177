"""Every record counts once on PostgreSQL too, whoever is killed or stopped wherever; and what makes it
so is what the protocol says: without a compare the same writers count wrong."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Table, delete, update

from driftd.store import positions, writes
from driftd.store.rows import StepWrite
from driftd.store.schema import model_state, partial, position
from driftd.store.store import open_store
from stack.postgres import Postgres
from tests.support import fire
from tests.support.databases import execute, postgresql_url, sqlite_url

FIRE_S, CONTROL_S = 10.0, 3.0
ROLES = ("ingest", "ingest", "control", "control", "compact", "zombie")
# Longer than a session may be idle in a transaction: its locks are taken from it meanwhile.
STOPPED_S = 5.0


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    with postgresql_url(postgres) as url:
        fire.prepare(url)
        yield url


class Writer:
    """One process; a new one takes its place when it is killed."""

    def __init__(self, role: str, url: str, seed: int) -> None:
        self.command = [sys.executable, "-m", "tests.support.fire", role, url, str(seed)]
        self.role = role
        self.stopped_at: float | None = None
        self.process = subprocess.Popen(self.command)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def again(self) -> None:
        self.kill()
        self.process = subprocess.Popen([*self.command[:-1], str(self.process.pid)])
        self.stopped_at = None

    def look(self, now: float) -> bool:
        """Let one that stopped itself inside a transaction go on in time; whether it just did."""
        if self.stopped_at is None and self._is_stopped():
            self.stopped_at = now
        if self.stopped_at is not None and now - self.stopped_at > STOPPED_S:
            self.process.send_signal(signal.SIGCONT)
            self.stopped_at = None
            return True
        return False

    def _is_stopped(self) -> bool:
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"


def test_nothing_is_lost_or_doubled_under_fire(url: str) -> None:
    draw = random.Random(11)
    writers = [Writer(role, url, seed) for seed, role in enumerate(ROLES)]
    kills = zombies = cuts = 0
    try:
        until(lambda: progress(url) > 500, "the writers are at work", url)
        ends = time.monotonic() + FIRE_S
        while (now := time.monotonic()) < ends or not (kills and zombies and cuts):
            zombies += sum(writer.look(now) for writer in writers)
            chance = draw.random()
            if chance < 0.06:
                draw.choice(writers[:-1]).again()
                kills += 1
            elif chance < 0.09:
                execute(url, CUT)
                cuts += 1
            assert [one.role for one in writers if one.process.poll() is not None] == []
            time.sleep(0.1)
        before = progress(url)
        until(lambda: progress(url) > before, "they still are", url)
    finally:
        for writer in writers:
            writer.kill()
    store = open_store(url)
    assert fire.counted(store) == fire.truth(store)
    records = store.views.counts().records[fire.TOPIC]
    assert records == fire.truth(store).total() > 1_000
    closed = store.control.model_row(fire.MODEL).closed
    assert closed is not None
    assert closed > 0, "buckets were closed meanwhile"
    assert sum(late for *_, late in store.views.counts().panes) == 0, "in time is never late"
    store.close()


CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5"
)

SESSIONS = (
    "SELECT pid, state, wait_event, pg_blocking_pids(pid), left(query, 80), now() - xact_start "
    "FROM pg_stat_activity WHERE datname = current_database()"
)


def progress(url: str) -> int:
    [(total,)] = execute(url, "SELECT COALESCE(SUM(next_offset), 0)::bigint FROM position")
    assert isinstance(total, int)
    return total


def until(is_so: Callable[[], bool], what: str, url: str = "") -> None:
    # A bound for what hangs: six processes that start on a busy machine may take minutes.
    for _ in range(6_000):
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what}; sessions: {execute(url, SESSIONS) if url else ''}")


def play(url: str) -> bool:
    """The same writers as threads for a moment; whether all was counted right."""
    ends = time.monotonic() + CONTROL_S
    failed: list[BaseException] = []

    def guarded(role: str, seed: int) -> None:
        try:
            getattr(fire, role)(url, seed, lambda: time.monotonic() < ends)
        except BaseException as error:  # noqa: BLE001 - told below, in the thread that asserts
            failed.append(error)

    threads = [
        threading.Thread(target=guarded, args=(role, seed)) for seed, role in enumerate(ROLES[:5])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = open_store(url)
    good = fire.counted(store) == fire.truth(store)
    late = sum(late for *_, late in store.views.counts().panes)
    store.close()
    return good and not late and not failed


def test_the_writers_count_right_as_they_are(url: str) -> None:
    assert play(url)


def test_the_writers_count_right_on_sqlite(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    fire.prepare(url)
    assert play(url)


def test_without_the_compare_of_offsets_they_count_wrong(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loose = update(position).where(positions._COMPARE).values(positions._MOVE._values or {})
    monkeypatch.setattr(positions, "_MOVE", loose)
    assert not play(url)


def test_without_the_compare_of_the_revision_they_count_wrong(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compare(connection: Connection, write: StepWrite) -> None:
        mine = update(model_state).where(model_state.c.model == write.model)
        connection.execute(mine.values(revision=write.revision + 1, closed=write.closed))

    def no_count(connection: Connection, table: Table, ids: list[int]) -> None:
        connection.execute(delete(table).where(table.c.id.in_(ids)))

    monkeypatch.setattr(writes, "_compare_and_set", no_compare)
    monkeypatch.setattr(writes, "delete_all", no_count)
    assert not play(url)


def test_without_the_list_of_what_was_read_they_lose_what_came_meanwhile(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = writes._compare_and_set

    def delete_by_bucket(connection: Connection, write: StepWrite) -> None:
        compare(connection, write)
        connection.execute(delete(partial).where(partial.c.bucket <= (write.closed or 0.0)))

    monkeypatch.setattr(writes, "_compare_and_set", delete_by_bucket)
    monkeypatch.setattr(writes, "delete_all", lambda *_: None)
    assert not play(url)
