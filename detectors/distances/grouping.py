"""Cells put together until each group expects enough events: what sums over cells are taken over."""

import numpy as np
from numpy.typing import NDArray

from detectors.contract import FloatArray, Layout

GROUPS_MIN, GROUPS_MAX = 5, 20
EVENTS_PER_GROUP = 20
EXPECTED_MIN = 5.0


def groups_of(layout: Layout, normal: FloatArray, n: int) -> NDArray[np.int64]:
    """The group of each present cell, shape (layout.size - 1,), numbered from 0 without gaps.

    Numbers: one group for every 20 of ``n`` events, 5 to 20 of them of about equal normal mass.
    Names: those that expect 5 of ``n`` events stand alone; the others share a group, and names that
    the reference never saw (the last cell) stay apart: they are news by themselves.

    >>> from detectors.sketches.numeric import NumericLayout
    >>> layout = NumericLayout((1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0))
    >>> groups_of(layout, np.full(8, 1 / 8), 100).tolist()
    [0, 0, 1, 2, 2, 3, 4, 4]
    """
    if layout.kind == "category":
        return _rare_together(normal, n)
    return equal_mass(normal, min(max(n // EVENTS_PER_GROUP, GROUPS_MIN), GROUPS_MAX))


def equal_mass(normal: FloatArray, groups: int) -> NDArray[np.int64]:
    """Group of each cell by where the middle of its mass lies; a heavy cell stands alone."""
    middle = np.cumsum(normal) - normal / 2
    group = np.minimum((middle * groups).astype(np.int64), groups - 1)
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def pooled(group: NDArray[np.int64], normal: FloatArray, n: int) -> NDArray[np.int64]:
    """The same with the lightest groups put together until each expects 5 of ``n`` events.

    >>> pooled(np.array([0, 1, 2]), np.array([0.9, 0.1, 0.0]), 100).tolist()
    [0, 1, 1]
    """
    while len(expected := summed(group, normal) * n) > 1 and expected.min() < EXPECTED_MIN:
        light, next_light = np.argsort(expected, kind="stable")[:2]
        group = np.where(group == light, next_light, group)
        group = np.unique(group, return_inverse=True)[1].astype(np.int64)
    return group


def summed(group: NDArray[np.int64], values: FloatArray) -> FloatArray:
    """The values of each group added up, shape (groups,)."""
    total: FloatArray = np.bincount(group, values, int(group.max()) + 1).astype(np.float64)
    return total


def furthest(parts: FloatArray, group: NDArray[np.int64], moved: FloatArray) -> int:
    """The cell that moved most within the group that adds most to a sum over groups."""
    return int(np.argmax(np.where(group == int(np.argmax(parts)), moved, -1.0)))


def _rare_together(normal: FloatArray, n: int) -> NDArray[np.int64]:
    alone = normal * n >= EXPECTED_MIN
    alone[-1] = True
    group = np.where(alone, np.cumsum(alone) - 1, int(alone.sum()))
    return np.unique(group, return_inverse=True)[1].astype(np.int64)
