"""The gate asks every condition, in the direction of its metric, and says what it saw."""

from typing import Any

import numpy as np
import pytest

from driftd.data.gate import enough, judge
from driftd.data.scores import QUALITY, Scores, difference_error, measure
from policies.metrics import METRICS
from policies.specs import Amount, GateSpec

RNG = np.random.default_rng(3)
TRUTH = RNG.random(4_000)
LABEL = (RNG.random(4_000) < TRUTH).astype(np.int64)
SUBJECT = np.arange(4_000) // 4
GOOD = Scores(score=TRUTH, label=LABEL, subject=SUBJECT, calls_ms=[1.0] * 99 + [9.0])
POOR = Scores(score=1 - TRUTH, label=LABEL, subject=SUBJECT, calls_ms=[2.0] * 100)


def _spec(metric: str, comparison: Any, value: float, unit: Any = "") -> GateSpec:
    name, amount = f"{metric} {comparison}", Amount(value=value, unit=unit)
    return GateSpec(name=name, metric=metric, comparison=comparison, amount=amount)


@pytest.mark.parametrize(
    ("spec", "passes"),
    [
        (_spec("brier", "better_by", 0.05), True),
        (_spec("brier", "better_by", 0.5), False),
        (_spec("brier", "better_by", 10, "%"), True),
        (_spec("brier", "better_by", 99, "%"), False),
        (_spec("auc", "better_by", 5, "pp"), True),
        (_spec("auc", "better_by", 90, "pp"), False),
        (_spec("auc", "worse_by_at_most", 0.0), True),
        (_spec("accuracy", "above", 70, "%"), True),
        (_spec("accuracy", "above", 95, "%"), False),
        (_spec("brier", "below", 0.2), True),
        (_spec("brier", "below", 0.1), False),
        (_spec("latency_p50", "below", 5, "ms"), True),
        (_spec("latency_p50", "below", 0.0005, "s"), False),
        (_spec("latency_p50", "worse_by_at_most", 1.1, "x"), True),
    ],
)
def test_each_comparison_knows_which_way_is_better(spec: GateSpec, passes: bool) -> None:
    result = judge(GOOD, POOR, gate=[spec])
    assert result.verdict == ("pass" if passes else "fail"), result.reasons
    assert result.reasons[0].startswith(f"{spec.name}: {spec.metric} ")


@pytest.mark.parametrize("unit", ["", "%", "pp", "x"])
def test_a_margin_may_be_given_away_and_no_more(unit: str) -> None:
    slightly = Scores(score=TRUTH * 0.99, label=LABEL, subject=SUBJECT)
    gone = judge(slightly, GOOD, gate=[]).metrics["brier"]["gain"]
    assert gone < 0
    base = judge(GOOD, None, gate=[]).metrics["brier"]["candidate"]
    exact = {"": -gone, "%": -100 * gone / base, "pp": -100 * gone, "x": 1 - gone / base}[unit]
    wide = exact * 1.01 if unit != "x" else 1 + (exact - 1) * 1.01
    narrow = exact * 0.99 if unit != "x" else 1 + (exact - 1) * 0.99
    assert (
        judge(slightly, GOOD, gate=[_spec("brier", "worse_by_at_most", wide, unit)]).verdict
        == "pass"
    )
    assert (
        judge(slightly, GOOD, gate=[_spec("brier", "worse_by_at_most", narrow, unit)]).verdict
        == "fail"
    )


def test_the_metric_of_the_incident_must_improve() -> None:
    assert judge(GOOD, POOR, gate=[], must_improve="brier_skill").verdict == "pass"
    same = judge(GOOD, GOOD, gate=[], must_improve="brier_skill")
    assert same.verdict == "fail"
    assert same.reasons[0].endswith("it raised the incident and must improve")


def test_every_condition_is_told_even_when_the_first_fails() -> None:
    specs = [_spec("brier", "below", 0.01), _spec("auc", "above", 0.5)]
    result = judge(GOOD, POOR, gate=specs, must_improve="f1")
    assert len(result.reasons) == 3
    assert result.verdict == "fail"


