"""What monitoring tools do by default: p-values of each pane against the training sample."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogorov

from benchmarks.panes.regimes import Simulation
from detectors.contract import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
LEVEL, DISCOVERY_RATE, IN_A_ROW = 0.01, 0.05, 3


def p_values(simulation: Simulation, counts: IntArray) -> FloatArray:
    """Two-sample KS p-value (Kolmogorov's law) of each pane of a feature, shape (panes,)."""
    reference = simulation.reference[:-1]
    n, m = counts.sum(axis=1), int(reference.sum())
    gaps = np.abs(np.cumsum(counts, axis=1) / n[:, None] - np.cumsum(reference) / m).max(axis=1)
    p: FloatArray = kolmogorov(gaps * np.sqrt(n * m / (n + m)))
    return p


def below_level(p: FloatArray) -> BoolArray:
    """p < .01, pane by pane."""
    return p < LEVEL


def benjamini_hochberg(p: FloatArray) -> BoolArray:
    """False discoveries among the features of a pane held at 5 % (Benjamini, Hochberg 1995)."""
    features = p.shape[1]
    order = np.argsort(p, axis=1)
    ordered = np.take_along_axis(p, order, axis=1)
    good = ordered <= DISCOVERY_RATE * np.arange(1, features + 1) / features
    last = np.where(good.any(axis=1), features - np.argmax(good[:, ::-1], axis=1), 0)
    rejected = np.zeros(p.shape, bool)
    np.put_along_axis(rejected, order, np.arange(features) < last[:, None], axis=1)
    return rejected


def three_in_a_row(p: FloatArray) -> BoolArray:
    """p < .01 in three panes in a row."""
    low = p < LEVEL
    held = low.copy()
    for back in range(1, IN_A_ROW):
        held[back:] &= low[:-back]
    held[: IN_A_ROW - 1] = False
    return held


RULES: Mapping[str, Callable[[FloatArray], BoolArray]] = {
    "p_below_01": below_level,
    "benjamini_hochberg": benjamini_hochberg,
    "three_in_a_row": three_in_a_row,
}
