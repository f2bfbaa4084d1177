"""Who is at work: signs of life in the store, and what people see of them."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from driftd.console.workers import ALIVE_S, notices_of, workers_table, workers_view
from driftd.store.migrate import migrate
from driftd.store.store import Store, open_store

NOW = 1_000.0


class Clock:
    """A wall clock that a test turns."""

    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/driftd.db"
    migrate(url)
    store = open_store(url, clock)
    yield store
    store.close()


def body(**more: Any) -> dict[str, Any]:
    """What a worker says of itself."""
    return {
        "version": "1.0", "api": "http://h:1", "models": [], "control_partitions": [],
        "source_partitions": 0, "lag": 0, "missing": [], "notices": [], **more,
    }  # fmt: skip


def shown(store: Store, clock: Clock) -> str:
    """The table as a terminal shows it."""
    page = io.StringIO()
    table = workers_table(workers_view(store.workers.all(), clock.now))
    Console(width=300, file=page).print(table)
    return page.getvalue()


def test_a_living_a_waiting_and_a_dead_worker_are_told_apart(store: Store, clock: Clock) -> None:
    store.workers.beat("dead-1", "control", NOW, body(models=["fraud"]))
    clock.now += ALIVE_S + 1
    store.workers.beat("good-1", "ingest", NOW, body(source_partitions=4, lag=1_234))
    store.workers.beat("late-1", "all", NOW, body(missing=["the group has given it nothing yet"]))

    view = {one["worker"]: one for one in workers_view(store.workers.all(), clock.now)}
    lines = {line.split()[0]: line for line in shown(store, clock).splitlines() if line.strip()}

    assert [view[name]["alive"] for name in ("dead-1", "good-1", "late-1")] == [False, True, True]
    assert view["dead-1"]["silent_s"] == ALIVE_S + 1
    assert "gone without a word" in lines["dead-1"]
    assert "fraud" in lines["dead-1"]
    assert "takes part" in lines["good-1"]
    assert "1,234" in lines["good-1"]
    assert "the group has given it nothing yet" in lines["late-1"]


def test_a_notice_is_shown_once_with_all_who_say_it(store: Store, clock: Clock) -> None:
    store.workers.beat("gone-1", "all", NOW, body(notices=["what the dead said"]))
    clock.now += ALIVE_S + 1
    for name in ("a-1", "b-1"):
        store.workers.beat(name, "all", NOW, body(notices=["fraud.yaml holds revision 1"]))

    view = workers_view(store.workers.all(), clock.now)

    assert notices_of(view) == ["fraud.yaml holds revision 1 (says a-1, b-1)"]


def test_who_leaves_is_forgotten_at_once_and_who_was_killed_in_the_end(store: Store) -> None:
    store.workers.beat("left-1", "all", NOW, body())
    store.workers.beat("killed-1", "all", NOW, body())

    store.workers.leave("left-1")
    store.workers.forget(NOW)
    assert [row.worker for row in store.workers.all()] == ["killed-1"]
    store.workers.forget(NOW + 1)
    assert store.workers.all() == []
