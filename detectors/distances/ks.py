"""Kolmogorov-Smirnov: the largest gap between two cumulative distributions."""

from dataclasses import dataclass
from math import nan, sqrt
from typing import ClassVar

import numpy as np
from scipy.special import kolmogorov

from detectors.contract import Effect, FloatArray, IntArray, Layout

# E[sup |Brownian bridge|] = sqrt(pi / 2) ln 2.
FLOOR = 0.87


@dataclass(frozen=True, slots=True)
class KS:
    """How far the cumulative shares lie apart, 0 (equal) to 1 (apart), less the sampling floor.

    ``raw`` = max over edges of \\|C(edge) - B(edge)\\|: never above the KS of the values themselves,
    and equal to SciPy's two-sample statistic where the layout keeps the reference whole (at most
    255 distinct values). ``value`` = raw - .87 sqrt(1/n + 1/m), the mean of ``raw`` without any
    change: so quiet hours do not look like drift. It is not cut at 0: the engine learns the mean
    and the noise of ``value``, and cutting would make the mean of small panes larger than that of
    big ones. ``where``: the cell that ends at the largest gap. Source: Kolmogorov 1933, Smirnov
    1939; floor: Marsaglia, Tsang, Wang 2003 (mean of the limit law, .8687).

    >>> from detectors.sketches.numeric import NumericLayout
    >>> layout = NumericLayout((1.0, 2.0))
    >>> effect = KS().measure(layout, np.array([0.5, 0.5, 0.0]), np.array([0, 50, 50, 3]), m=0)
    >>> effect.raw, round(effect.value, 3), effect.n, effect.where
    (0.5, 0.413, 100, '(-inf, 1.0]')
    >>> KS().p_value(layout, np.array([0.5, 0.5, 0.0]), np.array([45, 55, 0, 0]), m=0) > 0.9
    True
    """

    name: ClassVar[str] = "ks"
    kinds: ClassVar[frozenset[str]] = frozenset({"numeric", "positive"})

    def measure(self, layout: Layout, normal: FloatArray, current: IntArray, *, m: int) -> Effect:
        """Compare; NaN (a gap) if nothing is present on either side."""
        present = current[:-1]
        n = int(present.sum())
        gaps = np.abs(np.cumsum(present) / max(n, 1) - np.cumsum(normal))
        cell = int(np.argmax(gaps))
        raw = float(gaps[cell])
        if n == 0 or raw != raw:  # noqa: PLR0124 - no normal shares are NaN shares
            return Effect(distance=self.name, value=nan, raw=nan, n=n, m=m)
        floor = FLOOR * sqrt(1 / n + (1 / m if m else 0.0))
        where = layout.label(cell)
        return Effect(distance=self.name, value=raw - floor, raw=raw, n=n, m=m, where=where)

    def p_value(self, layout: Layout, normal: FloatArray, current: IntArray, *, m: int) -> float:
        """P(``raw`` at least this large) if nothing changed and events are independent.

        Kolmogorov's law of raw sqrt(n m / (n + m)), for large n; an unknown ``m`` (0) counts as
        infinitely many. With ties or few cells it is too large, never too small. It falls with
        every event that comes, however little has changed: no decision rests on it, except in a
        rule that asks for it (``ks_p``).
        """
        effect = self.measure(layout, normal, current, m=m)
        both = effect.n * m / (effect.n + m) if m else float(effect.n)
        return float(kolmogorov(effect.raw * sqrt(both)))

    def measure_rows(self, normal: FloatArray, present: IntArray, m: IntArray) -> FloatArray:
        """``value`` of T panes at once, shape (T,); ``normal`` and ``present`` (T, K), ``m`` (T,)."""
        n = present.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            gaps = np.abs(np.cumsum(present, axis=1) / n[:, None] - np.cumsum(normal, axis=1))
            floor = FLOOR * np.sqrt(1 / n + np.where(m > 0, 1 / m, 0.0))
            values: FloatArray = np.where(n > 0, gaps.max(axis=1) - floor, nan)
        return values
