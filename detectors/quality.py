"""Mergeable counts from which accuracy, F1, Brier, Brier skill and AUC follow."""

from dataclasses import dataclass, fields
from math import nan, sqrt
from typing import Any

import numpy as np

from detectors.contract import FloatArray, IntArray

SCORE_CELLS = 256
# A float32 softmax may end a little above 1.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QualitySketch:
    """Joined labels in numbers; merged by adding. Histograms have shape (256,) over [0, 1].

    ``n`` labels, of which ``positives`` are 1; the four counts of predicted against true class over
    all ``n``; Brier sums and histograms over the ``scored`` ones, those whose score is a
    probability. What is undefined (no label, one class only) is NaN, never 0.

    >>> sketch = QualitySketch.fold(np.array([0.9, 0.2]), np.array([1, 0]), np.array([1, 0]))
    >>> sketch.accuracy, sketch.auc, round(sketch.brier, 3), round(sketch.brier_skill, 3)
    (1.0, 1.0, 0.025, 0.9)
    """

    n: int
    positives: int
    brier_sum: float
    """Σ (score - label)², so that Brier = brier_sum / scored."""
    brier_sq_sum: float
    """Σ (score - label)⁴, from which the Brier score's own noise follows."""
    tp: int
    fp: int
    tn: int
    fn: int
    positive_scores: IntArray
    negative_scores: IntArray

    @classmethod
    def empty(cls) -> "QualitySketch":
        """Nothing joined yet."""
        zeros = np.zeros(SCORE_CELLS, np.int64)
        return cls(
            n=0,
            positives=0,
            brier_sum=0.0,
            brier_sq_sum=0.0,
            tp=0,
            fp=0,
            tn=0,
            fn=0,
            positive_scores=zeros,
            negative_scores=zeros.copy(),
        )

    @classmethod
    def fold(cls, scores: FloatArray, predicted: IntArray, labels: IntArray) -> "QualitySketch":
        """Count rows of (score, predicted class 0/1, label 0/1), arrays of equal shape (n,).

        A score that is NaN or no probability leaves its row out of Brier and AUC only. ValueError
        for classes other than 0 and 1.
        """
        scores = np.asarray(scores, np.float64)
        hit, true = np.asarray(predicted, np.int64), np.asarray(labels, np.int64)
        if not (scores.shape == hit.shape == true.shape and scores.ndim == 1):
            raise ValueError("scores, predicted and labels must be rows of equal length")
        if ((hit | true | 1) != 1).any():
            raise ValueError("predicted and labels must be 0 or 1")
        usable = (scores >= -_ROUNDING) & (scores <= 1 + _ROUNDING)
        p, y = np.clip(scores[usable], 0, 1), true[usable]
        loss = (p - y) ** 2
        cells = np.minimum((p * SCORE_CELLS).astype(np.int64), SCORE_CELLS - 1)
        tp, fp, fn = (
            int((hit & true).sum()),
            int((hit & (1 - true)).sum()),
            int((true & (1 - hit)).sum()),
        )
        return cls(
            n=len(true),
            positives=int(true.sum()),
            brier_sum=float(loss.sum()),
            brier_sq_sum=float((loss**2).sum()),
            tp=tp,
            fp=fp,
            tn=len(true) - tp - fp - fn,
            fn=fn,
            positive_scores=np.bincount(cells[y == 1], minlength=SCORE_CELLS),
            negative_scores=np.bincount(cells[y == 0], minlength=SCORE_CELLS),
        )

    def merge(self, other: "QualitySketch") -> "QualitySketch":
        """Both together, in any order."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in _NAMES}
        return QualitySketch(**sums)

    @property
    def scored(self) -> int:
        """How many labels have a score that is a probability."""
        return int(self.positive_scores.sum() + self.negative_scores.sum())

    @property
    def accuracy(self) -> float:
        """(tp + tn) / n."""
        return _ratio(self.tp + self.tn, self.n)

    @property
    def precision(self) -> float:
        """tp / (tp + fp)."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """tp / (tp + fn)."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """2 tp / (2 tp + fp + fn)."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def brier(self) -> float:
        """Mean squared error of the score as a probability (Brier 1950); 0 is perfect."""
        return _ratio(self.brier_sum, self.scored)

    @property
    def brier_error(self) -> float:
        """Standard error of ``brier`` for independent rows."""
        if self.scored < 2:
            return nan
        spread = self.brier_sq_sum / self.scored - self.brier**2
        return sqrt(max(spread, 0.0) / (self.scored - 1))

    @property
    def brier_skill(self) -> float:
        """1 - Brier / (p̄ (1 - p̄)), p̄ the positive share of the same rows; NaN if p̄ is 0 or 1."""
        share = _ratio(int(self.positive_scores.sum()), self.scored)
        return 1 - self.brier / (share * (1 - share)) if 0 < share < 1 else nan

    @property
    def auc(self) -> float:
        """P(a positive scores above a negative), ties at half, on 256 score cells (Mann-Whitney)."""
        lower = np.cumsum(self.negative_scores) - self.negative_scores
        wins = float((self.positive_scores * (lower + 0.5 * self.negative_scores)).sum())
        return _ratio(wins, int(self.positive_scores.sum()) * int(self.negative_scores.sum()))

    @property
    def auc_error(self) -> float:
        """Standard error of ``auc`` (Hanley, McNeil 1982); NaN without labels of both classes."""
        ones, zeros = int(self.positive_scores.sum()), int(self.negative_scores.sum())
        if not ones or not zeros:
            return nan
        auc = self.auc
        q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
        spread = auc * (1 - auc) + (ones - 1) * (q1 - auc**2) + (zeros - 1) * (q2 - auc**2)
        return sqrt(max(spread, 0.0) / (ones * zeros))

    def __eq__(self, other: object) -> bool:
        """The same numbers in every field."""
        return isinstance(other, QualitySketch) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # histograms are arrays

    def to_dict(self) -> dict[str, Any]:
        """Plain values; histograms as lists."""
        plain = {name: getattr(self, name) for name in _NAMES}
        return {**plain, **{name: plain[name].tolist() for name in _HISTOGRAMS}}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "QualitySketch":
        """The sketch that ``to_dict`` wrote down."""
        arrays = {name: np.array(values[name], np.int64) for name in _HISTOGRAMS}
        return cls(**{**values, **arrays})


_NAMES = tuple(item.name for item in fields(QualitySketch))
_HISTOGRAMS = ("positive_scores", "negative_scores")


def _ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom else nan
