"""Whole stories of drift, told in panes of a day to the real detectors."""

import pytest

from policies.specs import DriftSpec
from tests.support.watched import PROFILE, USUAL, Day, Watch, pane, watch

LEARNED = 61


@pytest.fixture(scope="module")
def learned_once() -> Watch:
    life = watch()
    life.days(0, LEARNED)
    return life


@pytest.fixture
def learned(learned_once: Watch) -> Watch:
    return learned_once.copy()


def season(day: int) -> Day:
    """Warmer by 2.5 sd within 90 days, and so it stays."""
    return Day(warmer=min(max(day - LEARNED, 0) / 36, 2.5))


def test_while_learning_everything_is_shown_and_nothing_alarms() -> None:
    life = watch()
    life.days(0, 59, Day(warmer=4.0))

    assert {reading.state for reading in life.readings.values()} == {"learning"}
    assert {"temp", "temp?", "carrier!unseen", "@score", "@model", "@errors"} <= set(life.readings)
    assert life.changes == ()
    assert life.fitted is None


def test_learns_from_the_history_once_sixty_panes_are_there(learned: Watch) -> None:
    assert learned.fitted is not None
    assert learned.history_asked == 1
    assert (learned.fitted.since, learned.fitted.slots) == (0.0, 2)
    assert [decision.what for decision in learned.decisions] == ["baseline learned"]


def test_quiet_traffic_never_alarms(learned: Watch) -> None:
    learned.days(LEARNED, LEARNED + 200)

    assert learned.changes == ()
    assert {reading.state for reading in learned.readings.values()} == {"quiet"}


def test_a_season_is_one_incident_that_stays_open_and_never_alarms_again(learned: Watch) -> None:
    learned.days(LEARNED, LEARNED + 220, season)

    assert learned.told("opened") == ["input_drift"]
    assert learned.told("closed") == []
    incident = learned.open("input_drift")
    assert incident.severity == "info"
    assert "temp" in {moved.stream for moved in incident.streams}
    joined = [c.incident.streams[-1].stream for c in learned.changes if c.change == "joined"]
    assert len(joined) == len(set(joined))
    assert learned.readings["temp"].state == "drift"


def test_the_onset_is_where_the_evidence_began(learned: Watch) -> None:
    onset = LEARNED + 10
    learned.days(LEARNED, onset)
    learned.days(onset, onset + 12, Day(warmer=2.0))

    incident = learned.open("input_drift")
    assert incident.onset == onset * 86_400.0
    assert incident.opened > incident.onset


def test_a_clock_in_utc_is_a_data_fault_even_while_the_season_drifts(learned: Watch) -> None:
    begins, ends = LEARNED + 120, LEARNED + 134
    learned.days(LEARNED, begins, season)
    drifting = learned.open("input_drift")
    learned.days(begins, ends, Day(warmer=2.5, clock=240))

    fault = learned.open("data_fault")
    assert fault.cause == "minute_of_day is shifted by +240 min (mod 1440)"
    assert [moved.stream for moved in fault.streams] == ["minute_of_day"]
    assert fault.onset == begins * 86_400.0
    assert fault.opened <= (begins + 6) * 86_400.0
    assert learned.open("input_drift").incident_id == drifting.incident_id
    assert "minute_of_day" not in {m.stream for m in learned.open("input_drift").streams}

    learned.days(ends, ends + 5, season)
    assert learned.told("closed") == []
    learned.days(ends + 5, ends + 6, season)
    assert learned.told("closed") == ["data_fault"]
    assert learned.changes[-1].incident.state == "resolved"


def test_two_days_with_a_wrong_clock_are_no_incident(learned: Watch) -> None:
    learned.days(LEARNED, LEARNED + 2, Day(clock=240))
    gathered = learned.readings["minute_of_day"].evidence
    learned.days(LEARNED + 2, LEARNED + 40)

    assert 0.3 < gathered < 1
    assert learned.changes == ()
    assert learned.readings["minute_of_day"].evidence < 0.1


