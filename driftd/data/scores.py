"""Exact quality metrics of scored rows, each with the influence of every row on it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np

from detectors.contract import FloatArray, IntArray

THRESHOLD = 0.5
# (score, label as 0.0 or 1.0) -> value, influence of each row, shape (rows,).
Measured = tuple[float, FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """One version's answers to the withheld rows: probabilities, labels 0/1, hashed subjects,
    shape (rows,) each, and the milliseconds of single calls."""

    score: FloatArray
    label: IntArray
    subject: IntArray
    calls_ms: Sequence[float] = ()


def measure(scores: Scores, metric: str) -> Measured:
    """The metric, and what each row adds to it (``value`` = mean of a linear form, to first order).

    NaN and zeros where it is undefined: one class only, nothing predicted, no call timed. Of a
    latency quantile no influence is given. ``KeyError`` for an unknown metric.
    """
    if metric.startswith("latency_p"):
        calls = np.asarray(scores.calls_ms, np.float64)
        value = float(np.percentile(calls, float(metric[9:]))) if len(calls) else nan
        return value, np.full(len(scores.label), nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _METRICS[metric](scores.score, scores.label.astype(np.float64))


def difference_error(left: FloatArray, right: FloatArray, subject: IntArray) -> float:
    """Standard error of a difference of two metrics on the same rows, clustered by subject.

    Rows of one subject are no independent evidence: their influences are summed first. NaN below
    two subjects. (Liang & Zeger 1986, sandwich estimate with C/(C-1).)
    """
    n = len(subject)
    _, cluster = np.unique(subject, return_inverse=True)
    sums = np.bincount(cluster, weights=left - right)
    count = len(sums)
    if count < 2:
        return nan
    return sqrt(float((sums**2).sum()) * count / (count - 1)) / n


def _brier(score: FloatArray, label: FloatArray) -> Measured:
    return _ratio((score - label) ** 2, np.ones(len(label)))


def _brier_skill(score: FloatArray, label: FloatArray) -> Measured:
    """1 - B / (p (1 - p)); its derivative by p moves with the share of positives."""
    brier, by_brier = _brier(score, label)
    share = float(label.mean()) if len(label) else nan
    spread = share * (1 - share)
    if not spread > 0:
        return _undefined(label)
    influence = -by_brier / spread + brier * (1 - 2 * share) / spread**2 * (label - share)
    return 1 - brier / spread, influence


def _auc(score: FloatArray, label: FloatArray) -> Measured:
    """P(a positive scores above a negative), ties at half; influences after DeLong 1988."""
    positive = label == 1
    above, below = np.sort(score[~positive]), np.sort(score[positive])
    if not len(above) or not len(below):
        return _undefined(label)
    wins = np.empty(len(score))
    wins[positive] = _midrank(above, score[positive])
    wins[~positive] = 1 - _midrank(below, score[~positive])
    value = float(wins[positive].mean())
    share = float(positive.mean())
    return value, (wins - value) / np.where(positive, share, 1 - share)


def _midrank(ordered: FloatArray, values: FloatArray) -> FloatArray:
    """Share of ``ordered`` below each value, equal ones at half."""
    low = np.searchsorted(ordered, values, "left")
    high = np.searchsorted(ordered, values, "right")
    return (low + high) / (2 * len(ordered))


def _accuracy(score: FloatArray, label: FloatArray) -> Measured:
    return _ratio((_said(score) == label).astype(np.float64), np.ones(len(label)))


def _precision(score: FloatArray, label: FloatArray) -> Measured:
    return _ratio(_said(score) * label, _said(score))


def _recall(score: FloatArray, label: FloatArray) -> Measured:
    return _ratio(_said(score) * label, label)


def _f1(score: FloatArray, label: FloatArray) -> Measured:
    return _ratio(2 * _said(score) * label, _said(score) + label)


def _said(score: FloatArray) -> FloatArray:
    return (score >= THRESHOLD).astype(np.float64)


def _ratio(top: FloatArray, bottom: FloatArray) -> Measured:
    """A ratio of two means and the influence of each row on it (delta method)."""
    if not bottom.sum() > 0:
        return _undefined(bottom)
    value = float(top.sum() / bottom.sum())
    return value, (top - value * bottom) / bottom.mean()


def _undefined(rows: FloatArray) -> Measured:
    return nan, np.zeros(len(rows))


_METRICS: Mapping[str, Callable[[FloatArray, FloatArray], Measured]] = {
    "accuracy": _accuracy,
    "auc": _auc,
    "brier": _brier,
    "brier_skill": _brier_skill,
    "f1": _f1,
    "precision": _precision,
    "recall": _recall,
}
QUALITY = tuple(_METRICS)
