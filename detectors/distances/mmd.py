"""Maximum mean discrepancy: how far apart two distributions of vectors lie, seen through a kernel."""

from dataclasses import dataclass
from math import copysign, nan, sqrt
from typing import ClassVar

import numpy as np
from scipy.stats import chi2

from detectors.contract import Effect, FloatArray, IntArray, Layout, events
from detectors.sketches.vector import VectorLayout

# A reference whose vectors are all alike has no spread to measure by.
SPREAD_MIN = 1e-4


@dataclass(frozen=True, slots=True)
class MMD:
    """d_k = sqrt((MMD² - tr/n - tr/m) / tr): the distance of two means of phi, in spreads of phi.

    MMD² = ||mean phi(current) - mean phi(normal)||² under the layout's Gaussian kernel; tr = 1 -
    ||mean phi(normal)||² is the trace of the covariance of phi, its spread; tr/n + tr/m is what
    chance alone adds to MMD². ``raw`` = MMD / sqrt(tr), ``value`` = d_k: no unit, .05 is the usual
    tolerance (a tenth of the sentences on a new topic). Where chance has added less than usual, the
    difference is negative, and so is ``value`` = -sqrt(-difference): cutting it at 0 would make the
    mean of small panes, whose noise is larger, larger than that of big ones, and quiet hours would
    look like drift. ``where``: the coordinate whose mean moved most.

    Sources: Gretton et al. 2012, JMLR 13; features: Rahimi, Recht 2007.

    >>> draw = np.random.default_rng(1).normal
    >>> layout = VectorLayout.from_reference(draw(size=(1000, 8)))
    >>> counts = layout.fold(draw(size=(5000, 8)))
    >>> normal = counts[:-1] / counts[:-1].sum()
    >>> moved = layout.fold(draw(size=(500, 8)) + np.eye(8)[3])
    >>> effect = MMD().measure(layout, normal, moved, m=5000)
    >>> round(effect.value, 2), effect.n, effect.where
    (0.32, 500, 'coordinate 3 (mean +1.04)')
    """

    name: ClassVar[str] = "mmd"
    kinds: ClassVar[frozenset[str]] = frozenset({"vector"})

    def measure(self, layout: Layout, normal: FloatArray, current: IntArray, *, m: int) -> Effect:
        """Compare; NaN (a gap) if nothing is present on either side, or the layout has no kernel."""
        n = events(layout, current)
        if n == 0 or not normal.sum() > 0 or not isinstance(layout, VectorLayout):
            return Effect(distance=self.name, value=nan, raw=nan, n=n, m=m)
        squared, spread = _squared(layout, normal, current, m)
        left = squared / spread - _chance(n, m)
        shift = self.mean_shift(layout, normal, current)
        most = int(np.argmax(np.abs(shift)))
        return Effect(
            distance=self.name,
            value=copysign(sqrt(abs(left)), left),
            raw=sqrt(squared / spread),
            n=n,
            m=m,
            where=f"coordinate {most} (mean {shift[most]:+.3g})",
        )

    def mean_shift(self, layout: VectorLayout, normal: FloatArray, current: IntArray) -> FloatArray:
        """By how much the plain mean moved, shape (dimension,), in the vectors' own unit.

        Its length is the MMD of a linear kernel, which sees no change of scale or shape: for people.
        """
        present = current[:-1]
        shares = present / max(int(present.sum()), 1)
        return layout.mean_vector(shares) - layout.mean_vector(normal)

    def p_value(self, layout: Layout, normal: FloatArray, current: IntArray, *, m: int) -> float:
        """P(MMD at least this large) if nothing changed and events are independent: for display.

        It falls with every event that comes, however little has changed: no decision rests on it.
        NaN where nothing can be said.
        """
        n = events(layout, current)
        if n == 0 or not normal.sum() > 0 or not isinstance(layout, VectorLayout):
            return nan
        squared, _ = _squared(layout, normal, current, m)
        return hall_buckley_eagleson(squared / _chance(n, m), layout.moments)


def hall_buckley_eagleson(t: float, moments: tuple[float, float, float]) -> float:
    """P(Σ λ χ²₁ ≥ t) from Σ λ, Σ λ², Σ λ³: a chi-square of the same mean, variance and skewness.

    1.8e-4 where 1e-4 is said, 2.1e-5 where 1e-5 is (the normal law: 3.8e-3, 1.8e-3). NaN without a
    spectrum. Source: Hall 1983; Buckley, Eagleson 1988.

    >>> round(hall_buckley_eagleson(3.841, (1.0, 1.0, 1.0)), 4)
    0.05
    """
    mean, variance, skew = moments[0], 2 * moments[1], 8 * moments[2]
    if not (variance > 0 and skew > 0):
        return nan
    freedom = 8 * variance**3 / skew**2
    return float(chi2.sf((t - mean) / sqrt(variance) * sqrt(2 * freedom) + freedom, freedom))


def _squared(
    layout: VectorLayout, normal: FloatArray, current: IntArray, m: int
) -> tuple[float, float]:
    """MMD² as it is, and the trace of the covariance of phi behind ``normal``."""
    present = current[:-1]
    was = layout.mean_features(normal)
    moved = layout.mean_features(present / int(present.sum())) - was
    # A mean of m vectors is longer than the true one by tr/m.
    spread = (1 - float(was @ was)) * (m / (m - 1) if m > 1 else 1.0)
    return float(moved @ moved), max(spread, SPREAD_MIN)


def _chance(n: int, m: int) -> float:
    return 1 / n + (1 / m if m else 0.0)
