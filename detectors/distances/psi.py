"""Population stability index: the symmetric Kullback-Leibler divergence of grouped shares."""

from dataclasses import dataclass
from math import nan
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.contract import Effect, FloatArray, IntArray, Layout

GROUPS_MIN, GROUPS_MAX = 5, 20
EVENTS_PER_GROUP = 20
EXPECTED_MIN = 5.0


@dataclass(frozen=True, slots=True)
class PSI:
    """Σ (q - p) ln(q / p) over groups of cells, in nats, less its sampling floor.

    ``p`` are the normal shares, ``q`` the current ones. Cells are grouped first: numbers into one
    group for every 20 events, 5 to 20 of them of about equal normal mass, since 256 cells would
    drown any shift in their own noise;
    names that expect fewer than 5 events into one group (``unseen`` stays alone). Half a count goes
    into every group: it keeps the logarithm finite and fades as the pane grows; replacing an empty
    group by a tiny constant makes PSI 14 for 100 values that did not change at all.
    ``value`` = raw - (K - 1)(1/n + 1/m), the mean of ``raw`` without any change; negative values
    are kept so that the learned mean is right. Source: Lewis 1994; floor: Yurdakul 2018.

    >>> from detectors.sketches.category import CategoryLayout
    >>> layout = CategoryLayout(("a", "b"))
    >>> normal = np.array([0.5, 0.5, 0.0, 0.0])
    >>> effect = PSI().measure(layout, normal, np.array([800, 200, 0, 0, 0]), m=10_000)
    >>> round(effect.raw, 2), round(effect.value, 2), effect.where
    (0.42, 0.41, 'b')
    """

    name: ClassVar[str] = "psi"
    kinds: ClassVar[frozenset[str]] = frozenset({"category", "numeric", "positive"})

    def measure(self, layout: Layout, normal: FloatArray, current: IntArray, *, m: int) -> Effect:
        """Compare; NaN (a gap) if nothing is present on either side."""
        present = current[:-1].astype(np.float64)
        n = int(present.sum())
        if n == 0 or not normal.sum() > 0:
            return Effect(distance=self.name, value=nan, raw=nan, n=n, m=m)
        named = layout.kind == "category"
        group = _rare_together(normal, n) if named else _equal_mass(normal, n)
        size = int(group.max()) + 1
        # An unknown m counts as infinite; its empty groups get half an event of a pane like this.
        behind = m or n
        p = (np.bincount(group, normal, size) * behind + 0.5) / (behind + 0.5 * size)
        q = (np.bincount(group, present, size) + 0.5) / (n + 0.5 * size)
        parts = (q - p) * np.log(q / p)
        raw = float(parts.sum())
        floor = (size - 1) * (1 / n + (1 / m if m else 0.0))
        moved = np.abs(present / n - normal)
        cell = int(np.argmax(np.where(group == int(np.argmax(parts)), moved, -1.0)))
        where = layout.label(cell)
        return Effect(distance=self.name, value=raw - floor, raw=raw, n=n, m=m, where=where)


def _equal_mass(normal: FloatArray, n: int) -> NDArray[np.int64]:
    """Group of each cell, by where the middle of its mass lies; a heavy cell stands alone."""
    groups = min(max(n // EVENTS_PER_GROUP, GROUPS_MIN), GROUPS_MAX)
    middle = np.cumsum(normal) - normal / 2
    group = np.minimum((middle * groups).astype(np.int64), groups - 1)
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def _rare_together(normal: FloatArray, n: int) -> NDArray[np.int64]:
    """Group of each cell; those that expect few events share one, the last (``unseen``) does not."""
    alone = normal * n >= EXPECTED_MIN
    alone[-1] = True
    group = np.where(alone, np.cumsum(alone) - 1, int(alone.sum()))
    return np.unique(group, return_inverse=True)[1].astype(np.int64)
