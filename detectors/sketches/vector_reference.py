"""What a vector layout learns from a reference sample: its scales, and the moments of its features."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.contract import FloatArray
from detectors.sketches.vector_rows import Float32Array, to_rows

SAMPLE_ROWS, PAIRED_ROWS = 2_000, 1_000
# Means are looked at within this many times the largest value of the reference.
REACH = 2.0
# The spread of vectors that are all alike.
_ROUNDING = 1e-12


def usable(values: Sequence[Any] | NDArray[Any]) -> Float32Array:
    """The vectors of the commonest length, shape (n, dimension). ValueError if there is none."""
    if isinstance(values, np.ndarray) and values.ndim == 2:
        dimension = values.shape[1]
    else:
        lengths = Counter(len(v) for v in values if isinstance(v, list | tuple | np.ndarray))
        lengths.pop(0, None)
        dimension = lengths.most_common(1)[0][0] if lengths else 0
    if dimension:
        rows, present = to_rows(values, dimension, len(values))
        if present.any():
            return rows[present]
    raise ValueError("no vector of finite numbers to learn from")


def sample(rows: Float32Array, most: int = SAMPLE_ROWS) -> Float32Array:
    """At most ``most`` rows, evenly spaced."""
    at = np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64)
    return rows[at]


def scales(rows: Float32Array) -> tuple[float, float]:
    """(bandwidth, reach) in the vectors' unit: the median distance (Gretton et al. 2012), and twice
    the largest coordinate.

    Equal vectors have no distance: the median of the other ones, else the vectors' own length.
    """
    some = sample(rows, PAIRED_ROWS).astype(np.float64)
    centred = some - some.mean(axis=0)
    squares = (centred**2).sum(axis=1)
    pairs = squares[:, None] + squares - 2 * centred @ centred.T
    distances = pairs[np.triu_indices(len(some), 1)]
    # Differences of large numbers: what is left of them is rounding.
    apart = distances[distances > 1e-12 * max(float(squares.max()), 1e-30)]
    median = float(np.median(distances)) if len(distances) else 0.0
    if len(apart) and median < float(apart.min()):
        median = float(np.median(apart))
    length = float(np.sqrt((some**2).sum(axis=1).mean()))
    bandwidth = float(np.sqrt(median)) if len(apart) else length or 1.0
    reach = REACH * float(np.abs(rows).max()) or 1.0
    return bandwidth, reach


def moments(phi: FloatArray) -> tuple[float, float, float]:
    """Σ λ, Σ λ², Σ λ³ of the eigenvalues λ of the covariance of ``phi``, shape (n, features).

    Taken as traces, of whichever of Gram matrix and covariance is smaller; less what a sample of n
    adds by itself: (Σ λ)²/n to the second, 3 Σ λ Σ λ²/n + (Σ λ)³/n² to the third.
    """
    n = len(phi)
    if n < 2:
        return 0.0, 0.0, 0.0
    centred = phi - phi.mean(axis=0)
    square = (centred @ centred.T if n < phi.shape[1] else centred.T @ centred) / (n - 1)
    first = float(np.trace(square))
    if first < _ROUNDING:
        return 0.0, 0.0, 0.0
    second = max(float((square**2).sum()) - first**2 / (n - 1), first**2 / phi.shape[1])
    third = float(((square @ square) * square).sum())
    third -= 3 * first * second / (n - 1) + first**3 / (n - 1) ** 2
    # Cauchy-Schwarz: no spectrum has a smaller one.
    return first, second, max(third, second**2 / first)
