"""MMD by the kernel itself, every vector with every other: what the features stand for."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1_000


def exact_mmd(path: Path, bandwidth: float) -> float:
    """sqrt(MMD² / tr) of the file's two sides under exp(-||x - y||² / (2 bandwidth²)).

    MMD² is the biased estimate, the means over all pairs; tr = (1 - mean kernel of the reference)
    m / (m - 1): the same that ``detectors.distances.mmd`` calls raw. Gretton et al. 2012, JMLR 13.
    """
    with np.load(path) as file:
        before, after = file["reference"], file["window"]
    own = _mean_kernel(before, before, bandwidth)
    squared = own + _mean_kernel(after, after, bandwidth)
    squared -= 2 * _mean_kernel(before, after, bandwidth)
    m = len(before)
    return float(np.sqrt(squared / ((1 - own) * m / (m - 1))))


def _mean_kernel(x: NDArray[np.float32], y: NDArray[np.float32], bandwidth: float) -> float:
    squares, total = np.einsum("ij,ij->i", y, y), 0.0
    for start in range(0, len(x), _BLOCK):
        part = x[start : start + _BLOCK]
        apart = np.einsum("ij,ij->i", part, part)[:, None] + squares - 2 * part @ y.T
        kernel = np.exp(np.maximum(apart, 0) / (-2 * bandwidth**2))
        total += float(kernel.sum(dtype=np.float64))
    return total / (len(x) * len(y))
