"""Quality follows from counts that can be added up."""

import json
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.quality import QualitySketch

rows = st.lists(
    st.tuples(st.floats(0, 1) | st.just(float("nan")), st.integers(0, 1), st.integers(0, 1)),
    max_size=60,
)


def fold(table: list[tuple[float, int, int]]) -> QualitySketch:
    columns = np.array(table, np.float64).reshape(-1, 3)
    return QualitySketch.fold(columns[:, 0], columns[:, 1].astype(int), columns[:, 2].astype(int))


def flights(n: int) -> list[tuple[float, int, int]]:
    rng = np.random.default_rng(3)
    late = rng.random(n) < 0.24
    score = np.clip(rng.beta(2, 6, n) + 0.15 * late, 0, 1)
    return list(zip(score.tolist(), (score > 0.5).astype(int), late.astype(int), strict=True))


@settings(deadline=None, max_examples=80)
@given(one=rows, two=rows)
def test_merging_equals_folding_at_once(one: list, two: list) -> None:  # type: ignore[type-arg]
    merged, whole = fold(two).merge(fold(one)), fold(one + two)

    for name in ("n", "positives", "tp", "fp", "tn", "fn", "scored"):
        assert getattr(merged, name) == getattr(whole, name)
    assert merged.brier_sum == pytest.approx(whole.brier_sum)
    assert merged.auc == pytest.approx(whole.auc, nan_ok=True)
    assert merged.tp + merged.fp + merged.tn + merged.fn == merged.n


def test_agrees_with_the_definitions() -> None:
    table = flights(5_000)
    p, hit, y = (np.array(column) for column in zip(*table, strict=True))
    sketch = fold(table)
    tp, fp, fn = (hit & y).sum(), (hit & (1 - y)).sum(), ((1 - hit) & y).sum()

    assert sketch.accuracy == pytest.approx((hit == y).mean())
    assert sketch.precision == pytest.approx(tp / (tp + fp))
    assert sketch.recall == pytest.approx(tp / (tp + fn))
    assert sketch.f1 == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert sketch.brier == pytest.approx(((p - y) ** 2).mean())
    assert sketch.brier_skill == pytest.approx(1 - sketch.brier / (y.mean() * (1 - y.mean())))
    assert sketch.brier_error == pytest.approx(((p - y) ** 2).std(ddof=1) / 5_000**0.5, rel=1e-6)


def test_auc_is_the_share_of_pairs_in_the_right_order_with_ties_at_half() -> None:
    table = flights(600)
    cells = [(min(int(p * 256), 255), y) for p, _, y in table]
    ups = np.array([cell for cell, y in cells if y])
    downs = np.array([cell for cell, y in cells if not y])
    pairs = ups[:, None] - downs[None, :]
    expected = ((pairs > 0) + 0.5 * (pairs == 0)).mean()

    assert fold(table).auc == pytest.approx(expected)
    assert fold([(0.5, 1, 1), (0.5, 1, 0)]).auc == 0.5


@pytest.mark.parametrize("label", [0, 1])
def test_with_one_class_only_skill_and_auc_are_unknown_not_zero(label: int) -> None:
    sketch = fold([(0.2, 0, label)] * 10)

    assert isnan(sketch.brier_skill)
    assert isnan(sketch.auc)
    assert sketch.brier == pytest.approx((0.2 - label) ** 2)


def test_nothing_joined_is_nan_everywhere() -> None:
    empty = QualitySketch.empty()
    names = ("accuracy", "precision", "recall", "f1", "brier", "brier_skill", "brier_error", "auc")

    assert all(isnan(getattr(empty, name)) for name in names)
    assert fold([]) == empty


@pytest.mark.parametrize("score", [float("nan"), -0.5, 1.5, float("inf")])
def test_a_score_that_is_no_probability_leaves_only_brier_and_auc_out(score: float) -> None:
    sketch = fold([(score, 1, 1), (0.8, 1, 1), (0.1, 0, 0)])

    assert (sketch.n, sketch.scored, sketch.accuracy) == (3, 2, 1.0)
    assert sketch.brier == pytest.approx((0.2**2 + 0.1**2) / 2)


def test_a_rounding_error_above_1_is_a_probability() -> None:
    assert fold([(1.0000001, 1, 1)]).scored == 1


def test_classes_other_than_0_and_1_are_refused() -> None:
    with pytest.raises(ValueError, match="0 or 1"):
        QualitySketch.fold(np.array([0.5]), np.array([2]), np.array([1]))
    with pytest.raises(ValueError, match="equal length"):
        QualitySketch.fold(np.array([0.5]), np.array([1, 1]), np.array([1]))


def test_survives_json() -> None:
    sketch = fold(flights(200))

    assert QualitySketch.from_dict(json.loads(json.dumps(sketch.to_dict()))) == sketch
    assert sketch != QualitySketch.empty()