def test_without_a_champion_comparisons_are_not_asked() -> None:
    specs = [_spec("brier", "better_by", 0.5), _spec("brier", "below", 0.2)]
    result = judge(GOOD, None, gate=specs, must_improve="brier")
    assert result.verdict == "pass"
    assert result.reasons[0] == "brier better_by: not asked, there is no champion yet"
    assert set(result.metrics["brier"]) == {"candidate"}


def test_a_metric_that_cannot_be_measured_is_neither_pass_nor_fail() -> None:
    result = judge(GOOD, POOR, gate=[], must_improve="label_arrival")
    assert result.verdict == "not_evaluable"
    untimed = Scores(score=TRUTH, label=LABEL, subject=SUBJECT)
    assert judge(untimed, POOR, gate=[_spec("latency_p99", "below", 50, "ms")]).verdict == "fail"


@pytest.mark.parametrize(
    ("labels", "positives", "why"),
    [
        (499, 100, "499 labels since the onset, 500 are needed"),
        (600, 19, "19 positive labels since the onset, 20 are needed"),
        (600, 590, "10 negative labels since the onset, 20 are needed"),
        (500, 20, ""),
    ],
)
def test_few_labels_of_a_kind_cannot_decide(labels: int, positives: int, why: str) -> None:
    assert enough(labels, positives, "since the onset") == why


def test_what_the_gate_measures_is_what_the_catalog_calls_offline() -> None:
    offline = {name for name, metric in METRICS.items() if metric.offline}
    assert offline == {*QUALITY, *judge(GOOD, None, gate=[]).metrics}


def test_metrics_agree_with_their_definitions() -> None:
    tiny = Scores(
        score=np.array([0.9, 0.6, 0.4, 0.2, 0.6]),
        label=np.array([1, 0, 1, 0, 1]),
        subject=np.arange(5),
    )
    values = {name: measure(tiny, name)[0] for name in QUALITY}
    brier = (0.01 + 0.36 + 0.36 + 0.04 + 0.16) / 5
    assert values == pytest.approx(
        {
            "accuracy": 3 / 5,
            "auc": (2 + 1 + 1.5) / 6,
            "brier": brier,
            "brier_skill": 1 - brier / 0.24,
            "f1": 2 * 2 / (2 * 2 + 1 + 1),
            "precision": 2 / 3,
            "recall": 2 / 3,
        }
    )


@pytest.mark.parametrize("metric", QUALITY)
def test_the_standard_error_is_that_of_a_bootstrap_of_subjects(metric: str) -> None:
    """The delta method against its definition, on rows that come in clusters of four."""
    rng = np.random.default_rng(11)
    shared = np.repeat(rng.normal(size=1_000), 4)
    label = (rng.random(4_000) < 1 / (1 + np.exp(-shared))).astype(np.int64)
    left = np.clip(1 / (1 + np.exp(-shared)) + rng.normal(size=4_000) / 10, 0, 1)
    right = np.clip(0.5 + shared / 10 + rng.normal(size=4_000) / 10, 0, 1)

    def gain(rows: np.ndarray) -> float:
        one, two = (
            measure(Scores(score=s[rows], label=label[rows], subject=rows), metric)[0]
            for s in (left, right)
        )
        return one - two

    by_subject = np.arange(4_000).reshape(1_000, 4)
    draws = [gain(by_subject[rng.integers(0, 1_000, 1_000)].ravel()) for _ in range(300)]
    one, two = (
        measure(Scores(score=s, label=label, subject=SUBJECT), metric)[1] for s in (left, right)
    )
    assert difference_error(one, two, SUBJECT) == pytest.approx(np.std(draws), rel=0.2)


def test_one_class_only_is_undefined_and_holds_no_condition() -> None:
    one = Scores(score=TRUTH, label=np.ones(4_000, np.int64), subject=SUBJECT)
    assert np.isnan(measure(one, "auc")[0])
    assert judge(one, None, gate=[_spec("auc", "above", 0.1)]).verdict == "fail"
    assert "auc" in judge(one, None, gate=[]).metrics
    assert judge(one, None, gate=[]).metrics["auc"] == {}
