"""What Prometheus sees of owned models, and of a store that is away."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from agents.incidents import Incident
from agents.watching.state import Reading
from driftd.console.collector import StoreCollector
from driftd.console.model_series import STREAMS_MAX
from driftd.errors import UnreachableError
from driftd.store.rows import IncidentRow, StepWrite
from tests.support.control import MODEL, START, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.publish()
    bench.step()
    bench.settle()
    yield bench
    bench.store.close()


def scrape(bench: Bench, *, owned: bool = True) -> str:
    """One scrape as text."""
    registry = CollectorRegistry()
    registry.register(StoreCollector(bench.store, bench.book.specs, lambda _: owned, bench.metrics))
    return generate_latest(registry).decode()


def see(bench: Bench) -> None:
    """An open incident and the readings of many streams."""
    readings = [
        Reading(
            stream=f"f{i:02}", distance="ks", effect=0.1, tolerance=0.1, evidence=i / 20,
            state="quiet", panes=3, at=START,
        )
        for i in range(20)
    ]  # fmt: skip
    incident = Incident(
        incident_id="abc", model=MODEL, kind="data_fault", severity="warning", onset=START,
        opened=START, summary="a feed stopped",
    )  # fmt: skip
    row = bench.store.control.model_row(MODEL)
    write = StepWrite(
        model=MODEL,
        revision=row.revision,
        snapshot=row.snapshot,
        closed=START,
        readings=msgspec.json.encode(readings),
        incidents=(
            IncidentRow(
                incident_id="abc", model=MODEL, kind="data_fault", severity="warning",
                state="open", onset=START, opened=START, body=msgspec.json.encode(incident),
            ),
        ),
    )  # fmt: skip
    assert bench.store.control.commit(write)


def test_a_scrape_shows_stage_incidents_and_the_strongest_streams(bench: Bench) -> None:
    see(bench)
    page = scrape(bench)

    assert f'driftd_stage{{model="{MODEL}",stage="watching"}} 1.0' in page
    assert f'driftd_incidents_open{{kind="data_fault",model="{MODEL}",severity="warning"}} 1.0' in (
        page
    )
    assert f'driftd_stream_evidence{{model="{MODEL}",stream="f19"}} 0.95' in page
    assert page.count("driftd_stream_evidence{") == STREAMS_MAX
    assert f'driftd_closed_timestamp_seconds{{model="{MODEL}"}} 1.3594176e+09' in page


def test_models_of_other_workers_are_not_shown(bench: Bench) -> None:
    assert MODEL not in scrape(bench, owned=False)


def test_a_store_that_is_away_is_a_figure_and_no_failed_scrape(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise UnreachableError("store: away")

    monkeypatch.setattr(bench.store.scrapes, "read", away)

    assert "driftd_store_up 0.0" in scrape(bench)
