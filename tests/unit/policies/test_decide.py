"""When a model is trained: every condition, alone and together."""

from dataclasses import replace

import pytest

from policies.conditions.catalog import BARS, WANTS
from policies.conditions.contract import Evidence, OpenIncident
from policies.conditions.cron import last_due
from policies.decide import Decision, decide
from policies.specs import RetrainSpec, Schedule
from policies.units import DAY_S, HOUR_S

# Monday 7 January 2013, 08:00 UTC = 03:00 in New York.
NOW = 1_357_545_600.0
NIGHTLY = Schedule(cron="0 2 * * 1", timezone="America/New_York")
SLOT = NOW - HOUR_S
QUALITY = OpenIncident(incident_id="abc", kind="quality", onset=NOW - DAY_S)
DRIFT = OpenIncident(incident_id="def", kind="input_drift", onset=NOW - DAY_S)
SPEC = RetrainSpec(trainer="tabular", labels_since_onset=500)
WANTED = Evidence(since=0.0, incidents=(QUALITY,), labels_since={"abc": 500})


def answer(decision: Decision, name: str) -> tuple[str, str]:
    finding = next(one for one in decision.answers if one.name == name)
    return finding.answer, finding.why


def test_trains_for_an_open_quality_incident_when_nothing_stands_in_the_way() -> None:
    decision = decide(SPEC, WANTED, NOW)

    assert decision.act
    assert decision.cause is not None
    assert decision.cause.key == "abc"
    assert decision.why == "quality incident abc is open"


def test_every_condition_is_asked_even_when_the_first_has_decided() -> None:
    decision = decide(SPEC, Evidence(since=0.0), NOW)

    assert not decision.act
    assert decision.why == "no training is wanted"
    assert [one.name for one in decision.wanted] == [want.name for want in WANTS]
    assert [one.name for one in decision.barred] == [bar.name for bar in BARS]


USED_UP = (
    "all 2 attempts for abc are used; `driftd retrain` asks for another, "
    "`driftd accept` makes this the new normal"
)
BARRED = {
    "a data fault is open": (
        {"incidents": (QUALITY, OpenIncident(incident_id="f", kind="data_fault", onset=NOW))},
        ("data_fault", "yes", "data_fault incident f is open; nothing trains on broken input"),
    ),
    "an upstream incident is open": (
        {"incidents": (QUALITY, OpenIncident(incident_id="u", kind="upstream", onset=NOW))},
        ("data_fault", "yes", "upstream incident u is open; nothing trains on broken input"),
    ),
    "the last training is too young": (
        {"trainings": (NOW - 4 * HOUR_S,)},
        ("cooldown", "not_yet", "the cool-down of 6h ends in 2h"),
    ),
    "the last rollout ended just now": (
        {"trainings": (NOW - DAY_S,), "rested": NOW - HOUR_S},
        ("cooldown", "not_yet", "the cool-down of 6h ends in 5h"),
    ),
    "the budget is spent": (
        {"trainings": (NOW - 6 * DAY_S, NOW - 2 * DAY_S, NOW - DAY_S)},
        ("budget", "not_yet", "all 3 trainings in 7d are used; the next is free in 1d"),
    ),
    "the incident has used its attempts": (
        {"attempts": {"abc": 2}},
        (
            "attempts",
            "yes",
            USED_UP,
        ),
    ),
    "labels are too few": (
        {"labels_since": {"abc": 499}},
        ("labels", "not_yet", "499 labels since the onset, 500 are needed"),
    ),
}


@pytest.mark.parametrize(("change", "expected"), BARRED.values(), ids=BARRED)
def test_one_bar_is_enough_to_train_nothing(
    change: dict[str, object], expected: tuple[str, str, str]
) -> None:
    decision = decide(SPEC, replace(WANTED, **change), NOW)  # type: ignore[arg-type]

    assert not decision.act
    assert (expected[0], *answer(decision, expected[0])) == expected
    assert decision.why == f"quality incident abc is open, but {expected[2]}"
    assert [one.name for one in decision.barred if one.answer != "no"] == [expected[0]]


def test_the_ceiling_counts_every_training_ever() -> None:
    spec = replace(SPEC, trainings_max=4)

    assert decide(spec, replace(WANTED, trainings_total=3), NOW).act
    decision = decide(spec, replace(WANTED, trainings_total=4), NOW)

    assert not decision.act
    assert answer(decision, "ceiling")[0] == "yes"


