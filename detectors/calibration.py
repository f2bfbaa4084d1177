"""Whether scores still mean what they say, at whatever base rate: what concept drift does to answers.

Winter has more late flights: the Brier score rises and nothing about the model has changed. So the
scores are first moved to the pane's own base rate, by one shift of all log odds; a pure change of the
base rate (prior shift) is then no effect at all, and neither is a change of the mix of requests
(covariate shift). What is left is a change of what a score means: P(label | score).
"""

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from scipy.special import expit, logit

from detectors.contract import FloatArray
from detectors.distances.ks import FLOOR
from detectors.quality import SCORE_CELLS, QualitySketch

_STEPS_MAX = 60
_CENTRES: FloatArray = (np.arange(SCORE_CELLS) + 0.5) / SCORE_CELLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the scores of ``n`` labels were worth; NaN without scores, or with labels of one class.

    ``excess_loss``: Brier score of the moved scores less what they themselves expect, mean of
    (p - y)² - p (1 - p), 0 on average while they mean what they say; in Brier's unit. Positive where
    they are too sure, negative where they are not sure enough (Spiegelhalter 1986, without the
    division by its noise). ``gap``: the largest cumulative difference between labels and moved
    scores in the order of scores, over n: the KS calibration error (Gupta et al., ICLR 2021); 0..1.
    ``gap_effect`` = gap - .87 sqrt(mean p (1 - p) / n), the mean of ``gap`` without any change: the
    sum of (label - p) is a Brownian bridge then, since the move makes it end at 0. ``where``: the
    score at the largest difference. ``expected_wrong``: the share of wrong answers that the moved
    scores expect where the highest scores are answered with 1, as many as were.
    """

    n: int
    excess_loss: float = nan
    gap: float = nan
    gap_effect: float = nan
    where: float = nan
    expected_wrong: float = nan


def calibration_of(sketch: QualitySketch) -> Calibration:
    """Measure it.

    >>> rng = np.random.default_rng(1)
    >>> scores = rng.beta(2, 5, 5_000)
    >>> def seen(chance):
    ...     labels = (rng.random(5_000) < chance).astype(np.int64)
    ...     return calibration_of(QualitySketch.fold(scores, labels * 0, labels))
    >>> usual, more, else_ = seen(scores), seen(expit(logit(scores) + 1)), seen(1 - scores)
    >>> [round(abs(one.excess_loss), 2) for one in (usual, more, else_)]
    [0.0, 0.0, 0.11]
    >>> [round(abs(one.gap_effect), 2) for one in (usual, more, else_)]
    [0.0, 0.0, 0.13]
    """
    ones, zeros = sketch.positive_scores, sketch.negative_scores
    counts = (ones + zeros).astype(np.float64)
    n, positives = int(counts.sum()), int(ones.sum())
    if not 0 < positives < n:
        return Calibration(n=n)
    moved = _moved(counts, positives)
    excess = float((ones * (1 - 2 * moved) + counts * (2 * moved**2 - moved)).sum()) / n
    ahead = np.cumsum(ones - counts * moved) / n
    cell = int(np.argmax(np.abs(ahead)))
    gap = float(abs(ahead[cell]))
    floor = FLOOR * sqrt(float((counts * moved * (1 - moved)).sum())) / n
    return Calibration(
        n=n,
        excess_loss=excess,
        gap=gap,
        gap_effect=gap - floor,
        where=float(_CENTRES[cell]),
        expected_wrong=_expected_wrong(counts, moved, (sketch.tp + sketch.fp) / sketch.n),
    )


def standardised(n: int, positives: int, fn: int, fp: int, base_rate: float) -> float:
    """Share of wrong answers as if ``base_rate`` of the labels were 1, by direct standardisation.

    base_rate fn / positives + (1 - base_rate) fp / negatives: more positives than usual are no worse
    answers. NaN without labels of both classes.

    >>> standardised(6, 2, 1, 1, 0.5), standardised(6, 2, 1, 1, 0.0)
    (0.375, 0.25)
    """
    if not 0 < positives < n:
        return nan
    return base_rate * fn / positives + (1 - base_rate) * fp / (n - positives)


def _expected_wrong(counts: FloatArray, moved: FloatArray, answered_1: float) -> float:
    n = float(counts.sum())
    higher = np.cumsum(counts[::-1])[::-1] - counts
    ones = np.clip(answered_1 * n - higher, 0, counts)
    return float((ones * (1 - moved) + (counts - ones) * moved).sum()) / n


def _moved(counts: FloatArray, positives: int) -> FloatArray:
    """The centres of the score cells, log odds shifted so that their mean is the labels' mean."""
    odds, low, high, shift = logit(_CENTRES), -40.0, 40.0, 0.0
    for _ in range(_STEPS_MAX):
        p = expit(odds + shift)
        short = positives - float((counts * p).sum())
        if abs(short) < 1e-9 * positives:
            break
        low, high = (shift, high) if short > 0 else (low, shift)
        step = short / max(float((counts * p * (1 - p)).sum()), 1e-12)
        shift = shift + step if low < shift + step < high else (low + high) / 2
    moved: FloatArray = expit(odds + shift)
    return moved
