"""Columns of vectors: lists of numbers of one length, as an embedding is written to a table."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from detectors.contract import IntArray
from detectors.sketches.vector import VectorLayout

DIMENSION_MAX = 8_192
# What a bandwidth is learned from; more rows change it by less than its own noise.
SAMPLE_ROWS = 4_096
# A list whose length wanders is no vector: the items of a basket, the words of a sentence.
ONE_LENGTH_SHARE = 0.9


def is_vectors(kind: pa.DataType) -> bool:
    """Whether a column of this type holds lists of numbers."""
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_one(kind) for is_one in lists):
        return False
    numbers = (pa.types.is_integer, pa.types.is_floating)
    return any(is_one(kind.value_type) for is_one in numbers)


def fold_vectors(layout: VectorLayout, column: pa.ChunkedArray) -> IntArray:
    """Counts of shape (layout.size,); a null, a list of another length, no list: missing."""
    counts = np.zeros(layout.size, np.int64)
    for chunk in column.chunks:
        rows = _rows(chunk, layout.dimension)
        counts += layout.fold(rows)
        counts[-1] += len(chunk) - len(rows)
    return counts


class VectorSample:
    """Evenly spaced vectors of a column that comes in batches, at most 8,192 of them."""

    def __init__(self) -> None:
        self._kept: list[NDArray[np.floating]] = []
        self._lengths: dict[int, int] = {}
        self._stride, self._next = 1, 0

    def add(self, column: pa.ChunkedArray) -> None:
        """The next rows of the column; those of the commonest length so far are looked at."""
        for chunk in column.chunks:
            for entry in pc.value_counts(pc.list_value_length(chunk).drop_null()).to_pylist():
                length = int(entry["values"])
                self._lengths[length] = self._lengths.get(length, 0) + int(entry["counts"])
            rows = _rows(chunk, self.dimension)
            if self._kept and self._kept[0].shape[1] != self.dimension:
                self._kept = []
            # The next row to take may lie beyond this chunk.
            taken = rows[self._next :: self._stride]
            self._next += len(taken) * self._stride - len(rows)
            if len(taken):
                self._kept.append(np.array(taken))
            while self._held() > 2 * SAMPLE_ROWS:
                self._kept = [np.concatenate(self._kept)[::2]]
                self._stride *= 2

    @property
    def dimension(self) -> int:
        """The commonest length so far; 0 while there is none."""
        return max(self._lengths, key=lambda length: (self._lengths[length], length), default=0)

    def layout(self) -> VectorLayout:
        """The layout of these vectors; ValueError says why they make none."""
        seen = sum(self._lengths.values())
        if not seen or not self.dimension:
            raise ValueError("it has no value")
        if self._lengths[self.dimension] < ONE_LENGTH_SHARE * seen:
            raise ValueError(f"its lists have {len(self._lengths)} lengths, a vector has one")
        if self.dimension > DIMENSION_MAX:
            raise ValueError(
                f"its vectors have {self.dimension} coordinates, at most {DIMENSION_MAX} are read"
            )
        rows = np.concatenate(self._kept)
        if (rows == rows[0]).all():
            raise ValueError("it has one value only")
        return VectorLayout.from_reference(rows)

    def _held(self) -> int:
        return sum(len(rows) for rows in self._kept)


def _rows(chunk: pa.Array, dimension: int) -> NDArray[np.floating]:
    """The lists of this length, shape (n, dimension); NaN where one holds a null."""
    nothing = np.zeros((0, dimension))
    if not is_vectors(chunk.type) or not dimension:
        return nothing
    kept = chunk.filter(pc.fill_null(pc.equal(pc.list_value_length(chunk), dimension), False))
    flat = kept.flatten()
    if pa.types.is_integer(flat.type):
        flat = pc.cast(flat, pa.float64(), safe=False)
    numbers = flat.to_numpy(zero_copy_only=False).reshape(-1, dimension)
    return numbers if len(numbers) else nothing
