"""What people answer to an incident, what survives a restart, and that the same gives the same."""

import zlib
from dataclasses import replace

import msgspec
import pytest

from agents.events import SCORE, Arm, OperatorAsked, PaneClosed
from agents.watcher import Fitted, Watcher, WatchState
from tests.support.watched import (
    DAY,
    PROFILE,
    USUAL,
    Day,
    Watch,
    bucket,
    pane,
    spec,
    values,
    watch,
)

LEARNED = 61
WARM = Day(warmer=2.0)


@pytest.fixture(scope="module")
def learned_once() -> Watch:
    life = watch()
    life.days(0, LEARNED)
    return life


@pytest.fixture
def drifting(learned_once: Watch) -> Watch:
    """Ten warm days after the burn-in: one open incident."""
    life = learned_once.copy()
    life.days(LEARNED, LEARNED + 10, WARM)
    return life


def test_an_accepted_incident_becomes_the_new_normal(drifting: Watch) -> None:
    incident = drifting.open("input_drift")
    drifting.asked("accept", incident_id=incident.incident_id)

    assert drifting.state.incidents == ()
    assert drifting.changes[-1].incident.state == "accepted"
    assert drifting.decisions[-1].by == "ada"

    first = drifting.fitted
    drifting.days(LEARNED + 10, LEARNED + 160, WARM)
    assert drifting.told("opened") == ["input_drift"]
    assert drifting.fitted is not first
    assert drifting.fitted is not None
    assert drifting.fitted.since == incident.onset
    # The old normal is now what would be strange.
    drifting.days(LEARNED + 160, LEARNED + 180, USUAL)
    assert drifting.told("opened") == ["input_drift", "input_drift"]


def test_while_a_new_normal_is_learned_the_other_streams_are_watched(drifting: Watch) -> None:
    drifting.asked("accept", incident_id=drifting.open("input_drift").incident_id)
    drifting.days(LEARNED + 10, LEARNED + 20, Day(warmer=2.0, clock=240))

    assert "minute_of_day" in drifting.open("data_fault").cause

    # A fault must become normal neither while it lasts nor later, from the stored panes.
    before = drifting.fitted
    drifting.days(LEARNED + 20, LEARNED + 80, Day(warmer=2.0, clock=240))
    assert drifting.fitted is before
    drifting.days(LEARNED + 80, LEARNED + 160, WARM)
    assert drifting.fitted is not before
    assert drifting.told("closed") == ["input_drift", "data_fault"]
    drifting.days(LEARNED + 160, LEARNED + 170, Day(warmer=2.0, clock=240))
    assert "minute_of_day" in drifting.open("data_fault").cause


def test_a_false_alarm_keeps_quiet_until_the_stream_was_quiet_once(drifting: Watch) -> None:
    drifting.asked("false_alarm", incident_id=drifting.open("input_drift").incident_id)
    drifting.days(LEARNED + 10, LEARNED + 25, WARM)
    assert drifting.told("opened") == ["input_drift"]

    drifting.days(LEARNED + 25, LEARNED + 28, USUAL)
    drifting.days(LEARNED + 28, LEARNED + 45, WARM)
    assert drifting.told("opened") == ["input_drift", "input_drift"]


def test_a_false_alarm_that_never_goes_away_is_told_again_after_a_budget_period(
    drifting: Watch,
) -> None:
    drifting.asked("false_alarm", incident_id=drifting.open("input_drift").incident_id)
    drifting.days(LEARNED + 10, LEARNED + 60, WARM)

    assert drifting.told("opened") == ["input_drift", "input_drift"]


def test_an_ignored_stream_is_shown_but_raises_nothing_until_its_time(learned_once: Watch) -> None:
    life = learned_once.copy()
    for stream in ("temp", "@model"):
        life.asked("ignore", stream=stream, until=(LEARNED + 30) * DAY)
    life.days(LEARNED, LEARNED + 30, WARM)
    assert life.changes == ()
    assert life.readings["temp"].effect > 0.3

    life.days(LEARNED + 30, LEARNED + 45, WARM)
    assert life.told("opened") == ["input_drift"]


def test_ignoring_the_only_stream_of_an_incident_ends_it(learned_once: Watch) -> None:
    life = learned_once.copy()
    life.days(LEARNED, LEARNED + 8, Day(clock=240))
    assert [moved.stream for moved in life.open("data_fault").streams] == ["minute_of_day"]
    life.asked("ignore", stream="minute_of_day", until=1e9)

    assert "data_fault" not in {incident.kind for incident in life.state.incidents}


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("accept", {"incident_id": "0000000000000000"}),
        ("false_alarm", {}),
        ("ignore", {"stream": "temp"}),
        ("ignore", {"stream": "temp", "until": "tomorrow"}),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused_in_words(
    drifting: Watch, verb: str, arguments: dict[str, object]
) -> None:
    before = drifting.state.to_bytes()
    drifting.asked(verb, **arguments)

    assert drifting.decisions[-1].what == f"refused: {verb}"
    assert drifting.state.to_bytes() == before


