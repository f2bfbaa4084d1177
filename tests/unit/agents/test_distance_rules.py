"""Rules on distances: of one stream, of the stream that is furthest off, and on a p-value."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ks_2samp

from agents.watching.distance_measures import DistanceFromNormal
from agents.watching.rules import PARTS_MAX_WIDE
from detectors.baseline import Baseline
from detectors.sketches.numeric import NumericLayout
from policies.specs import Amount, DriftSpec, RuleSpec
from tests.support.watched import DAY, PROFILE, Day, Watch, bucket, pane, values, watch

HOUR = 3_600.0


def rule(metric: str, limit: float, of: str | None = None, over_s: float = DAY) -> RuleSpec:
    """A rule that fires when the metric is on its far side of the limit."""
    return RuleSpec(
        name=f"{metric} of {of}",
        metric=metric,
        comparison="below" if metric == "ks_p" else "above",
        amount=Amount(value=limit),
        of=of,
        over_s=over_s,
        min_events=100,
    )


LIMITS = {
    "chi_square": 0.2,
    "jensen_shannon": 0.2,
    "ks": 0.2,
    # Days of this model differ by .15 sd of temperature: a p-value of 1e-5 is usual.
    "ks_p": 1e-12,
    "psi": 0.2,
    "total_variation": 0.2,
    "wasserstein": 0.5,
}


@pytest.mark.parametrize("of", ["temp", None])
@pytest.mark.parametrize(("metric", "limit"), LIMITS.items(), ids=LIMITS)
def test_a_distance_fires_when_a_stream_moves_and_says_which(
    metric: str, limit: float, of: str | None
) -> None:
    life = watch(rule(metric, limit, of))
    life.days(0, 3)
    assert life.changes == ()
    life.pane(pane(3, Day(warmer=1.5)))

    (incident,) = life.state.incidents
    assert incident.kind == "input_drift"
    (moved,) = incident.streams
    assert moved.stream == (of or metric)
    assert ("temp" in moved.how) == (of is None or "temp" in moved.rule)
    assert moved.how.startswith(f"{metric} of {of}: {'' if of else 'temp '}")


def test_the_furthest_stream_may_change_while_the_incident_is_one_and_ends() -> None:
    life = watch(rule("ks", 0.2))
    life.days(0, 2)
    life.days(2, 4, Day(warmer=1.5))
    life.days(4, 6, Day(distance=3.0))
    life.days(6, 13)

    assert life.told("opened") == life.told("closed") == ["input_drift"]


def test_a_stream_that_is_ignored_does_not_speak_for_all() -> None:
    life = watch(rule("ks", 0.2), drift=DriftSpec(ignore=frozenset({"temp"})))
    life.days(0, 5, Day(warmer=3.0))
    assert life.changes == ()
    life.days(5, 6, Day(distance=3.0))

    assert life.told("opened") == ["input_drift"]


def test_a_stream_of_few_values_does_not_speak() -> None:
    life = watch(replace(rule("ks", 0.2), min_events=300))
    life.days(0, 5, Day(warmer=3.0, missing=0.4))
    assert life.changes == ()
    life.days(5, 6, Day(warmer=3.0, missing=0.1))

    assert life.told("opened") == ["input_drift"]


def test_names_are_not_compared_by_a_distance_of_numbers() -> None:
    life = watch(rule("ks", 0.0001, "carrier"))
    life.days(0, 5, Day(unseen=0.9))

    assert life.changes == ()


def test_a_window_of_every_stream_is_kept_in_few_parts() -> None:
    asked = rule("psi", 0.2)
    life = watch(asked, bucket_s=HOUR)
    columns = values(0, Day(n=1_200))
    for hour in range(60):
        each = {name: column[hour % 24 * 50 :][:50] for name, column in columns.items()}
        life.pane(bucket(each, hour * HOUR, (hour + 1) * HOUR))

    track = life.state.rules[asked.name]
    assert len(track.parts) <= PARTS_MAX_WIDE + 1
    assert track.parts[-1].end - track.parts[0].start < DAY * (1 + 1 / PARTS_MAX_WIDE) + HOUR
    assert track.value == track.value
    assert life.changes == ()


def test_the_p_value_is_that_of_the_window_against_training() -> None:
    asked = rule("ks_p", 1e-12, "temp")
    life = watch(asked)
    life.days(0, 1, Day(warmer=0.1))
    reference, now = PROFILE.streams["temp"], values(0, Day(warmer=0.1))["temp"]
    # 11,200 values that lie as the reference's cells do, at the cells' upper edges.
    assert isinstance(reference.layout, NumericLayout)
    cells = np.repeat([*reference.layout.edges, 9.0], reference.counts[:-1])
    edges = np.array([*reference.layout.edges, 9.0])
    current = edges[np.searchsorted(reference.layout.edges, now)]

    assert life.state.rules[asked.name].value == pytest.approx(
        ks_2samp(cells, current, method="asymp").pvalue, rel=0.25
    )


def test_a_window_of_some_hours_is_compared_with_those_hours() -> None:
    layout = NumericLayout((1.0, 2.0, 3.0))
    counts = np.zeros((48, 4), np.int64)
    counts[:24, 0], counts[8, 1], counts[9, 2] = 100, 1_000, 3_000
    measure = DistanceFromNormal("ks", "x", layout, None, Baseline(counts=counts))
    # Thursday, 8:00 to 10:00: three of four values lie in the third cell, as those hours are.
    usual = np.array([50, 250, 750, 0, 0])

    assert measure.measured(usual, 8 * HOUR, 10 * HOUR) < 0.03
    assert measure.measured(usual, 8 * HOUR, 9 * HOUR) > 0.6
    assert measure.measured(usual, 0.0, DAY) > 0.1


def test_a_missing_feature_is_named_where_the_rule_names_none() -> None:
    asked = RuleSpec(
        name="missing_ratio above 5%",
        metric="missing_ratio",
        comparison="above",
        amount=Amount(value=5.0, unit="%"),
        over_s=DAY,
    )
    life: Watch = watch(asked)
    life.days(0, 1, Day(missing=0.2))

    assert life.state.incidents[0].streams[0].how.startswith("missing_ratio above 5%: temp 0.2")
