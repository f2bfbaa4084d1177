"""A control step reads what ingest wrote, closes buckets in order, and writes all of it or nothing."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agents.events import OperatorAsked
from agents.snapshot import Snapshot
from detectors.quality import QualitySketch
from driftd.control.policies import file_author
from driftd.store.rows import StepWrite
from driftd.yamlfile import parse_yaml
from policies.checker import check
from tests.support.control import DAY, MODEL, POLICY, START, Answer, Bench

LATENESS = 300.0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()


def day(number: int, answers: int = 4) -> list[Answer]:
    """Answers of one event day, each with a label an hour later."""
    start = START + number * DAY
    return [
        Answer(id=f"{number}-{i}", ts=start + i * 600.0, label="late" if i % 2 else "on_time")
        for i in range(answers)
    ]


def closed_until(number: int) -> float:
    """A watermark at which the days before ``number`` may be closed, and no more."""
    return START + number * DAY + LATENESS


def ready(bench: Bench) -> None:
    """A policy in force, the champion known."""
    bench.publish()
    bench.step()
    bench.settle()


def test_a_model_without_a_policy_is_left_alone(bench: Bench) -> None:
    assert bench.step().name == "unknown"


def test_the_first_step_asks_for_the_champions_profile(bench: Bench) -> None:
    bench.publish()

    assert bench.step().name == "written"
    assert [row.kind for row in bench.store.outbox.open(MODEL)] == ["profile"]


def test_days_without_events_are_panes_too(bench: Bench) -> None:
    ready(bench)
    bench.flush([*day(0), *day(3)], closed_until(4))

    bench.step()

    panes = bench.store.control.panes(MODEL, 0.0, float("inf"))
    assert [(pane.start, pane.n) for pane in panes] == [
        (START, 4), (START + DAY, 0), (START + 2 * DAY, 0), (START + 3 * DAY, 4),
    ]  # fmt: skip


def test_a_bucket_stays_open_until_lateness_has_passed(bench: Bench) -> None:
    ready(bench)
    bench.flush(day(0), closed_until(1) - 1)
    bench.step()
    assert bench.store.control.panes(MODEL, 0.0, float("inf")) == []

    bench.flush([], closed_until(1))
    bench.step()
    assert [pane.n for pane in bench.store.control.panes(MODEL, 0.0, float("inf"))] == [4]


def test_what_comes_late_is_counted_late_and_never_lost(bench: Bench) -> None:
    ready(bench)
    bench.flush(day(0), closed_until(1))
    bench.step()

    bench.flush([Answer(id="late", ts=START + 60.0)], closed_until(1))
    bench.step()

    [pane] = bench.store.control.panes(MODEL, 0.0, float("inf"))
    assert (pane.n, pane.late) == (4, 1)


def test_nothing_new_writes_nothing(bench: Bench) -> None:
    ready(bench)
    revision = bench.store.control.model_row(MODEL).revision

    assert bench.step().name == "idle"
    assert bench.store.control.model_row(MODEL).revision == revision


def test_quality_is_known_at_its_maturity_and_rows_go_to_the_archive(bench: Bench) -> None:
    ready(bench)
    bench.flush([*day(0), *day(1)], closed_until(1))
    bench.step()
    assert bench.store.control.quality(MODEL, 0.0, float("inf")) == []

    bench.flush([], closed_until(2))
    bench.step()

    [row] = bench.store.control.quality(MODEL, 0.0, float("inf"))
    sketch = QualitySketch.from_dict(msgspec.msgpack.decode(row.blob))
    assert (row.bucket, row.predictions, sketch.n, sketch.positives) == (START, 4, 4, 2)
    assert sketch.brier == pytest.approx((0.4**2 + 0.6**2) / 2)
    archived = bench.archive.read(MODEL, START, START + 2 * DAY, ["id"])
    assert archived.num_rows == 8


def test_a_step_that_lost_the_race_changes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(bench)
    bench.flush(day(0), closed_until(1))
    commit = bench.store.control.commit

    def another_worker_first(write: StepWrite) -> bool:
        assert commit(write)
        return commit(write)

    monkeypatch.setattr(bench.store.control, "commit", another_worker_first)
    outcome = bench.step()

    assert (outcome.name, outcome.again) == ("lost", True)
    assert [pane.n for pane in bench.store.control.panes(MODEL, 0.0, float("inf"))] == [4]


def test_however_the_days_are_cut_into_steps_the_story_is_the_same(tmp_path: Path) -> None:
    def story(name: str, steps: int) -> tuple[bytes, list[tuple[float, int]]]:
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name)
        ready(bench)
        days = 6
        for last in range(days // steps, days + 1, days // steps):
            first = last - days // steps
            answers = [answer for number in range(first, last) for answer in day(number)]
            bench.flush(answers, closed_until(last))
            bench.stepper = bench.new_stepper()
            bench.step()
        row = bench.store.control.model_row(MODEL)
        watch = Snapshot.from_bytes(row.snapshot, row.snapshot_format).watch.to_bytes()
        panes = bench.store.control.panes(MODEL, 0.0, float("inf"))
        bench.store.close()
        return watch, [(pane.start, pane.n) for pane in panes]

    assert story("at once", 1) == story("by the day", 6) == story("in halves", 2)


def test_event_time_waits_while_a_command_is_in_flight(bench: Bench) -> None:
    bench.publish()
    bench.step()
    bench.flush(day(0), closed_until(1))

    assert bench.step().again is False
    assert bench.store.control.panes(MODEL, 0.0, float("inf")) == []

    bench.settle()
    bench.step()
    assert len(bench.store.control.panes(MODEL, 0.0, float("inf"))) == 1


def test_event_time_waits_for_the_tag_that_ends_a_way_back(bench: Bench) -> None:
    ready(bench)
    for verb, arguments in (("canary", {"version": "2", "gate": "external"}), ("rollback", {})):
        asked = OperatorAsked(verb=verb, by="me", arguments=arguments, request_id=verb)
        bench.store.inbox.put(MODEL, "operator", msgspec.json.encode(asked), verb)
        bench.step()
        if verb == "canary":
            bench.settle()
    for row in bench.store.outbox.claim("bench", 60.0, bench.store.database.now() + 1):
        bench.store.outbox.finish(
            row.op_id, row.attempt, "bench", "done", {}, tell=row.kind != "decisions"
        )
    bench.step()
    assert "tag" in {row.kind for row in bench.store.outbox.open(MODEL)}

    bench.flush(day(0), closed_until(1))
    bench.step()
    # How long a registry takes would else decide when the way back ended, and the rest after it.
    assert bench.store.control.panes(MODEL, 0.0, float("inf")) == []

    bench.settle()
    assert len(bench.store.control.panes(MODEL, 0.0, float("inf"))) == 1
    told = bench.store.views.decisions(MODEL)
    assert [row.at for row in told if row.what == "rolled back"] == [0.0]


def test_each_decision_is_published_once(bench: Bench) -> None:
    ready(bench)

    published = [row for row in bench.store.views.commands(MODEL) if row.kind == "decisions"]
    told = [
        decision["what"]
        for row in published
        for decision in msgspec.json.decode(row.payload)["decisions"]
    ]
    assert told == [row.what for row in reversed(bench.store.views.decisions(MODEL))]
    assert {row.state for row in published} == {"done"}


def test_a_refused_policy_file_is_a_line_of_the_journal_once_a_revision(bench: Bench) -> None:
    spec, _ = check(parse_yaml(POLICY).values)
    assert spec is not None
    bench.book.publish(model=MODEL, text=POLICY, digest="d", by=file_author("a.yaml"), spec=spec)
    bench.step()
    file = parse_yaml("model: flight-delay\nmode: atuo\nowner: 3\n")
    mistakes = file.locate(check(file.values)[1])

    for _ in range(2):
        bench.book.refuse("a.yaml", "", mistakes)
        bench.book.refuse("another.yaml", "", mistakes)
        bench.step()

    told = [row for row in bench.store.views.decisions(MODEL, 50) if row.what == "refuse policy"]
    assert [row.by for row in told] == ["file a.yaml"]
    assert told[0].why.startswith("a.yaml has 2 mistakes; revision 1 stays in force: a.yaml:2:")
    evidence = msgspec.json.decode(told[0].evidence)
    assert len(evidence["mistakes"]) == 2
    assert bench.store.views.pulse(MODEL).inbox == 0
