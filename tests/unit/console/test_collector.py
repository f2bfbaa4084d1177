"""What Prometheus sees of owned models, and of a store that is away."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import event

from agents.commands import AnyCommand, PublishDecisions
from agents.events import Outcome
from agents.incidents import Incident, Kind
from agents.watching.state import Reading
from driftd.clock import wall_now
from driftd.console.collector import StoreCollector
from driftd.console.model_series import STREAMS_MAX
from driftd.errors import UnreachableError
from driftd.metrics import COMMANDS, ENDS, INCIDENTS
from driftd.store.rows import IncidentRow, OutboxRow, StepWrite
from driftd.store.scrapes import Scraped
from tests.support.control import DAY, MODEL, POLICY, START, Answer, Bench


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


def test_counters_of_a_model_begin_at_0_and_go_with_it(bench: Bench) -> None:
    bench.metrics.decisions.labels(MODEL, "train").inc()

    assert f'driftd_decisions_total{{model="{MODEL}",what="train"}} 1.0' in scrape(bench)
    assert f'driftd_decisions_total{{model="{MODEL}",what="roll back"}} 0.0' in scrape(bench)
    assert f'driftd_late_events_total{{model="{MODEL}"}} 0.0' in scrape(bench)
    assert "driftd_decisions_total{" not in scrape(bench, owned=False)


def test_a_step_counts_what_it_closed(bench: Bench) -> None:
    answers = [
        Answer(id="a", ts=START + 60, label="late"),
        Answer(id="b", ts=START + 60, label="on_time"),
        Answer(id="c", ts=START + 60),
    ]
    bench.flush(answers, START + 3 * DAY)
    bench.step()
    page = scrape(bench)

    assert f'driftd_predictions_total{{model="{MODEL}",variant="champion"}} 3.0' in page
    assert f'driftd_prediction_errors_total{{model="{MODEL}",variant="champion"}} 0.0' in page
    assert f'driftd_labels_total{{model="{MODEL}",outcome="joined"}} 2.0' in page


def test_quality_and_label_arrival_come_from_what_has_matured(bench: Bench) -> None:
    before = scrape(bench)
    assert f'driftd_label_arrival_ratio{{model="{MODEL}"}} NaN' in before
    answers = [
        Answer(id="a", ts=START + 60, score=0.75, label="late"),
        Answer(id="b", ts=START + 60, score=0.75),
    ]
    bench.flush(answers, START + 3 * DAY)
    bench.step()
    page = scrape(bench)

    labels = f'arm="champion",metric="brier",model="{MODEL}"'
    assert f"driftd_quality_score{{{labels}}} 0.0625" in page
    assert f'driftd_quality_labels{{arm="champion",model="{MODEL}"}} 1.0' in page
    assert f'driftd_label_arrival_ratio{{model="{MODEL}"}} 0.5' in page


def test_an_open_command_has_an_age_and_a_kind_without_one_has_none(bench: Bench) -> None:
    bench.store.database.now = lambda: wall_now() - 60
    row = bench.store.control.model_row(MODEL)
    command = OutboxRow(op_id="o1", model=MODEL, kind="train", payload=b"{}")
    write = StepWrite(
        model=MODEL, revision=row.revision, snapshot=row.snapshot, closed=START, outbox=(command,)
    )
    assert bench.store.control.commit(write)
    page = scrape(bench)
    old = re.search(rf'oldest_age_seconds{{kind="train",model="{MODEL}"}} (\S+)', page)

    assert old is not None
    assert float(old[1]) >= 60

    assert f'driftd_commands_open{{kind="train",model="{MODEL}"}} 1.0' in page
    assert f'driftd_command_oldest_age_seconds{{kind="tag",model="{MODEL}"}} 0.0' in page
    assert f'driftd_trainings_running{{model="{MODEL}"}} 0.0' in page


def test_only_what_has_changed_is_read_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    registry.register(StoreCollector(bench.store, bench.book.specs, lambda _: True, bench.metrics))
    read: list[Scraped] = []
    whole = bench.store.scrapes.read

    def noted(*arguments: Any) -> Scraped:
        read.append(whole(*arguments))
        return read[-1]

    monkeypatch.setattr(bench.store.scrapes, "read", noted)
    first = generate_latest(registry)
    second = generate_latest(registry)
    see(bench)
    generate_latest(registry)

    assert [sorted(one.states) for one in read] == [[MODEL], [], [MODEL]]
    assert [line for line in first.splitlines() if b"driftd_stage" in line] == [
        line for line in second.splitlines() if b"driftd_stage" in line
    ]


def test_more_models_are_no_more_questions(tmp_path: Path) -> None:
    def statements(models: int) -> int:
        bench = Bench(tmp_path / str(models))
        for number in range(models):
            bench.publish(POLICY.replace(MODEL, f"m{number}"))
            bench.store.control.model_row(f"m{number}")
        asked: list[str] = []
        event.listen(
            bench.store.database.engine,
            "before_cursor_execute",
            lambda *found: asked.append(found[2]),
        )
        page = scrape(bench)
        scrapes = len([one for one in asked if "FROM quality" not in one])
        bench.store.close()
        assert page.count("driftd_stage{") == models
        return scrapes

    (tmp_path / "1").mkdir()
    (tmp_path / "20").mkdir()
    assert statements(20) == statements(1)


def test_the_state_of_a_newer_driftd_leaves_one_model_out(bench: Bench) -> None:
    row = bench.store.control.model_row(MODEL)
    write = StepWrite(
        model=MODEL, revision=row.revision, snapshot=b"?", snapshot_format=99, closed=START
    )
    assert bench.store.control.commit(write)
    page = scrape(bench)

    assert "driftd_store_up 1.0" in page
    assert "driftd_stage{" not in page


def test_a_store_that_is_away_is_a_figure_and_no_failed_scrape(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise UnreachableError("store: away")

    monkeypatch.setattr(bench.store.scrapes, "read", away)

    assert "driftd_store_up 0.0" in scrape(bench)


def test_series_that_begin_at_0_are_those_that_the_agents_know() -> None:
    kinds = {str(one.__struct_config__.tag) for one in (*get_args(AnyCommand), PublishDecisions)}

    assert set(COMMANDS) == kinds
    assert set(INCIDENTS) == set(get_args(Kind))
    assert set(ENDS) == set(get_args(Outcome))
