"""Wasserstein: how far values have to be carried, on average, to look normal again."""

from dataclasses import dataclass
from math import nan, pi, sqrt
from typing import ClassVar

import numpy as np

from detectors.contract import Effect, FloatArray, IntArray, Layout
from detectors.sketches.numeric import NumericLayout
from detectors.sketches.positive import PositiveLayout


@dataclass(frozen=True, slots=True)
class Wasserstein:
    """1-Wasserstein distance in units of the normal's own standard deviation, less its floor.

    ``raw`` = ∫ \\|C(x) - B(x)\\| dx / sd(B): a mean that moves by .3 sd gives .3 in whatever unit the
    feature comes. Within a cell both cumulative shares are straight lines (exact where the layout
    keeps the reference whole, cell by cell). The two outer cells are open: what lies beyond the
    outermost edge counts as lying at it, so that one wild value is no drift, and a unit that
    changed gives a large number and not an astronomic one; sd(B) is measured in the same way.
    ``value`` = raw - sqrt(2/π (1/n + 1/m)) ∫ sqrt(B(1-B)) dx / sd(B), the mean of ``raw`` without
    any change. ``where``: the cell over which most is carried. NaN (a gap) also where the normal
    never varies: it has no spread to measure in; KS sees such a value change.
    Source: Vallender 1974 (as an area between cumulative shares); floor: del Barrio, Giné,
    Matrán 1999.

    >>> layout = NumericLayout((0.0, 1.0, 2.0, 3.0))
    >>> normal, moved = np.array([0.0, 0.5, 0.0, 0.5, 0.0]), np.array([0, 0, 50, 50, 0, 0])
    >>> effect = Wasserstein().measure(layout, normal, moved, m=0)
    >>> round(effect.raw, 3), round(effect.value, 3), effect.where
    (0.48, 0.404, '(0.0, 1.0]')
    """

    name: ClassVar[str] = "wasserstein"
    kinds: ClassVar[frozenset[str]] = frozenset({"numeric", "positive"})

    def measure(self, layout: Layout, normal: FloatArray, current: IntArray, *, m: int) -> Effect:
        """Compare; NaN (a gap) if nothing is present on either side, or the normal never varies."""
        present = current[:-1].astype(np.float64)
        n = int(present.sum())
        gap = Effect(distance=self.name, value=nan, raw=nan, n=n, m=m)
        if n == 0 or not normal.sum() > 0 or not isinstance(layout, NumericLayout | PositiveLayout):
            return gap
        edges = _snapped(layout.bounds)
        before, now = np.cumsum(normal)[:-1], np.cumsum(present / n)[:-1]
        # Divided by the span first: edges of 1e300 have widths whose squares overflow.
        span = float(edges[-1] / 2 - edges[0] / 2) * 2 if len(edges) else 0.0
        if not 0 < span < np.inf:
            return gap
        widths = np.diff(edges / span)
        spread = _spread(edges / span, normal)
        if not spread > 0:
            return gap
        areas = _area(now - before) * widths
        raw = float(areas.sum()) / spread
        waves = np.sqrt(np.clip(before * (1 - before), 0.0, None))
        floor = sqrt(2 / pi * (1 / n + (1 / m if m else 0.0)))
        floor *= float(((waves[1:] + waves[:-1]) / 2 * widths).sum()) / spread
        where = layout.label(int(np.argmax(areas)) + 1)
        return Effect(distance=self.name, value=raw - floor, raw=raw, n=n, m=m, where=where)


def _snapped(edges: FloatArray) -> FloatArray:
    """The edge just below an atom moved onto it: such a cell has no width."""
    closed = np.nextafter(edges[:-1], np.inf) >= edges[1:]
    return np.append(np.where(closed, edges[1:], edges[:-1]), edges[-1:])


def _area(gaps: FloatArray) -> FloatArray:
    """∫ |line| over a width of 1 for lines between neighbouring ``gaps``, shape (edges - 1,)."""
    left, right = gaps[:-1], gaps[1:]
    total = np.abs(left) + np.abs(right)
    crossed = (left**2 + right**2) / np.where(total > 0, total, 1.0)
    return np.where(left * right < 0, crossed, total) / 2


def _spread(edges: FloatArray, normal: FloatArray) -> float:
    """Standard deviation of shares spread evenly over their cells, outer ones at their edge."""
    low = np.concatenate([edges[:1], edges])
    high = np.concatenate([edges, edges[-1:]])
    middle = (low + high) / 2
    mean = float((normal * middle).sum())
    return sqrt(float((normal * ((middle - mean) ** 2 + (high - low) ** 2 / 12)).sum()))