def test_a_cooldown_is_over_at_its_very_end() -> None:
    assert decide(SPEC, replace(WANTED, trainings=(NOW - 6 * HOUR_S,)), NOW).act


def test_a_training_leaves_the_budget_at_the_very_end_of_the_span() -> None:
    spent = (NOW - 7 * DAY_S, NOW - 2 * DAY_S, NOW - DAY_S)

    assert decide(SPEC, replace(WANTED, trainings=spent), NOW).act


def test_input_drift_trains_only_if_the_policy_says_so_in_words() -> None:
    evidence = Evidence(since=0.0, incidents=(DRIFT,), labels_since={"def": 500})

    refused = decide(SPEC, evidence, NOW)
    assert not refused.act
    assert answer(refused, "input_drift") == (
        "no",
        "input_drift: an incident is open; the policy does not retrain on this kind",
    )
    assert decide(replace(SPEC, on_input_drift=True), evidence, NOW).act


def test_an_incident_that_had_its_promotion_starts_no_other_training() -> None:
    decision = decide(SPEC, replace(WANTED, settled=frozenset({"abc"})), NOW)

    assert decision.cause is None
    assert answer(decision, "quality") == ("no", "the quality incident has had its new version")


def test_an_exhausted_incident_does_not_keep_a_schedule_from_training() -> None:
    spec = replace(SPEC, schedules=(NIGHTLY,))

    decision = decide(spec, replace(WANTED, attempts={"abc": 2}), NOW)

    assert decision.act
    assert decision.cause is not None
    assert decision.cause.key == f"slot:{SLOT:.0f}"


def test_a_schedule_waits_for_no_labels() -> None:
    spec = replace(SPEC, on_quality=False, schedules=(NIGHTLY,))

    assert decide(spec, Evidence(since=0.0), NOW).act


def test_a_slot_is_used_once_and_the_next_comes_a_week_later() -> None:
    spec = replace(SPEC, schedules=(NIGHTLY,))
    used = Evidence(since=0.0, settled=frozenset({f"slot:{SLOT:.0f}"}))

    assert not decide(spec, used, NOW).act
    assert not decide(spec, used, SLOT + 7 * DAY_S - 1).act
    assert decide(spec, used, SLOT + 7 * DAY_S).act


def test_slots_from_before_the_model_was_watched_are_nobodys() -> None:
    spec = replace(SPEC, schedules=(NIGHTLY,))

    assert not decide(spec, Evidence(since=SLOT + 1), NOW).act


def test_a_request_overrides_cooldown_attempts_and_labels_but_no_data_fault() -> None:
    evidence = replace(WANTED, requested=True, trainings=(NOW,), attempts={"abc": 9})

    assert decide(SPEC, replace(evidence, labels_since={}), NOW).act
    fault = OpenIncident(incident_id="f", kind="data_fault", onset=NOW)
    assert not decide(SPEC, replace(evidence, incidents=(fault,)), NOW).act


def test_a_schedule_keeps_its_local_hour_over_the_change_of_clocks() -> None:
    at = [last_due(NIGHTLY, moment) for moment in (1_362_900_000.0, 1_363_600_000.0)]

    # Mondays 4 March (EST) and 18 March (EDT): 02:00 is 07:00 and then 06:00 UTC.
    assert [moment % DAY_S / HOUR_S for moment in at if moment is not None] == [7.0, 6.0]


def test_a_local_time_that_does_not_exist_is_due_right_after_the_jump() -> None:
    schedule = Schedule(cron="30 2 * * *", timezone="America/New_York")

    # On 10 March 2013 the clock went from 02:00 EST to 03:00 EDT = 07:00 UTC.
    assert last_due(schedule, 1_362_906_000.0) == 1_362_898_800.0


def test_a_local_time_that_comes_twice_is_due_once() -> None:
    schedule = Schedule(cron="30 1 * * *", timezone="America/New_York")
    # On 3 November 2013 01:30 EDT was 05:30 UTC; 01:30 EST came an hour later.
    first = 1_383_456_600.0

    moments = [last_due(schedule, first + minutes * 60) for minutes in (-1, 0, 20, 45, 60, 90)]

    assert moments == [first - DAY_S, *[first] * 5]
