"""Each cause fires on its pattern and not on its neighbours: whole stories through the watcher."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from agents.watcher import WatchState
from tests.support.watched import (
    CARRIERS,
    DAY,
    USUAL,
    Watch,
    bucket,
    labels,
    matured,
    values,
    watch,
)

LEARNED = 61
Columns = dict[str, list[Any]]


@pytest.fixture(scope="module")
def learned_once() -> Watch:
    life = watch()
    life.days(0, LEARNED)
    return life


@pytest.fixture
def learned(learned_once: Watch) -> Watch:
    return learned_once.copy()


def live(life: Watch, days: int, bend: Callable[[Columns, int], Columns]) -> None:
    """Days from the end of the burn-in on whose columns are bent."""
    first = int(life.state.closed // DAY)
    for day in range(first, first + days):
        columns = bend(values(day, USUAL), day)
        life.pane(bucket(columns, day * DAY, (day + 1) * DAY))


def told(life: Watch) -> dict[str, str]:
    """Stream -> the name of its cause, of all open incidents."""
    return {moved.stream: moved.cause_kind for one in life.state.incidents for moved in one.streams}


def swap(columns: Columns, _: int) -> Columns:
    return {**columns, "distance": columns["minute_of_day"], "minute_of_day": columns["distance"]}


def stick(columns: Columns, _: int) -> Columns:
    return {**columns, "temp": [values(0, USUAL)["temp"][0]] * len(columns["temp"])}


def lose(columns: Columns, _: int) -> Columns:
    gone = dict.fromkeys(("distance", "minute_of_day", "temp"), [None] * len(columns["temp"]))
    return {**columns, **gone}


def rename(columns: Columns, _: int) -> Columns:
    return {**columns, "carrier": ["XE" if c == "B6" else c for c in columns["carrier"]]}


def mix(columns: Columns, day: int) -> Columns:
    """Of every ten events four come from another place: one carrier, short hops, at noon."""
    rng = np.random.default_rng(day)
    foreign = rng.random(len(columns["temp"])) < 0.4
    hops = {"carrier": "UA", "distance": 90.0, "minute_of_day": 720.0}
    return {
        name: [
            hops[name] if f and name in hops else v for f, v in zip(foreign, column, strict=True)
        ]
        for name, column in columns.items()
    }


def warm(columns: Columns, day: int) -> Columns:
    by = min((day - LEARNED) / 20, 1.2)
    return {**columns, "temp": [temp + by for temp in columns["temp"]]}


@pytest.mark.parametrize(
    ("bend", "kind", "cause", "said"),
    [
        (swap, "data_fault", "swapped", "distance and minute_of_day are swapped"),
        (stick, "data_fault", "stuck", "temp is stuck at "),
        (lose, "data_fault", "missing_upstream", "distance, minute_of_day and temp went missing"),
        (rename, "data_fault", "new_category", "it may have a new name"),
        (mix, "input_drift", "mixture", "of the traffic is of another kind than before"),
    ],
    ids=["swapped", "stuck", "missing upstream", "new category", "mixture"],
)
def test_a_cause_is_named_by_its_pattern(
    learned: Watch, bend: Callable[[Columns, int], Columns], kind: str, cause: str, said: str
) -> None:
    live(learned, 12, bend)

    incident = learned.open(kind)
    assert incident.cause_kind == cause
    assert said in incident.cause
    assert 0.5 <= incident.sure <= 1
    assert incident.onset == LEARNED * DAY
    assert set(told(learned).values()) <= {cause, ""}


def test_what_is_repaired_ends_by_itself(learned: Watch) -> None:
    live(learned, 8, stick)
    live(learned, 7, lambda columns, _: columns)

    assert learned.state.incidents == ()
    assert {c.incident.state for c in learned.changes if c.change == "closed"} == {"resolved"}


def test_a_moderate_season_has_no_cause(learned: Watch) -> None:
    live(learned, 60, warm)

    assert set(told(learned).values()) == {""}
    assert "data_fault" not in learned.told("opened")


def test_a_holiday_of_few_kinds_is_no_stuck_value(learned: Watch) -> None:
    def holiday(columns: Columns, _: int) -> Columns:
        rng = np.random.default_rng(1)
        mostly = rng.random(len(columns["carrier"])) < 0.8
        return {
            **columns,
            "carrier": ["AA" if m else c for m, c in zip(mostly, columns["carrier"], strict=True)],
        }

    live(learned, 2, holiday)
    live(learned, 8, lambda columns, _: columns)

    assert learned.told("opened") == []


def test_a_value_that_stands_still_for_two_days_is_not_stuck_yet(learned: Watch) -> None:
    live(learned, 2, stick)

    assert "temp=" not in told(learned)


def test_missing_from_one_feature_is_not_upstream(learned: Watch) -> None:
    live(learned, 8, lambda columns, _: {**columns, "temp": [None] * len(columns["temp"])})

    assert told(learned) == {"temp?": "missing"}


def test_a_carrier_that_only_grows_is_no_new_category(learned: Watch) -> None:
    def growing(columns: Columns, day: int) -> Columns:
        rng = np.random.default_rng(day)
        return {
            **columns,
            "carrier": rng.choice(CARRIERS, 400, p=[0.1, 0.1, 0.1, 0.1, 0.6]).tolist(),
        }

    live(learned, 12, growing)

    assert "new_category" not in told(learned).values()


def test_a_fault_in_a_long_drift_begins_at_its_jump(learned: Watch) -> None:
    live(learned, 60, warm)
    begins = learned.state.closed
    live(learned, 12, lambda columns, day: stick(warm(columns, day), day))

    fault = learned.open("data_fault")
    assert fault.cause_kind == "stuck"
    assert begins - 3 * DAY <= fault.onset <= begins


def test_a_cause_that_is_known_later_is_told_once(learned: Watch) -> None:
    live(learned, 30, mix)

    revised = [c.incident for c in learned.changes if c.change == "revised"]
    assert len({(one.cause, len(one.streams)) for one in revised}) == len(revised)
    assert len(revised) <= len(learned.open("input_drift").streams)


def turned(life: Watch, days: int, share: float) -> None:
    """Labels of which positive ones are as common as ``share``, and that contradict the scores."""
    first = int(max(life.state.matured, 0.0) // DAY)
    for day in range(first, first + days):
        event = matured(day, right=0.2)
        (arm,) = event.arms
        sketch = labels(400, right=0.2, seed=day, late=share)
        quality = type(event.arms[arm])(predictions=400, sketch=sketch)
        life.quality(type(event)(start=event.start, end=event.end, arms={arm: quality}))


def test_labels_that_are_turned_round_are_a_data_fault() -> None:
    life = watch()
    turned(life, 3, share=0.7)

    fault = life.open("data_fault")
    assert [moved.stream for moved in fault.streams] == ["@labels"]
    assert fault.cause_kind == "flipped_labels"
    assert fault.cause.startswith("the labels look turned round: AUC 0.")
    assert fault.onset == 0.0


def test_a_model_that_is_worse_than_chance_on_the_usual_labels_has_another_reason() -> None:
    life = watch()
    turned(life, 20, share=0.3)

    assert life.changes == ()


def test_quality_that_falls_to_chance_is_no_turned_label() -> None:
    life = watch()
    for day in range(60):
        life.quality(matured(day, right=0.5))

    assert "flipped_labels" not in told(life).values()


def test_turned_labels_spoil_no_inputs() -> None:
    life = watch()
    for day in range(LEARNED):
        life.pane(bucket(values(day, USUAL), day * DAY, (day + 1) * DAY))
        life.quality(matured(day))
    turned(life, 5, share=0.7)
    for day in range(LEARNED + 5, LEARNED + 20):
        life.pane(bucket(values(day, USUAL), day * DAY, (day + 1) * DAY))
        life.quality(matured(day))

    assert [i.state for i in life.state.incidents] == []
    assert life.state.faults == ()


def test_states_of_an_earlier_release_are_read_and_have_no_causes(learned: Watch) -> None:
    live(learned, 8, stick)
    plain = msgspec.msgpack.decode(learned.state.to_bytes())
    for one in plain["incidents"]:
        one.pop("cause_kind"), one.pop("sure")
        for moved in one["streams"]:
            moved.pop("cause"), moved.pop("cause_kind"), moved.pop("sure")
    plain.pop("stuck"), plain.pop("labels")

    old = WatchState.from_bytes(msgspec.msgpack.encode(plain))

    assert {one.cause_kind for one in old.incidents} == {""}
    assert [one.incident_id for one in old.incidents] == [
        one.incident_id for one in learned.state.incidents
    ]
