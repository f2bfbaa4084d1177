"""Vectors (embeddings), kept as the mean of their random Fourier features and their plain mean."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from detectors.contract import FloatArray, IntArray
from detectors.sketches import vector_reference
from detectors.sketches.vector_rows import Float32Array, to_rows

Product = Callable[[Float32Array, Float32Array], Float32Array]
"""The matrix product of (rows, dimension) and (dimension, frequencies): NumPy's, or a GPU's."""

FREQUENCIES = 512
# A component in [-1, 1] becomes an integer from 0 to STEPS.
STEPS = 4_096
# Rows of one matrix product. Each product has this many, so that the library takes the same way
# through each of them, and a vector gives the same bits whatever stands beside it.
BLOCK = 1_024
# Sums of a block stay below 2**24, up to which float32 counts exactly.
BLOCK_MAX = 2**24 // STEPS
# Bandwidths from zero at which a vector is drawn back: beyond it a float32 angle has no meaning.
RADIUS = 1_000.0


@dataclass(frozen=True, slots=True)
class VectorLayout:
    """Cells: 512 cosines, 512 sines, one a coordinate of the mean, ``rest``, ``missing``.

    A vector x of ``dimension`` coordinates is seen as phi(x) = [cos(w·x), sin(w·x)] / sqrt(512) with
    512 frequencies w ~ N(0, 1/bandwidth²) drawn by ``seed``: ||phi(x)|| = 1, and phi(x)·phi(y) is
    about the Gaussian kernel exp(-||x - y||² / (2 bandwidth²)) (Rahimi, Recht 2007). Two means of
    phi lie as far apart as the distributions do (MMD), in scale and shape as well as in the mean.

    Every component, a cosine or a coordinate over ``reach`` (clipped to [-1, 1]), is rounded to
    1/2048 and counted as an integer from 0 to 4,096; ``rest`` fills each vector up to ``unit``. So
    sketches are integers that add exactly, in any order. Rounding moves a mean of phi by 3.5e-4 at
    worst (all vectors equal), .7 % of the usual tolerance, and otherwise is lost in the noise; int64
    holds 2.4e11 vectors of 8,192 coordinates. Another processor or a GPU may round single
    components to the neighbouring integer.

    A vector of another length, or with a value that is no finite number, is missing; one farther
    than 1,000 bandwidths from zero is drawn back to there. ``moments``: sums of the eigenvalues, of
    their squares and cubes, of the reference's covariance of phi, for a displayed p-value.
    ``matmul`` computes on another device, ``block`` rows at a time (at most 4,096).

    >>> reference = np.random.default_rng(1).normal(size=(500, 8))
    >>> layout = VectorLayout.from_reference(reference)
    >>> counts = layout.fold(reference) + layout.fold([[0.0] * 8, [float("nan")] * 8, [1.0], None])
    >>> layout.size, int(counts[:-1].sum()) // layout.unit, int(counts[-1])
    (1034, 501, 3)
    """

    dimension: int
    bandwidth: float
    reach: float
    seed: int = 0
    frequencies: int = FREQUENCIES
    moments: tuple[float, float, float] = (0.0, 0.0, 0.0)
    matmul: Product = field(default=np.matmul, compare=False, repr=False)
    block: int = field(default=BLOCK, compare=False, repr=False)
    kind: ClassVar[str] = "vector"

    def __post_init__(self) -> None:
        """Refuse what is no kernel: sizes and scales must be positive and finite (ValueError)."""
        sizes = self.dimension > 0 and self.frequencies > 0 and 0 < self.block <= BLOCK_MAX
        if not (sizes and 0 < self.bandwidth < np.inf and 0 < self.reach < np.inf):
            raise ValueError("a vector layout needs positive sizes and scales")
        object.__setattr__(self, "moments", tuple(map(float, self.moments)))

    @classmethod
    def from_reference(cls, values: Sequence[Any] | NDArray[Any], seed: int = 0) -> "VectorLayout":
        """Bandwidth (the median distance of 1,000 vectors), reach and moments of a reference sample.

        The dimension is the commonest length. ValueError if no vector can be used.
        """
        rows = vector_reference.usable(values)
        bandwidth, reach = vector_reference.scales(rows)
        plain = cls(rows.shape[1], bandwidth, reach, seed)
        return cls(
            dimension=plain.dimension,
            bandwidth=bandwidth,
            reach=reach,
            seed=seed,
            moments=vector_reference.moments(plain.features(vector_reference.sample(rows))),
        )

    @property
    def unit(self) -> int:
        """What one present event adds to the present cells together."""
        return (2 * self.frequencies + self.dimension) * STEPS

    @property
    def size(self) -> int:
        """How many cells there are, the missing cell included."""
        return 2 * self.frequencies + self.dimension + 2

    def fold(self, values: Sequence[Any] | NDArray[Any]) -> IntArray:
        """Sum vectors, shape (n, dimension) or a list of n; ``None`` and others count as missing."""
        counts = np.zeros(self.size, np.int64)
        weights, components = self._weights(), self.size - 2
        # One buffer for all blocks: fresh memory for each costs a third of the whole.
        spare = np.empty(self.block * max(self.frequencies, self.dimension), np.float32)
        present_count = 0
        sums = np.zeros(components)
        for start in range(0, len(values), self.block):
            rows, present = to_rows(values[start : start + self.block], self.dimension, self.block)
            self._add(self._components(rows, weights, spare), present, sums)
            present_count += int(present.sum())
        # Components lie in [-STEPS / 2, STEPS / 2]; the cells count from 0.
        counts[:components] = sums.astype(np.int64) + present_count * (STEPS // 2)
        counts[-2] = present_count * self.unit - int(counts[:components].sum())
        counts[-1] = len(values) - present_count
        return counts

    def features(self, values: Sequence[Any] | NDArray[Any]) -> FloatArray:
        """phi of the vectors, shape (n, 2 frequencies), NaN for missing ones: before rounding."""
        rows, present = to_rows(values, self.dimension, len(values))
        angles = self.matmul(self._near(rows), self._weights())
        phi = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(self.frequencies)
        return np.where(present[:, None], phi, np.nan).astype(np.float64)

    def mean_features(self, shares: FloatArray) -> FloatArray:
        """The mean of phi, shape (2 frequencies,), from shares of the present cells."""
        cells = shares[: 2 * self.frequencies]
        mean: FloatArray = (cells * (2 * self.unit / STEPS) - 1) / np.sqrt(self.frequencies)
        return mean

    def mean_vector(self, shares: FloatArray) -> FloatArray:
        """The mean vector, shape (dimension,), in the vectors' own unit, clipped to ± ``reach``."""
        cells = shares[2 * self.frequencies : -1]
        mean: FloatArray = (cells * (2 * self.unit / STEPS) - 1) * self.reach
        return mean

    def label(self, cell: int) -> str:
        """``cos 7``, ``sin 7``, ``coordinate 3``, ``rest`` or ``missing``."""
        cell = range(self.size)[cell]
        if cell < 2 * self.frequencies:
            turn, at = divmod(cell, self.frequencies)
            return f"{('cos', 'sin')[turn]} {at}"
        coordinate = cell - 2 * self.frequencies
        if coordinate < self.dimension:
            return f"coordinate {coordinate}"
        return "missing" if cell == self.size - 1 else "rest"

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which ``layout_from_dict`` makes the same layout again."""
        return {
            "kind": self.kind,
            "dimension": self.dimension,
            "bandwidth": self.bandwidth,
            "reach": self.reach,
            "seed": self.seed,
            "frequencies": self.frequencies,
            "moments": list(self.moments),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "VectorLayout":
        """The layout that ``to_dict`` wrote down."""
        names = ("dimension", "bandwidth", "reach", "seed", "frequencies", "moments")
        return cls(**{name: values[name] for name in names})

    def _weights(self) -> Float32Array:
        return _frequencies(self.seed, self.dimension, self.frequencies, self.bandwidth)

    def _near(self, rows: Float32Array) -> Float32Array:
        """The rows, those that are too far away drawn back."""
        norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        limit = RADIUS * self.bandwidth
        if norms.max(initial=0.0) > limit:
            rows = rows * np.minimum(1.0, limit / np.maximum(norms, 1e-30))[:, None]
        return rows.astype(np.float32, copy=False)

    def _components(
        self, rows: Float32Array, weights: Float32Array, spare: Float32Array
    ) -> Iterator[Float32Array]:
        """Cosines, sines and scaled coordinates, in [-1, 1]; each is overwritten by the next but one."""
        angles = self.matmul(self._near(rows), weights)
        yield np.cos(angles, out=spare[: angles.size].reshape(angles.shape))
        yield np.sin(angles, out=angles)
        scaled = spare[: rows.size].reshape(rows.shape)
        np.multiply(rows, np.float32(1 / self.reach), out=scaled)
        yield np.clip(scaled, -1, 1, out=scaled)

    def _add(
        self, parts: Iterator[Float32Array], present: NDArray[np.bool_], sums: FloatArray
    ) -> None:
        """Add the rounded components of one block of rows to ``sums``, shape (size - 2,)."""
        end = 0
        for part in parts:
            part *= STEPS // 2  # noqa: PLW2901 - in place
            np.rint(part, out=part)
            start, end = end, end + part.shape[1]
            # Missing and padding rows are zeros, whose cosine is not.
            kept = part[: len(present)]
            sums[start:end] += (kept if present.all() else kept[present]).sum(axis=0)


@lru_cache(maxsize=8)
def _frequencies(seed: int, dimension: int, count: int, bandwidth: float) -> Float32Array:
    """Normal numbers over ``bandwidth``, shape (dimension, count): the same in every release of NumPy,
    which promises that of a bit generator's raw output only."""
    raw = np.random.PCG64(seed).random_raw(dimension * count)
    uniform = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    normal: Float32Array = (ndtri(uniform) / bandwidth).astype(np.float32)
    return normal.reshape(dimension, count)
