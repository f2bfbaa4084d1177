"""What is sent when: calls, arrivals and the feed's fault, on a small made-up table."""

import math

import msgspec
import pandas as pd
import pytest

from driftd.demo.flights import FEATURES
from driftd.demo.options import DAY_S
from driftd.demo.schedule import Schedule

HOUR = 3_600.0
SINCE, UNTIL = float(DAY_S), 3.0 * DAY_S


def _flights() -> pd.DataFrame:
    rows = []
    for hour in range(4 * 24):
        for flight in range(hour % 3):
            row: dict[str, object] = dict.fromkeys(FEATURES, 1.0)
            row |= {"carrier": "UA", "origin": "JFK", "dest": "LAX"}
            row |= {"minute_of_day": float(hour % 24 * 60 + flight), "temp": math.nan}
            row["id"], row["subject"] = f"{hour}-{flight}", f"JFK-{hour}"
            row["hour_ts"], row["label_ts"] = hour * HOUR, (hour + 3) * HOUR
            row["late"] = float(hour % 2)
            if hour % 12 == 0:
                row["label_ts"] = row["late"] = math.nan
            rows.append(row)
    return pd.DataFrame(rows)


@pytest.fixture
def schedule() -> Schedule:
    return Schedule(_flights(), SINCE, UNTIL, seed=0)


def test_every_flight_is_asked_about_once_in_the_call_of_its_hour(schedule: Schedule) -> None:
    bodies = [msgspec.json.decode(call.body) for call in schedule.calls(SINCE, UNTIL)]

    asked = [name for body in bodies for name in body["ids"]]
    assert asked == schedule.table["id"].to_list()
    assert [body["subject"] for body in bodies] == list(dict.fromkeys(schedule.table["subject"]))
    assert {len(body["instances"]) for body in bodies} == {1, 2}
    assert bodies[0]["ts"] == float(bodies[0]["subject"].split("-")[1]) * HOUR


def test_blocks_are_as_good_as_one(schedule: Schedule) -> None:
    cut = SINCE + 7 * HOUR
    parts = schedule.calls(SINCE, cut) + schedule.calls(cut, UNTIL)

    assert parts == schedule.calls(SINCE, UNTIL)


def test_missing_values_are_null_and_names_are_texts(schedule: Schedule) -> None:
    instance = msgspec.json.decode(schedule.calls(SINCE, UNTIL)[0].body)["instances"][0]

    assert set(instance) == set(FEATURES)
    assert instance["temp"] is None
    assert instance["carrier"] == "UA"


def test_labels_arrive_in_order_and_never_for_flights_without_one(schedule: Schedule) -> None:
    arrivals = schedule.arrivals(SINCE, UNTIL + DAY_S)

    assert [a.ts for a in arrivals] == sorted(a.ts for a in arrivals)
    assert len(arrivals) == int(schedule.table["late"].notna().sum())
    assert {a.label for a in arrivals} == {"late", "on_time"}
    assert schedule.arrivals(SINCE, SINCE + 3 * HOUR) == []


def test_the_fault_shifts_the_clock_of_its_days_alone(schedule: Schedule) -> None:
    before = schedule.as_received()
    schedule.set_fault(2.0 * DAY_S, 2.5 * DAY_S)
    after = schedule.as_received()

    faulty = (schedule.hour_ts >= 2.0 * DAY_S) & (schedule.hour_ts < 2.5 * DAY_S)
    shift = (after["minute_of_day"] - before["minute_of_day"]) % 1_440
    assert set(shift[faulty]) == {240.0}
    assert set(shift[~faulty]) == {0.0}
    others = [name for name in FEATURES if name != "minute_of_day"]
    pd.testing.assert_frame_equal(before[others], after[others])


def test_what_is_sent_is_what_was_received(schedule: Schedule) -> None:
    schedule.set_fault(1.25 * DAY_S, 2.25 * DAY_S)
    received = schedule.as_received()["minute_of_day"].to_list()

    calls = schedule.calls(SINCE, UNTIL)
    sent = [i["minute_of_day"] for c in calls for i in msgspec.json.decode(c.body)["instances"]]
    assert sent == received


def test_another_seed_moves_the_subjects_and_nothing_else() -> None:
    one, two = (Schedule(_flights(), SINCE, UNTIL, seed).calls(SINCE, UNTIL) for seed in (1, 2))
    first, second = (msgspec.json.decode(calls[0].body) for calls in (one, two))

    assert first.pop("subject") != second.pop("subject")
    assert first == second


def test_the_largest_window_counts_questions_and_labels(schedule: Schedule) -> None:
    flights, labels = len(schedule.table), int(schedule.table["late"].notna().sum())

    assert schedule.largest_window(10) == flights + labels
    assert 0 < schedule.largest_window(1) < flights + labels
