"""Is a stream what it was, with something concentrated mixed in?"""

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np

from detectors.contract import FloatArray, IntArray, Layout
from detectors.distances.grouping import equal_mass, groups_of

GROUPS_MAX = 20
EVENTS_MIN = 100
# What is mixed in must be told from what was there: it lies where at most half of the normal mass is.
CONCENTRATED_MAX = 0.5
SHARE_MIN = 0.1
# Total variation by which the rest may differ from what it was, beyond the pane's noise: as a number,
# and as a part of how far the whole has moved.
REST_MAX, REST_OF_ALL_MAX = 0.05, 0.25
TOP_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """current = (1 - share) normal + share x something in ``cells``; ``rest``: total variation of
    what lies elsewhere against normal, noise taken off; ``moved``: of everything."""

    share: float
    cells: tuple[int, ...]
    rest: float
    moved: float


def find_mixture(layout: Layout, normal: FloatArray, current: IntArray) -> Mixture | None:
    """The smallest set of cells whose growth explains the pane, everything else only diluted.

    ``normal``: shares (layout.size - 1,); ``current``: counts (layout.size,). Cells are grouped (20
    groups of about equal mass for numbers; names that expect fewer than 5 events together) and
    ranked by current / normal; of the top ones the fewest are taken such that the others keep their
    proportions. What shifted, scaled or changed shape leaves no rest that does. ``cells``: the
    (at most 3) cells that grew most. None if there is no such set, it holds more than half of the
    normal mass, or less than a tenth was mixed in.

    >>> from detectors.sketches.category import CategoryLayout
    >>> layout = CategoryLayout(("AA", "B6", "DL", "EV", "UA"))
    >>> normal = np.array([0.3, 0.2, 0.2, 0.1, 0.2, 0.0, 0.0])
    >>> found = find_mixture(layout, normal, np.array([210, 140, 140, 370, 140, 0, 0, 0]))
    >>> round(found.share, 2), [layout.label(cell) for cell in found.cells]
    (0.3, ['EV'])
    """
    present = current[:-1].astype(np.float64)
    n = float(present.sum())
    if n < EVENTS_MIN or not normal.sum() > 0:
        return None
    named = layout.kind == "category"
    group = groups_of(layout, normal, int(n)) if named else equal_mass(normal, GROUPS_MAX)
    p = np.bincount(group, normal).astype(np.float64)
    q = np.bincount(group, present) / n
    moved = float(np.abs(p - q).sum()) / 2 - _noise(p, n)
    order = np.argsort(-(q + 0.5 / n) / (p + 0.5 / n), kind="stable")
    for top in range(1, len(order)):
        inside, rest = order[:top], order[top:]
        if p[inside].sum() > CONCENTRATED_MAX:
            return None
        kept_p, kept_q = float(p[rest].sum()), float(q[rest].sum())
        if kept_q <= 0:
            return None
        share = 1 - kept_q / kept_p
        apart = float(np.abs(p[rest] / kept_p - q[rest] / kept_q).sum()) / 2
        apart -= _noise(p[rest] / kept_p, n * kept_q)
        if share >= SHARE_MIN and apart <= min(REST_MAX, REST_OF_ALL_MAX * moved):
            grown = np.where(np.isin(group, inside), present / n - (1 - share) * normal, -1.0)
            cells = tuple(int(cell) for cell in np.argsort(-grown)[:TOP_SHOWN] if grown[cell] > 0)
            return Mixture(share=share, cells=cells, rest=max(apart, 0.0), moved=moved)
    return None


def _noise(p: FloatArray, n: float) -> float:
    """The mean total variation of n draws from p: sum of E|normal(0, p (1 - p) / n)| / 2."""
    return float(np.sqrt(np.maximum(p * (1 - p), 0.0)).sum()) * sqrt(2 / pi / n) / 2
