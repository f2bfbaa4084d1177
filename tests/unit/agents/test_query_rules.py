"""Rules on a PromQL query: the whole window has to break them, and no value never does."""

from dataclasses import replace
from typing import Any

import pytest

from agents.events import OperatorAsked, PaneClosed, QueryRead
from agents.lifecycle import Lifecycle, LifecycleState
from agents.watcher import Watcher
from agents.watching.rules import PARTS_MAX
from policies.specs import Amount, ClockSpec, RuleSpec
from tests.support.watched import DAY, Watch, spec, watch

MINUTE = 60.0
START = 100 * DAY


def rule(comparison: Any = "above", value: float = 90.0, unit: Any = "%", **more: Any) -> RuleSpec:
    """A rule over five minutes, in buckets of one."""
    more.setdefault("over_s", 5 * MINUTE)
    amount = Amount(value=value, unit=unit)
    return RuleSpec(
        name=f"query gpu_busy {comparison} {value:g}{unit}",
        query="gpu_busy", comparison=comparison, amount=amount, **more,
    )  # fmt: skip


BUSY = rule(severity="critical")


def read(life: Watch, *values: float | None, since: int = 0) -> None:
    """A minute each: the value that it had throughout, or none."""
    for minute, value in enumerate(values, since):
        start = START + minute * MINUTE
        event = QueryRead(query="gpu_busy", start=start, end=start + MINUTE, low=value, high=value)
        life._take(life.watcher.on_query(life.state, event))


def test_fires_when_every_value_of_the_window_is_above() -> None:
    life = watch(BUSY, bucket_s=MINUTE)
    read(life, 0.99, 0.95, 0.93, 0.97)
    assert life.told("opened") == []

    read(life, 0.91, since=4)

    (incident,) = life.state.incidents
    assert (incident.kind, incident.severity) == ("operational", "critical")
    assert incident.onset == START
    (moved,) = incident.streams
    assert (moved.stream, moved.rule, moved.effect, moved.tolerance) == (
        "gpu_busy", BUSY.name, 0.91, 0.9,
    )  # fmt: skip
    assert moved.how == "query gpu_busy above 90%: 0.91, limit 0.9"


@pytest.mark.parametrize("way", [[0.99] * 4 + [0.5] + [0.99] * 4, [0.9] * 20, [0.99] * 4])
def test_one_value_that_holds_is_enough_for_peace(way: list[float]) -> None:
    life = watch(BUSY, bucket_s=MINUTE)
    read(life, *way)

    assert life.told("opened") == []


def test_below_looks_at_the_highest_value() -> None:
    life = watch(rule("below", 2.0, ""), bucket_s=MINUTE)
    event = QueryRead(query="gpu_busy", start=START, end=START + MINUTE, low=0.0, high=3.0)
    life._take(life.watcher.on_query(life.state, event))
    read(life, 1.0, 1.0, 1.0, 1.0, since=1)
    assert life.told("opened") == []
    read(life, 1.0, since=5)

    assert life.told("opened") == ["operational"]


def test_durations_are_compared_in_seconds() -> None:
    life = watch(rule("above", 250.0, "ms"), bucket_s=MINUTE)
    read(life, *[0.24] * 10)
    assert life.told("opened") == []
    read(life, *[0.26] * 5, since=10)

    assert life.told("opened") == ["operational"]


def test_no_value_never_fires_and_makes_the_window_unknown() -> None:
    life = watch(BUSY, bucket_s=MINUTE)
    read(life, *[None] * 20)
    read(life, 0.99, 0.99, None, 0.99, 0.99, 0.99, 0.99, since=20)
    assert life.told("opened") == []
    read(life, 0.99, since=27)

    assert life.told("opened") == ["operational"]


def test_a_hole_begins_the_window_again() -> None:
    life = watch(BUSY, bucket_s=MINUTE)
    read(life, *[0.99] * 4)
    read(life, *[0.99] * 4, since=30)

    assert life.told("opened") == []


def test_a_gauge_that_counts_to_a_hundred_is_no_share() -> None:
    life = watch(BUSY, bucket_s=MINUTE)
    read(life, *[42.0] * 20)

    assert life.told("opened") == []


def test_a_bucket_that_came_before_counts_once() -> None:
    life = watch(BUSY, bucket_s=MINUTE)
    for _ in range(9):
        read(life, 0.99)

    assert life.told("opened") == []


def test_it_ends_six_quiet_panes_later_also_without_a_profile() -> None:
    life = watch(BUSY, bucket_s=MINUTE)
    life.watcher = Watcher(spec(BUSY, bucket_s=DAY), None)
    read(life, *[0.99] * 5)
    assert life.told("opened") == ["operational"]

    read(life, 0.5, since=5)
    for day in range(6):
        assert life.told("closed") == []
        start = START + day * DAY
        life.pane(PaneClosed(start=start, end=start + DAY))

    assert life.told("closed") == ["operational"]


def test_without_any_event_the_queries_own_buckets_age_the_incident() -> None:
    life = watch(BUSY, bucket_s=MINUTE)
    life.watcher = Watcher(replace(spec(BUSY), clock=ClockSpec(pane_s=120.0, bucket_s=60.0)), None)
    read(life, *[0.99] * 6)
    read(life, *[0.1] * 11, since=6)
    assert life.told("closed") == []
    read(life, 0.1, since=17)

    assert life.told("closed") == ["operational"]


def test_a_long_window_is_kept_in_few_parts() -> None:
    life = watch(rule(over_s=DAY), bucket_s=MINUTE)
    read(life, *[0.99] * (24 * 60 + 40))

    assert life.told("opened") == ["operational"]
    (track,) = life.state.rules.values()
    assert len(track.parts) <= PARTS_MAX + 2


def test_version_0_1_passes_over_an_answer_of_prometheus() -> None:
    # It has this lifecycle and knows nothing of queries; a worker of it may be next to us.
    asked = OperatorAsked(verb="query", by="prometheus", arguments={"query": "gpu_busy"})
    state = LifecycleState.new()
    step = Lifecycle(spec()).handle(state, asked, START)

    assert (step.state, step.commands, step.decisions) == (state, (), ())
