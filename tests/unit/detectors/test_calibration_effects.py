"""What scores are worth: silent when the base rate or the requests change, loud when meanings do."""

from collections.abc import Callable
from math import isnan

import numpy as np
import pytest
from scipy.special import expit, logit

from detectors.calibration import Calibration, calibration_of, standardised
from detectors.contract import FloatArray
from detectors.quality import QualitySketch


def sketch(scores: FloatArray, chances: FloatArray, seed: int = 0) -> QualitySketch:
    """Labels that come true with these chances, answers at one half."""
    labels = (np.random.default_rng([seed, 3]).random(len(scores)) < chances).astype(np.int64)
    return QualitySketch.fold(scores, (scores >= 0.5).astype(np.int64), labels)


def wrong_at(one: QualitySketch, base: float) -> float:
    return standardised(one.n, one.positives, one.fn, one.fp, base)


def scores(n: int, seed: int = 0, a: float = 0.6, b: float = 1.6) -> FloatArray:
    drawn: FloatArray = np.random.default_rng([seed, 4]).beta(a, b, n)
    return drawn


def test_without_a_change_both_effects_are_0_on_average_at_any_number_of_labels() -> None:
    for n in (50, 200, 2_000):
        found = [calibration_of(sketch(scores(n, i), scores(n, i), i)) for i in range(400)]

        assert abs(np.mean([one.excess_loss for one in found])) < 0.15 / n**0.5
        assert abs(np.mean([one.gap_effect for one in found])) < 0.06 / n**0.5


@pytest.mark.parametrize("shift", [-2.0, -1.0, 1.0, 2.0])
def test_another_base_rate_is_no_effect_although_the_brier_score_moves(shift: float) -> None:
    drawn = scores(200_000)
    before, after = sketch(drawn, drawn), sketch(drawn, expit(logit(drawn) + shift))

    assert abs(after.brier - before.brier) > 0.015
    assert calibration_of(after).excess_loss == pytest.approx(0, abs=0.003)
    assert calibration_of(after).gap_effect == pytest.approx(0, abs=0.003)
    assert calibration_of(after).gap < 0.005
    assert 1 - after.accuracy == pytest.approx(calibration_of(after).expected_wrong, abs=0.004)


@pytest.mark.parametrize(("a", "b"), [(0.3, 0.3), (2.0, 2.0), (5.0, 1.0)])
def test_other_requests_are_no_effect_although_the_brier_score_moves(a: float, b: float) -> None:
    usual, other = scores(200_000), scores(200_000, a=a, b=b)

    assert abs(sketch(other, other).brier - sketch(usual, usual).brier) > 0.01
    assert calibration_of(sketch(other, other)).excess_loss == pytest.approx(0, abs=0.003)
    assert calibration_of(sketch(other, other)).gap_effect == pytest.approx(0, abs=0.003)
    assert 1 - sketch(other, other).accuracy == pytest.approx(
        calibration_of(sketch(other, other)).expected_wrong, abs=0.004
    )


CONCEPTS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "a fifth of the labels means nothing any more": lambda p: 0.8 * p + 0.2 * p.mean(),
    "a tenth of the labels is turned round": lambda p: 0.9 * p + 0.1 * (1 - p),
    "what was sure is not": lambda p: expit(0.6 * logit(p)),
    "high scores lie": lambda p: np.where(p > 0.6, 0.4, p),
}


@pytest.mark.parametrize("concept", CONCEPTS.values(), ids=CONCEPTS)
def test_scores_that_mean_something_else_are_an_effect(
    concept: Callable[[FloatArray], FloatArray],
) -> None:
    drawn = scores(100_000)
    found = calibration_of(sketch(drawn, concept(drawn)))

    assert found.excess_loss > 0.02
    assert found.gap_effect > 0.015
    assert 1 - sketch(drawn, concept(drawn)).accuracy > found.expected_wrong + 0.005
    assert wrong_at(sketch(drawn, concept(drawn)), 0.27) > 1.1 * wrong_at(
        sketch(drawn, drawn), 0.27
    )


def test_both_are_what_a_sum_over_single_answers_gives() -> None:
    rng = np.random.default_rng(2)
    drawn = (rng.integers(0, 256, 700) + 0.5) / 256
    labels = (rng.random(700) < 0.3 + 0.3 * drawn).astype(np.int64)
    found = calibration_of(QualitySketch.fold(drawn, labels, labels))
    # The shift of all log odds at which the scores' mean is the labels' mean, by bisection.
    low, high = -20.0, 20.0
    for _ in range(200):
        middle = (low + high) / 2
        short = expit(logit(drawn) + middle).mean() < labels.mean()
        low, high = (middle, high) if short else (low, middle)
    moved = expit(logit(drawn) + low)
    order = np.argsort(drawn, kind="stable")
    ahead = np.cumsum((labels - moved)[order])
    ends = np.append(np.diff(drawn[order]) > 0, [True])

    assert found.excess_loss == pytest.approx(
        ((moved - labels) ** 2).mean() - (moved * (1 - moved)).mean(), abs=1e-9
    )
    assert found.gap == pytest.approx(np.abs(ahead[ends]).max() / 700, abs=1e-9)


def test_labels_of_one_class_or_answers_without_scores_say_nothing() -> None:
    one = QualitySketch.fold(np.full(9, 0.3), np.zeros(9, np.int64), np.zeros(9, np.int64))
    none = QualitySketch.fold(np.full(4, np.nan), np.zeros(4, np.int64), np.array([0, 1, 0, 1]))

    for empty in (one, none, QualitySketch.empty()):
        found: Calibration = calibration_of(empty)
        assert isnan(found.excess_loss)
        assert isnan(found.gap_effect)
    assert isnan(wrong_at(one, 0.2))
    assert wrong_at(none, 0.5) == 0.5


@pytest.mark.parametrize("score", [0.0, 1.0, 0.5])
def test_scores_that_are_all_the_same_are_moved_to_the_base_rate(score: float) -> None:
    labels = np.array([1] * 3 + [0] * 97)
    found = calibration_of(QualitySketch.fold(np.full(100, score), labels, labels))

    assert found.excess_loss == pytest.approx(0, abs=1e-9)
    assert found.gap == pytest.approx(0, abs=1e-9)


def test_the_share_of_wrong_answers_does_not_follow_the_base_rate() -> None:
    rng = np.random.default_rng(8)
    shares = []
    for base in (0.1, 0.5):
        labels = (rng.random(100_000) < base).astype(np.int64)
        answers = np.where(rng.random(100_000) < 0.2 + 0.1 * labels, 1 - labels, labels)
        one = QualitySketch.fold(np.full(100_000, np.nan), answers, labels)
        shares.append((1 - one.accuracy, wrong_at(one, 0.3)))

    (plain_low, low), (plain_high, high) = shares
    assert abs(plain_high - plain_low) > 0.03
    assert low == pytest.approx(high, abs=0.01)
