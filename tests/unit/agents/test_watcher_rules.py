"""Threshold rules: what each compares, and when its window may speak."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.events import LATENCY, Arm, ArmCounts, PaneClosed, QualityMatured
from agents.incidents import Incident
from agents.watcher import Watcher
from agents.watching.rules import PARTS_MAX
from detectors.profile import default_layouts
from policies.specs import Amount, ClockSpec, RuleSpec
from tests.support.watched import CHAMPION, DAY, PROFILE, Day, Watch, matured, pane, spec, watch

NEW = Arm("2", "champion")


def rule(metric: str, comparison: Any, value: float, unit: Any = "", **more: Any) -> RuleSpec:
    """A rule over one day unless told otherwise."""
    more.setdefault("over_s", DAY)
    name = f"{metric} {comparison} {value:g}{unit}"
    amount = Amount(value=value, unit=unit)
    return RuleSpec(name=name, metric=metric, comparison=comparison, amount=amount, **more)


SKILL = rule("brier_skill", "below", 0, over_s=14 * DAY)
ARRIVAL = rule("label_arrival", "below", 70, "%", severity="critical")


def only(life: Watch) -> Incident:
    """The one open incident."""
    (incident,) = life.state.incidents
    return incident


def test_quality_fires_only_when_its_window_is_full() -> None:
    life = watch(SKILL)
    for day in range(13):
        life.quality(matured(day, right=0.4))
    assert life.changes == ()
    life.quality(matured(13, right=0.4))

    incident = only(life)
    assert (incident.kind, incident.severity, incident.onset) == ("quality", "warning", 0.0)
    assert incident.streams[0].rule == SKILL.name
    assert "brier_skill below 0" in life.decisions[-1].why


def test_good_quality_never_fires() -> None:
    life = watch(SKILL)
    for day in range(60):
        life.quality(matured(day, right=0.8))

    assert life.changes == ()


def test_quality_is_the_present_champions_live_answers_only() -> None:
    life = watch(SKILL)
    for day in range(30):
        good, bad = matured(day, right=0.9), matured(day, right=0.1)
        others = {
            Arm("2", "challenger"): bad.arms[CHAMPION],
            Arm("1", "shadow"): bad.arms[CHAMPION],
        }
        life.quality(replace(good, arms={**good.arms, **others}))

    assert life.changes == ()


def test_a_promotion_empties_the_window_and_ends_the_incident() -> None:
    life = watch(SKILL)
    for day in range(20):
        life.quality(matured(day, right=0.4))
    assert life.told("opened") == ["quality"]

    life.quality(matured(20, right=0.4, arms=(CHAMPION, NEW)), champion="2")
    assert life.told("closed") == ["quality"]
    for day in range(21, 33):
        life.quality(matured(day, right=0.4, arms=(NEW,)), champion="2")
    assert life.told("opened") == ["quality"]
    life.quality(matured(33, right=0.4, arms=(NEW,)), champion="2")
    assert life.told("opened") == ["quality", "quality"]
    assert only(life).onset == 20 * DAY


def test_a_registry_that_does_not_answer_is_no_promotion() -> None:
    life = watch(SKILL)
    for day in range(14):
        life.quality(matured(day, right=0.4), champion="" if day == 7 else "1")

    assert life.told("opened") == ["quality"]


def test_quality_that_recovers_ends_its_incident_after_six_quiet_panes() -> None:
    life = watch(SKILL)
    for day in range(45):
        life.pane(pane(day))
        life.quality(matured(day, right=0.4 if day < 15 else 0.95))

    assert life.told("closed") == ["quality"]
    opened, closed = life.changes[0].at, life.changes[-1].at
    assert closed - opened >= 6 * DAY


def test_the_blizzard_opens_and_resolves() -> None:
    life = watch(ARRIVAL)
    for day in range(20):
        life.pane(pane(day))
        life.quality(matured(day, arrived=0.45 if day in (8, 9) else 0.96))

    assert [(c.change, c.incident.kind) for c in life.changes] == [
        ("opened", "data_fault"),
        ("closed", "data_fault"),
    ]
    assert life.changes[0].at == 9 * DAY
    assert life.changes[0].incident.severity == "critical"
    # Labels of day 10 are known after its pane has closed; the next six panes are quiet.
    assert life.changes[1].at == 17 * DAY
    assert life.changes[1].incident.state == "resolved"


def test_label_arrival_is_learned_and_watched_without_a_rule() -> None:
    life = watch()
    for day in range(60):
        life.quality(matured(day, arrived=0.95))
    for day in range(60, 75):
        life.quality(matured(day, arrived=0.75))

    assert only(life).kind == "data_fault"
    assert only(life).onset == 60 * DAY
    assert "normally 95.0%" in only(life).cause


def test_too_few_events_say_nothing() -> None:
    life = watch(replace(SKILL, over_s=DAY, min_events=500))
    life.quality(matured(0, right=0.2, n=499))
    assert life.changes == ()
    life.quality(matured(1, right=0.2, n=500))
    assert life.told("opened") == ["quality"]


def slow(day: int, share: float, errors: int = 0, n: int = 1_000) -> PaneClosed:
    """A day on which this share of the answers took 150 ms, the others 20 ms."""
    layout = default_layouts((100.0,))[LATENCY]
    times = np.where(np.arange(n) < share * n, 150.0, 20.0)
    counts = {LATENCY: layout.fold(times)}
    arms = {CHAMPION: ArmCounts(n=n, errors=errors, counts=counts)} if n else {}
    return PaneClosed(start=day * DAY, end=(day + 1) * DAY, arms=arms)


@pytest.mark.parametrize(
    ("asked", "calm", "broken", "kind"),
    [
        (rule("latency_p99", "above", 100, "ms"), slow(0, 0.01), slow(1, 0.011), "operational"),
        (rule("latency_p50", "above", 0.1, "s"), slow(0, 0.5), slow(1, 0.51), "operational"),
        (rule("error_rate", "above", 5, "%"), slow(0, 0, 50), slow(1, 0, 51), "operational"),
        (rule("request_rate", "below", 0.01), slow(0, 0), slow(1, 0, n=800), "operational"),
        (
            rule("missing_ratio", "above", 5, "%", of="temp"),
            pane(0, Day(missing=0.03)),
            pane(1, Day(missing=0.1)),
            "data_fault",
        ),
        (
            rule("missing_ratio", "above", 5, "%"),
            pane(0, Day(missing=0.03)),
            pane(1, Day(missing=0.1)),
            "data_fault",
        ),
        (
            rule("missing_ratio", "worse_by", 5, "pp", than="training"),
            pane(0, Day(missing=0.03)),
            pane(1, Day(missing=0.1)),
            "data_fault",
        ),
        (rule("ks", "above", 0.3, of="temp"), pane(0), pane(1, Day(warmer=1.5)), "input_drift"),
        (rule("psi", "above", 0.2, of="temp"), pane(0), pane(1, Day(warmer=1.5)), "input_drift"),
    ],
    ids=lambda value: value.name if isinstance(value, RuleSpec) else "",
)
def test_point_rules(asked: RuleSpec, calm: PaneClosed, broken: PaneClosed, kind: str) -> None:
    life = watch(asked)
    life.pane(calm)
    assert life.changes == ()
    life.pane(broken)

    assert only(life).kind == kind
    assert only(life).onset == DAY


@pytest.mark.parametrize(
    ("asked", "right"),
    [
        (rule("accuracy", "below", 70, "%"), 0.6),
        (rule("f1", "below", 0.5), 0.5),
        (rule("precision", "below", 0.4), 0.4),
        (rule("recall", "below", 0.6), 0.4),
        (rule("auc", "below", 0.6), 0.5),
        (rule("brier", "above", 0.2), 0.6),
        (rule("brier", "worse_by", 20, "%", than="training"), 0.6),
        (rule("accuracy", "worse_by", 10, "pp", than="training"), 0.6),
        (rule("accuracy", "worse_by", 1.2, "x", than="training"), 0.6),
    ],
    ids=lambda value: value.name if isinstance(value, RuleSpec) else "",
)
@pytest.mark.parametrize("confidence", ["point", "sequential"])
def test_quality_rules(asked: RuleSpec, right: float, confidence: Any) -> None:
    life = watch(replace(asked, confidence=confidence))
    for day in range(20):
        life.quality(matured(day, right=0.8))
    assert life.changes == ()
    for day in range(20, 40):
        life.quality(matured(day, right=right))

    assert life.told("opened") == ["quality"]
    assert only(life).severity == "warning"


def test_sequential_evidence_waits_where_a_point_rule_would_flap() -> None:
    """True accuracy 72 %, limit 70 %: a day of 100 labels lies below by chance all the time."""
    asked = rule("accuracy", "below", 70, "%")
    point, patient = watch(asked), watch(replace(asked, confidence="sequential"))
    for day in range(120):
        for life in (point, patient):
            life.quality(matured(day, right=0.72, n=100))

    assert point.told("opened") == ["quality"]
    assert patient.told("opened") == []


def test_traffic_is_compared_with_the_same_weekday() -> None:
    life = watch(rule("request_rate", "worse_by", 50, "%", than="baseline"))
    weekend = {2, 3}
    for day in range(42):
        life.pane(slow(day, 0, n=200 if day % 7 in weekend else 1_000))
    assert life.changes == ()
    life.pane(slow(42, 0, n=450))

    assert only(life).kind == "operational"


def test_silence_breaks_a_rule_on_the_request_rate() -> None:
    life = watch(rule("request_rate", "below", 0.001))
    life.pane(slow(0, 0))
    life.pane(slow(1, 0, n=0))

    assert only(life).kind == "operational"


def test_falling_for_three_days_needs_four_and_a_fall_on_each() -> None:
    asked = rule("accuracy", "falling_for", 9, "pp", over_s=3 * DAY)
    falling, bumpy = watch(asked), watch(asked)
    for day, right in enumerate((0.9, 0.8, 0.7, 0.6)):
        assert falling.changes == ()
        falling.quality(matured(day, right=right, n=4_000))
    for day, right in enumerate((0.9, 0.8, 0.85, 0.6)):
        bumpy.quality(matured(day, right=right, n=4_000))

    assert only(falling).kind == "quality"
    assert only(falling).streams[0].effect == pytest.approx(0.3, abs=0.05)
    assert bumpy.changes == ()


def test_a_hole_in_the_panes_begins_the_window_anew() -> None:
    life = watch(rule("error_rate", "above", 5, "%", over_s=3 * DAY))
    for day in (0, 1, 5, 6):
        life.pane(slow(day, 0, errors=200))
    assert life.changes == ()
    life.pane(slow(7, 0, errors=200))

    assert only(life).onset == 5 * DAY


def test_a_long_window_of_short_buckets_is_kept_in_few_parts() -> None:
    asked = rule("error_rate", "above", 5, "%", over_s=14 * DAY)
    life = watch(asked, bucket_s=3_600.0)
    arm = {CHAMPION: ArmCounts(n=10, errors=1)}
    for hour in range(14 * 24):
        assert life.changes == ()
        life.pane(PaneClosed(start=hour * 3_600.0, end=(hour + 1) * 3_600.0, arms=arm))

    assert only(life).streams[0].effect == pytest.approx(0.1)
    assert len(life.state.rules[asked.name].parts) <= PARTS_MAX + 1
    for hour in range(14 * 24, 30 * 24):
        life.pane(PaneClosed(start=hour * 3_600.0, end=(hour + 1) * 3_600.0, arms=arm))
    assert len(life.state.rules[asked.name].parts) <= PARTS_MAX + 1


def test_a_rule_that_the_policy_dropped_is_forgotten() -> None:
    life = watch(SKILL, ARRIVAL)
    life.quality(matured(0))
    assert set(life.state.rules) == {SKILL.name, ARRIVAL.name}
    life.watcher = watch(ARRIVAL).watcher
    life.quality(matured(1))

    assert set(life.state.rules) == {ARRIVAL.name}


def test_labels_that_come_twice_count_once() -> None:
    life = watch(SKILL)
    for day in range(14):
        life.quality(matured(day, right=0.4))
    before = life.state.to_bytes()
    life.quality(matured(13, right=0.4))

    assert life.state.to_bytes() == before


def test_drift_while_quality_suffers_is_more_than_a_note() -> None:
    life = watch(SKILL)
    for day in range(62):
        life.pane(pane(day))
        life.quality(matured(day, right=0.9))
    for day in range(62, 90):
        life.pane(pane(day, Day(warmer=2.0)))
        life.quality(matured(day, right=0.3))

    assert life.told("opened") == ["input_drift", "quality"]
    assert life.open("input_drift").severity == "warning"
    assert life.changes[0].incident.severity == "info"
    told = [c.change for c in life.changes if c.incident.severity != "info"]
    assert [change for change in told if change != "joined"][:2] == ["opened", "raised"]


def test_an_accepted_rule_keeps_quiet_until_it_was_met_once() -> None:
    life = watch(ARRIVAL)
    life.quality(matured(0, arrived=0.5))
    life.asked("accept", incident_id=only(life).incident_id)
    for day in range(1, 5):
        life.pane(pane(day))
        life.quality(matured(day, arrived=0.5))
    assert life.told("opened") == ["data_fault"]

    for day in range(5, 8):
        life.pane(pane(day))
        life.quality(matured(day, arrived=0.9 if day < 7 else 0.5))
    assert life.told("opened") == ["data_fault", "data_fault"]


def test_an_accepted_label_arrival_is_learned_anew() -> None:
    life = watch()
    for day in range(75):
        life.quality(matured(day, arrived=0.95 if day < 60 else 0.75))
    life.asked("accept", incident_id=only(life).incident_id)
    for day in range(75, 200):
        life.quality(matured(day, arrived=0.75))
    assert life.told("opened") == ["data_fault"]

    for day in range(200, 215):
        life.quality(matured(day, arrived=0.5))
    assert life.told("opened") == ["data_fault", "data_fault"]


def test_label_arrival_is_learned_from_panes_of_a_minute_too() -> None:
    asked = replace(spec(), clock=ClockSpec(pane_s=60.0, bucket_s=60.0))
    life = Watch(watcher=Watcher(asked, PROFILE))
    arms = matured(0, n=30).arms
    for minute in range(2_016):
        event = QualityMatured(start=minute * 60.0, end=(minute + 1) * 60.0, arms=arms)
        life.state = life.watcher.on_quality(life.state, event, "1").state

    assert life.state.arrival.fit is not None
    assert life.state.arrival.learning == ()
