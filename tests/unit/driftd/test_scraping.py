"""A worker's page beside a store that does not answer: it is shown at once, and says so."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import generate_latest

from driftd.clock import steady_now
from driftd.daemon import Daemon
from driftd.metrics import Metrics
from driftd.scraping import show_worker
from driftd.store.migrate import migrate
from driftd.store.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    url = f"sqlite:///{tmp_path / 'driftd.db'}"
    migrate(url)
    return open_store(url)


def shown(store: Store, **differently: Any) -> tuple[str, list[str]]:
    """The second page, which shows what the first one cost, and what was read for both."""
    asked: list[str] = []

    def specs() -> dict[str, Any]:
        asked.append("specs")
        return {}

    parts = {
        "metrics": Metrics(),
        "store": store,
        "book": SimpleNamespace(specs=specs),
        "ownership": SimpleNamespace(owns=lambda _: True),
        "policies": SimpleNamespace(refused=frozenset({"a.yaml"})),
        "link": SimpleNamespace(trouble=""),
        "control": SimpleNamespace(last_step=steady_now() - 5),
        "ingest": None,
        "started": True,
        "store_trouble": "",
        "not_ready": tuple,
    }
    daemon = SimpleNamespace(**{**parts, **differently})
    show_worker(cast("Daemon", daemon))
    generate_latest(daemon.metrics.registry)
    return generate_latest(daemon.metrics.registry).decode(), asked


def test_a_worker_shows_itself_and_its_store(store: Store) -> None:
    page, asked = shown(store)
    store.close()

    assert asked == ["specs", "specs"]
    assert "driftd_ready 1.0" in page
    assert "driftd_store_up 1.0" in page
    assert "driftd_policy_files_refused 1.0" in page
    assert 'driftd_outside_up{system="store"} 1.0' in page
    assert 'driftd_stalled_seconds{part="control"}' in page
    assert 'driftd_stalled_seconds{part="ingest"}' not in page
    assert 'driftd_store_seconds_count{kind="read"} 1.0' in page


def test_a_store_that_is_known_to_be_away_is_not_asked(store: Store) -> None:
    page, asked = shown(
        store, store_trouble="store: no answer", not_ready=lambda: ("the store is away",)
    )
    store.close()

    assert asked == []
    assert "driftd_ready 0.0" in page
    assert "driftd_store_up 0.0" in page
    assert 'driftd_outside_up{system="store"} 0.0' in page
