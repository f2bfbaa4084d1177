"""Jensen-Shannon: how well one event tells whether it is normal or current."""

from dataclasses import dataclass
from math import exp, lgamma, log, nan, sqrt
from typing import ClassVar

import numpy as np
from scipy.special import xlogy

from detectors.contract import Effect, FloatArray, IntArray, Layout
from detectors.distances.grouping import furthest, groups_of, summed


@dataclass(frozen=True, slots=True)
class JensenShannon:
    """The Jensen-Shannon distance over groups of cells, base 2, 0 to 1, less its sampling floor.

    ``raw`` = sqrt((KL(p, h) + KL(q, h)) / 2), h = (p + q) / 2, logarithms to base 2: the square root
    of the divergence in bits, what SciPy's ``jensenshannon(p, q, 2)`` gives; ``p`` are the normal
    shares and ``q`` the current ones, grouped as for PSI. It stays finite where a group is empty.
    Without any change 8 ln 2 raw² / (1/n + 1/m) is about chi-square with K - 1 degrees, so ``value``
    = raw - sqrt((1/n + 1/m) / (8 ln 2)) E[chi(K - 1)] is 0 on average; negative values are kept.
    Source: Lin 1991; metric: Endres, Schindelin 2003.

    >>> from detectors.sketches.category import CategoryLayout
    >>> layout = CategoryLayout(("a", "b"))
    >>> normal = np.array([0.5, 0.5, 0.0, 0.0])
    >>> effect = JensenShannon().measure(layout, normal, np.array([900, 100, 0, 0, 0]), m=10_000)
    >>> round(effect.raw, 3), round(effect.value, 3), effect.where
    (0.383, 0.372, 'b')
    """

    name: ClassVar[str] = "jensen_shannon"
    kinds: ClassVar[frozenset[str]] = frozenset({"category", "numeric", "positive"})

    def measure(self, layout: Layout, normal: FloatArray, current: IntArray, *, m: int) -> Effect:
        """Compare; NaN (a gap) if nothing is present on either side."""
        present = current[:-1].astype(np.float64)
        n = int(present.sum())
        if n == 0 or not normal.sum() > 0:
            return Effect(distance=self.name, value=nan, raw=nan, n=n, m=m)
        group = groups_of(layout, normal, n)
        p, q = summed(group, normal), summed(group, present) / n
        half = (p + q) / 2
        parts = (xlogy(p, p) + xlogy(q, q)) / 2 - xlogy(half, half)
        raw = sqrt(max(float(parts.sum()) / log(2), 0.0))
        noise = sqrt((1 / n + (1 / m if m else 0.0)) / (8 * log(2)))
        value = raw - noise * _mean_chi(int((p > 0).sum()) - 1)
        where = layout.label(furthest(parts, group, np.abs(present / n - normal)))
        return Effect(distance=self.name, value=value, raw=raw, n=n, m=m, where=where)


def _mean_chi(freedom: int) -> float:
    """E of the root of a chi-square with so many degrees of freedom."""
    if freedom < 1:
        return 0.0
    return sqrt(2) * exp(lgamma((freedom + 1) / 2) - lgamma(freedom / 2))
