"""Mergeable counts from which accuracy, F1, Brier, Brier skill and AUC follow."""

from dataclasses import dataclass

import numpy as np

from detectors.contract import IntArray

SCORE_CELLS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class QualitySketch:
    """Joined labels in numbers; merged by adding. Histograms have shape (256,) over [0, 1]."""

    n: int
    positives: int
    brier_sum: float
    brier_sq_sum: float
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
