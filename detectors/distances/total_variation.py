"""Total variation: the share of events that would have to move to look normal again."""

from dataclasses import dataclass
from math import nan, pi, sqrt
from typing import ClassVar

import numpy as np

from detectors.contract import Effect, FloatArray, IntArray, Layout
from detectors.distances.grouping import furthest, groups_of, summed


@dataclass(frozen=True, slots=True)
class TotalVariation:
    """Half of Σ \\|q - p\\| over groups of cells, 0 to 1, less its sampling floor.

    ``raw`` is the sum over groups as for PSI; ``value`` = raw - .5 Σ sqrt(2/π p(1-p)(1/n + 1/m)), the
    mean of ``raw`` without any change (each difference is then about normal). Unlike PSI and
    chi-square it has a largest value, and a name that appears adds its share and no more.
    Source: e.g. Levin, Peres, Wilmer 2009, chapter 4.

    >>> from detectors.sketches.category import CategoryLayout
    >>> layout = CategoryLayout(("a", "b"))
    >>> normal = np.array([0.5, 0.5, 0.0, 0.0])
    >>> effect = TotalVariation().measure(layout, normal, np.array([800, 200, 0, 0, 0]), m=10_000)
    >>> round(effect.raw, 2), round(effect.value, 2), effect.where
    (0.3, 0.29, 'a')
    """

    name: ClassVar[str] = "total_variation"
    kinds: ClassVar[frozenset[str]] = frozenset({"category", "numeric", "positive"})

    def measure(self, layout: Layout, normal: FloatArray, current: IntArray, *, m: int) -> Effect:
        """Compare; NaN (a gap) if nothing is present on either side."""
        present = current[:-1].astype(np.float64)
        n = int(present.sum())
        if n == 0 or not normal.sum() > 0:
            return Effect(distance=self.name, value=nan, raw=nan, n=n, m=m)
        group = groups_of(layout, normal, n)
        p, q = summed(group, normal), summed(group, present) / n
        parts = np.abs(q - p) / 2
        raw = float(parts.sum())
        noise = np.sqrt(np.clip(p * (1 - p), 0.0, None) * (1 / n + (1 / m if m else 0.0)))
        floor = sqrt(2 / pi) * float(noise.sum()) / 2
        where = layout.label(furthest(parts, group, np.abs(present / n - normal)))
        return Effect(distance=self.name, value=raw - floor, raw=raw, n=n, m=m, where=where)
