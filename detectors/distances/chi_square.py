"""Chi-square: the squared differences of grouped shares, relative to what the groups hold."""

from dataclasses import dataclass
from math import nan
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from detectors.contract import Effect, FloatArray, IntArray, Layout
from detectors.distances.grouping import furthest, groups_of, pooled, summed


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """Two-sample chi-square an event: Σ (q - p)² / h over groups of cells, less its sampling floor.

    ``p`` are the normal shares of ``m`` events, ``q`` the current ones of ``n``, and h = (n q + m p)
    / (n + m) those of both together. Pearson's statistic is X² = raw n m / (n + m), so ``raw`` is
    the same change at any number of events (Cohen's w² for a large reference), and for small
    changes it is PSI. ``value`` = raw - (K - 1)(1/n + 1/m), the mean of ``raw`` without any change;
    numbers are grouped as for PSI, and the lightest groups put together, ``unseen`` too, until each
    of the K expects 5 of the ``n`` events: else the chi-square law fails. No unit; 0 without a
    change. An unknown ``m`` (0) counts as infinitely many.
    Source: Pearson 1900; effect: Cohen 1988.

    >>> from detectors.sketches.category import CategoryLayout
    >>> layout = CategoryLayout(("a", "b"))
    >>> normal, current = np.array([0.5, 0.5, 0.0, 0.0]), np.array([60, 40, 0, 0, 0])
    >>> effect = ChiSquare().measure(layout, normal, current, m=100)
    >>> round(effect.raw * 50, 2), round(effect.value, 3), effect.where
    (2.02, 0.02, 'b')
    >>> round(ChiSquare().p_value(layout, normal, current, m=100), 3)
    0.155
    """

    name: ClassVar[str] = "chi_square"
    kinds: ClassVar[frozenset[str]] = frozenset({"category", "numeric", "positive"})

    def measure(self, layout: Layout, normal: FloatArray, current: IntArray, *, m: int) -> Effect:
        """Compare; NaN (a gap) if nothing is present on either side."""
        present = current[:-1].astype(np.float64)
        n = int(present.sum())
        if n == 0 or not normal.sum() > 0:
            return Effect(distance=self.name, value=nan, raw=nan, n=n, m=m)
        group, parts, freedom = _parts(layout, normal, present, m)
        raw = float(parts.sum())
        where = layout.label(furthest(parts, group, np.abs(present / n - normal)))
        value = raw - freedom * (1 / n + (1 / m if m else 0.0))
        return Effect(distance=self.name, value=value, raw=raw, n=n, m=m, where=where)

    def p_value(self, layout: Layout, normal: FloatArray, current: IntArray, *, m: int) -> float:
        """P(X² at least this large) if nothing changed and events are independent: for display.

        It falls with every event that comes, however little has changed: no decision rests on it.
        """
        present = current[:-1].astype(np.float64)
        n = int(present.sum())
        if n == 0 or not normal.sum() > 0:
            return nan
        _, parts, freedom = _parts(layout, normal, present, m)
        both = n * m / (n + m) if m else n
        return float(chdtrc(freedom, float(parts.sum()) * both)) if freedom else 1.0


def _parts(
    layout: Layout, normal: FloatArray, present: FloatArray, m: int
) -> tuple[NDArray[np.int64], FloatArray, int]:
    """The group of each cell, what each group adds, degrees of freedom."""
    n = int(present.sum())
    group = pooled(groups_of(layout, normal, n), normal, n)
    p, q = summed(group, normal), summed(group, present) / n
    parts = (q - p) ** 2 / ((n * q + m * p) / (n + m) if m else p)
    return group, parts, len(parts) - 1
