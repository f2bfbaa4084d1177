"""Population stability index: the symmetric Kullback-Leibler divergence of grouped shares."""

from dataclasses import dataclass
from math import nan
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.contract import Effect, FloatArray, IntArray, Layout
from detectors.distances.grouping import equal_mass, furthest, groups_of, summed

# What scorecards, and the limits .1 and .2 or .25 that everybody quotes, are made with.
CUSTOMARY_GROUPS = 10


@dataclass(frozen=True, slots=True)
class PSI:
    """Σ (q - p) ln(q / p) over groups of cells, in nats, less its sampling floor.

    ``p`` are the normal shares, ``q`` the current ones. Cells are grouped first: numbers into one
    group for every 20 events, 5 to 20 of them of about equal normal mass, since 256 cells would
    drown any shift in their own noise;
    names that expect fewer than 5 events into one group (``unseen`` stays alone). Half a count goes
    into every group: it keeps the logarithm finite and fades as the pane grows; replacing an empty
    group by a tiny constant makes PSI 14 for 100 values that did not change at all.
    ``value`` = that sum - (K - 1)(1/n + 1/m), its mean without any change; negative values are kept
    so that the learned mean is right. ``raw``, for display, is the customary PSI that other tools
    print: over the normal deciles (names: the same groups), nothing removed. Without any change it
    is .09 on average for 100 events and .009 for 1,000. Source: Lewis 1994; floor: Yurdakul 2018.

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
        group = groups_of(layout, normal, n)
        parts = _parts(group, normal, present, m)
        value = float(parts.sum()) - (len(parts) - 1) * (1 / n + (1 / m if m else 0.0))
        tenths = group if layout.kind == "category" else equal_mass(normal, CUSTOMARY_GROUPS)
        raw = float(_parts(tenths, normal, present, m).sum())
        where = layout.label(furthest(parts, group, np.abs(present / n - normal)))
        return Effect(distance=self.name, value=value, raw=raw, n=n, m=m, where=where)


def _parts(group: NDArray[np.int64], normal: FloatArray, present: FloatArray, m: int) -> FloatArray:
    """What each group adds to the sum."""
    p, q = summed(group, normal), summed(group, present)
    size, n = len(p), float(q.sum())
    # An unknown m counts as infinite; its empty groups get half an event of a pane like this.
    behind = m or n
    p = (p * behind + 0.5) / (behind + 0.5 * size)
    q = (q + 0.5) / (n + 0.5 * size)
    parts: FloatArray = (q - p) * np.log(q / p)
    return parts
