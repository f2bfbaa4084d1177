"""Counting numbers into right-closed cells between sorted edges, the missing cell last."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.contract import FloatArray, IntArray

_PLAIN = frozenset({float, int, bool, type(None)})
# Below this many values a binary search a value beats sorting them all.
_SORT_FROM = 512


def to_floats(values: Sequence[Any] | FloatArray) -> FloatArray:
    """Anything as float64, shape (n,): what is no number (``None``, text, lists) becomes NaN.

    A number written as text stays missing: a feature whose type changed is a fault to be seen,
    not to be mended here. Integers too large for a float become infinite.

    >>> to_floats([1, None, "7", 10**400]).tolist()
    [1.0, nan, nan, inf]
    """
    if isinstance(values, np.ndarray):
        if values.dtype.kind in "fiub":
            return np.asarray(values, np.float64).ravel()
        values = values.ravel().tolist()
    if _PLAIN.issuperset(map(type, values)):
        try:
            return np.array(values, np.float64)
        except OverflowError:
            pass
    return np.array([_to_float(value) for value in values], np.float64)


def _to_float(value: Any) -> float:
    if isinstance(value, str | bytes | bytearray) or value is None:
        return np.nan
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf
    except (TypeError, ValueError):
        return np.nan


def count(edges: FloatArray, values: Sequence[Any] | FloatArray) -> IntArray:
    """Counts of shape (len(edges) + 2,): up to each edge, above the last, missing.

    Cell ``i`` is ``(edges[i-1], edges[i]]``; infinities fall into the outermost cells.

    >>> count(np.array([1.0, 2.0]), [0.5, 1.0, 1.5, 9.0, None]).tolist()
    [2, 1, 1, 1]
    """
    numbers = _sortable(values)
    missing = int(np.isnan(numbers).sum())
    cells = len(edges) + 1
    counts = np.empty(cells + 1, np.int64)
    if len(numbers) < _SORT_FROM:
        present = numbers[~np.isnan(numbers)] if missing else numbers
        counts[:-1] = np.bincount(np.searchsorted(edges, present, side="left"), minlength=cells)
    else:
        # Ranks of the edges among the sorted values; NaN sorts last and is cut off.
        ordered = np.sort(numbers)[: len(numbers) - missing]
        ranks = np.searchsorted(ordered, edges, side="right")
        counts[:-1] = np.diff(ranks, prepend=0, append=len(ordered))
    counts[-1] = missing
    return counts


def _sortable(values: Sequence[Any] | FloatArray) -> NDArray[np.floating[Any]]:
    # Numbers of 32 bits are sorted as they are, in half the time: each of them is a float64.
    if isinstance(values, np.ndarray) and values.dtype.char == "f":
        return values.ravel()
    return to_floats(values)


def label(edges: FloatArray, cell: int) -> str:
    """``(36.0, 39.0]``; a cell that holds one value only is that value; the last is ``missing``.

    >>> [label(np.array([1.0, 2.0]), cell) for cell in range(4)]
    ['(-inf, 1.0]', '(1.0, 2.0]', '(2.0, inf)', 'missing']
    """
    if not 0 <= cell < len(edges) + 2:
        raise IndexError(f"there is no cell {cell} among {len(edges) + 2}")
    if cell == len(edges) + 1:
        return "missing"
    low = edges[cell - 1] if cell else -np.inf
    high = edges[cell] if cell < len(edges) else np.inf
    if np.nextafter(high, -np.inf) == low:
        return _number(high)
    # An edge just below an atom closes its cell before the atom: name the atom instead.
    before_atom = cell + 1 < len(edges) and np.nextafter(edges[cell + 1], -np.inf) == high
    end = float(edges[cell + 1]) if before_atom else high
    return f"({_number(low)}, {_number(end)}{')' if before_atom or high == np.inf else ']'}"


def _number(value: float) -> str:
    return str(float(f"{value:.6g}"))


def above(edges: FloatArray, counts: IntArray, threshold: float) -> int:
    """How many present values are above ``threshold``: exact where it is an edge, else those above
    the next edge.

    >>> above(np.array([1.0, 2.0]), np.array([5, 3, 2, 1]), 1.0)
    5
    """
    first = int(np.searchsorted(edges, threshold, side="left")) + 1
    return int(counts[first:-1].sum())


def quantile(edges: FloatArray, counts: IntArray, q: float) -> float:
    """The upper edge of the cell in which the ``q``-quantile lies; NaN without values, infinite in
    the last cell.

    >>> quantile(np.array([1.0, 2.0]), np.array([5, 4, 1, 0]), 0.9)
    2.0
    """
    ranks = np.cumsum(counts[:-1])
    if ranks[-1] == 0:
        return float("nan")
    cell = int(np.searchsorted(ranks, q * ranks[-1] - 1e-9, side="left"))
    return float(edges[cell]) if cell < len(edges) else float("inf")
