"""Does a stream that used to vary give one and the same value?"""

from dataclasses import dataclass

import numpy as np

from detectors.contract import FloatArray, IntArray, Layout

# A sensor that hangs gives nothing else; a default that steps in may leave some real values.
COLLAPSED_MIN = 0.95
# What was one value most of the time is not stuck when it is one all the time: a quiet week is.
NORMAL_MAX = 0.5
EVENTS_MIN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Collapse:
    """``share`` of the pane lies in one ``cell``, which normally holds ``normal_share``."""

    cell: int
    share: float
    normal_share: float


def longest_run(counts: IntArray) -> int:
    """In how many panes in a row, at most, one and the same cell held (nearly) everything.

    ``counts``: (T, K) present cells of T panes in time order; a pane of few events is passed over.

    >>> longest_run(np.array([[90, 10], [100, 0], [99, 1], [0, 100], [1, 1], [0, 100], [0, 100]]))
    3
    """
    n = counts.sum(axis=1)
    seen = counts[n >= EVENTS_MIN]
    cells = np.argmax(seen, axis=1)
    whole = seen.max(axis=1, initial=0) >= COLLAPSED_MIN * seen.sum(axis=1)
    longest = run = 0
    last = -1
    for cell, alone in zip(cells.tolist(), whole.tolist(), strict=True):
        run = (run + 1 if cell == last else 1) if alone else 0
        last = cell if alone else -1
        longest = max(longest, run)
    return longest


def find_collapse(layout: Layout, normal: FloatArray, current: IntArray) -> Collapse | None:
    """The one cell that holds (nearly) everything; None if there is none or it is no news.

    ``normal``: shares (layout.size - 1,); ``current``: counts (layout.size,). The open outer cells
    of numbers are left out: much that is different lies there together, such as all values in
    another unit. So are ``other`` and ``unseen`` of names.

    >>> from detectors.sketches.category import CategoryLayout
    >>> layout = CategoryLayout(("EWR", "JFK", "LGA"))
    >>> normal = np.array([0.4, 0.3, 0.3, 0.0, 0.0])
    >>> find_collapse(layout, normal, np.array([0, 99, 1, 0, 0, 5]))
    Collapse(cell=1, share=0.99, normal_share=0.3)
    """
    present = current[:-1]
    n = int(present.sum())
    if n < EVENTS_MIN or not normal.sum() > 0:
        return None
    cell = int(np.argmax(present))
    share, usual = float(present[cell] / n), float(normal[cell])
    last = layout.size - 2
    inner = cell < last - 1 if layout.kind == "category" else 0 < cell < last
    if not inner or share < COLLAPSED_MIN or usual > NORMAL_MAX:
        return None
    return Collapse(cell=cell, share=share, normal_share=usual)