def test_verbs_of_others_change_nothing(drifting: Watch) -> None:
    asked = OperatorAsked(verb="retrain", by="ada")
    step = drifting.watcher.on_operator(drifting.state, asked, drifting.state.closed)

    assert step.state.to_bytes() == drifting.state.to_bytes()
    assert step.decisions == ()


def test_state_and_baseline_survive_as_bytes(drifting: Watch) -> None:
    state, fitted = drifting.state, drifting.fitted
    assert fitted is not None

    assert WatchState.from_bytes(state.to_bytes()).to_bytes() == state.to_bytes()
    assert Fitted.from_bytes(fitted.to_bytes()).to_bytes() == fitted.to_bytes()
    assert len(state.to_bytes()) < 20_000


def test_a_baseline_of_another_format_is_refused() -> None:
    data = zlib.compress(msgspec.msgpack.encode({"format": 99}))
    with pytest.raises(ValueError, match="format 99"):
        Fitted.from_bytes(data)


def test_the_same_events_give_the_same_bytes(drifting: Watch) -> None:
    again = watch()
    again.days(0, LEARNED)
    again.days(LEARNED, LEARNED + 10, WARM)

    assert again.state.to_bytes() == drifting.state.to_bytes()
    assert again.changes == drifting.changes
    assert again.decisions == drifting.decisions


def test_arms_in_another_order_change_nothing(learned_once: Watch) -> None:
    columns = values(LEARNED, WARM)
    both = (Arm("1", "champion"), Arm("2", "challenger"))
    arms = [
        bucket(
            {name: column[i::2] for name, column in columns.items()},
            LEARNED * DAY,
            (LEARNED + 1) * DAY,
            replace(WARM, arm=arm),
        )
        for i, arm in enumerate(both)
    ]
    ways = [
        PaneClosed(
            start=arms[0].start,
            end=arms[0].end,
            arms={arm: counts for closed in order for arm, counts in closed.arms.items()},
        )
        for order in (arms, arms[::-1])
    ]
    watcher, state = learned_once.watcher, learned_once.state
    steps = [watcher.on_pane(state, learned_once.fitted, way) for way in ways]
    whole = watcher.on_pane(state, learned_once.fitted, pane(LEARNED, WARM))

    assert steps[0].state.to_bytes() == steps[1].state.to_bytes() == whole.state.to_bytes()


def test_shadow_answers_are_not_counted_twice(learned_once: Watch) -> None:
    closed = pane(LEARNED, WARM)
    shadow = pane(LEARNED, replace(WARM, arm=Arm("2", "shadow")))
    both = PaneClosed(start=closed.start, end=closed.end, arms={**closed.arms, **shadow.arms})
    watcher, state = learned_once.watcher, learned_once.state

    with_shadow = watcher.on_pane(state, learned_once.fitted, both)
    without = watcher.on_pane(state, learned_once.fitted, closed)

    assert with_shadow.state.to_bytes() == without.state.to_bytes()


def test_a_pane_of_four_buckets_is_judged_as_one_of_a_day() -> None:
    daily, quarterly = watch(), watch(bucket_s=DAY / 4)
    for day in range(LEARNED + 12):
        how = WARM if day >= LEARNED else USUAL
        daily.pane(pane(day, how))
        columns = values(day, how)
        for quarter in range(4):
            part = {name: column[quarter::4] for name, column in columns.items()}
            start = (day + quarter / 4) * DAY
            quarterly.pane(bucket(part, start, start + DAY / 4, how))

    assert len(columns[SCORE]) == 400
    assert [c.incident for c in quarterly.changes] == [c.incident for c in daily.changes]
    assert daily.told("opened") == ["input_drift"]
    assert quarterly.readings == daily.readings


def test_a_stream_that_came_after_the_burn_in_is_learning() -> None:
    older = replace(PROFILE, streams={n: s for n, s in PROFILE.streams.items() if n != "distance"})
    life = Watch(watcher=Watcher(spec(), older))
    life.days(0, LEARNED)
    assert "distance" not in life.readings
    life.watcher = Watcher(spec(), PROFILE)
    life.days(LEARNED, LEARNED + 10, Day(warmer=2.0, distance=3.0))

    assert life.readings["distance"].state == "learning"
    assert "temp" in {moved.stream for moved in life.open("input_drift").streams}


def test_a_lost_baseline_is_learned_again(drifting: Watch) -> None:
    drifting.fitted = None
    drifting.days(LEARNED + 10, LEARNED + 11, WARM)
    assert {reading.state for reading in drifting.readings.values()} == {"learning"}
    drifting.days(LEARNED + 11, LEARNED + 12, WARM)

    assert drifting.fitted is not None
