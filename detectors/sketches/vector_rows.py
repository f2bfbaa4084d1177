"""Vectors of any kind as rows of one float32 matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.contract import FloatArray
from detectors.sketches.intervals import to_floats

Float32Array = NDArray[np.float32]
# Squares of 8,192 such numbers still add up in float32; no embedding comes near.
_LARGEST = 1e15


def to_rows(
    values: Sequence[Any] | NDArray[Any], dimension: int, height: int
) -> tuple[Float32Array, NDArray[np.bool_]]:
    """A matrix of shape (height, dimension), and which of the n values it holds, shape (n,).

    What is no vector of ``dimension`` finite numbers, and all rows from n on, are zeros; numbers are
    cut at ± 1e15.

    >>> rows, present = to_rows([[1.0, 1e300], [2.0], None, ["a", "b"]], 2, 5)
    >>> rows[0].tolist(), rows.shape, present.tolist()
    ([1.0, 999999986991104.0], (5, 2), [True, False, False, False])
    """
    found, present = _matrix(values, dimension)
    rows = np.zeros((height, dimension), np.float32)
    if not len(found):
        return rows, present
    finite = np.isfinite(found).all(axis=1)
    if not finite.all():
        present[np.flatnonzero(present)[~finite]] = False
        found = found[finite]
    if present.all():
        np.clip(found, -_LARGEST, _LARGEST, out=rows[: len(found)], casting="same_kind")
    else:
        rows[: len(present)][present] = np.clip(found, -_LARGEST, _LARGEST)
    return rows, present


def _matrix(
    values: Sequence[Any] | NDArray[Any], dimension: int
) -> tuple[FloatArray | Float32Array, NDArray[np.bool_]]:
    """The vectors of the right length as float rows, and where they stood."""
    nothing = np.zeros((0, dimension))
    if isinstance(values, np.ndarray) and values.ndim == 2:
        if values.dtype.kind not in "fiub" or values.shape[1] != dimension:
            return nothing, np.zeros(len(values), bool)
        wide = values.dtype.kind == "f" and values.dtype.itemsize <= 8
        return values if wide else values.astype(np.float64), np.ones(len(values), bool)
    present = np.array([_is_vector(value, dimension) for value in values], bool)
    kept = [value for value in values if _is_vector(value, dimension)]
    if not kept:
        return nothing, present
    try:
        found = np.array(kept)
    except (ValueError, OverflowError):
        found = np.array([], object)
    if found.dtype.kind not in "fiub" or found.shape != (len(kept), dimension):
        found = np.array([_floats(value, dimension) for value in kept])
    return found.astype(np.float64, copy=False), present


def _is_vector(value: Any, dimension: int) -> bool:
    if isinstance(value, np.ndarray):
        return bool(value.shape == (dimension,))
    return isinstance(value, list | tuple) and len(value) == dimension


def _floats(value: Any, dimension: int) -> FloatArray:
    """One vector by itself; NaN throughout if it is none."""
    found = to_floats(value)
    return found if found.shape == (dimension,) else np.full(dimension, np.nan)