def test_one_day_without_a_feature_is_a_transient(learned: Watch) -> None:
    learned.days(LEARNED, LEARNED + 1, Day(missing=1.0))

    gone = learned.readings
    learned.days(LEARNED + 1, LEARNED + 2)

    assert (gone["temp?"].state, gone["temp"].state) == ("transient", "gap")
    assert learned.readings["temp?"].state == "quiet"
    assert learned.changes == ()


def test_weather_that_turns_at_once_is_no_data_fault(learned: Watch) -> None:
    learned.days(LEARNED, LEARNED + 30, Day(warmer=2.0))

    assert learned.told("opened") == ["input_drift"]


def test_kilometres_for_miles_are_a_data_fault(learned: Watch) -> None:
    learned.days(LEARNED, LEARNED + 12, Day(distance=1.609344))

    assert "kilometres for miles" in learned.open("data_fault").cause


def test_distances_that_really_grow_are_drift(learned: Watch) -> None:
    learned.days(
        LEARNED, LEARNED + 80, lambda day: Day(distance=1 + 0.6 * min(day - LEARNED, 70) / 70)
    )

    assert learned.told("opened") == ["input_drift"]


def test_a_mild_drift_of_everything_is_found_by_the_whole_model(learned: Watch) -> None:
    learned.days(LEARNED, LEARNED + 60, Day(warmer=0.5, distance=1.15, clock=30))

    assert "@model" in {moved.stream for moved in learned.open("input_drift").streams}


def test_a_stopped_feed_and_its_return(learned: Watch) -> None:
    learned.days(LEARNED, LEARNED + 1, Day(n=0))
    assert learned.changes == ()
    learned.days(LEARNED + 1, LEARNED + 3, Day(n=0))

    fault = learned.open("data_fault")
    assert fault.cause == "the feed predictions has stopped"
    assert fault.onset == LEARNED * 86_400.0

    learned.days(LEARNED + 3, LEARNED + 9)
    assert learned.told("closed") == ["data_fault"]


@pytest.mark.parametrize(
    ("how", "kind", "stream"),
    [
        (Day(missing=1.0), "data_fault", "temp?"),
        (Day(missing=0.4), "data_fault", "temp?"),
        (Day(unseen=0.08), "data_fault", "carrier!unseen"),
        (Day(errors=40), "operational", "@errors"),
    ],
    ids=["a feature is gone", "a feature is often missing", "unseen names", "requests fail"],
)
def test_a_share_that_jumps_opens_its_kind(
    learned: Watch, how: Day, kind: str, stream: str
) -> None:
    learned.days(LEARNED, LEARNED + 12, how)

    assert stream in {moved.stream for moved in learned.open(kind).streams}
    assert learned.open(kind).severity == "warning"


def test_a_share_that_creeps_is_drift(learned: Watch) -> None:
    learned.days(LEARNED, LEARNED + 160, lambda day: Day(missing=min((day - LEARNED) / 400, 0.3)))

    assert learned.told("opened") == ["input_drift"]
    assert "temp?" in {moved.stream for moved in learned.open("input_drift").streams}


def test_a_handful_of_new_names_is_no_fault(learned: Watch) -> None:
    learned.days(LEARNED, LEARNED + 200, Day(unseen=0.004))

    assert "data_fault" not in learned.told("opened")


def test_an_incomplete_pane_is_a_gap_and_no_evidence(learned: Watch) -> None:
    learned.days(LEARNED, LEARNED + 40, Day(warmer=3.0, missing=0.5, complete=False))

    assert learned.changes == ()
    assert learned.readings["temp"].state == "gap"


def test_a_bucket_that_comes_twice_counts_once(learned: Watch) -> None:
    once = learned.watcher.on_pane(learned.state, learned.fitted, pane(LEARNED, Day(warmer=2)))
    again = learned.watcher.on_pane(once.state, learned.fitted, pane(LEARNED, Day(warmer=2)))

    assert again.state == once.state
    assert again.readings == ()


def test_ignored_names_are_left_out() -> None:
    life = watch(drift=DriftSpec(ignore=frozenset({"temp", "@score"})))
    life.pane(pane(0, USUAL))

    assert {"temp", "@score"} & set(life.readings) == set()
    assert "temp?" in life.readings
    assert set(PROFILE.streams) - {"temp", "@score"} <= set(life.readings)
