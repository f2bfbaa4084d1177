"""Numbers of a known reference, counted in the reference's own quantile cells."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from detectors.contract import FloatArray, IntArray
from detectors.sketches import intervals

BINS = 256


@dataclass(frozen=True, slots=True)
class NumericLayout:
    """Right-closed cells between ``edges`` (strictly increasing, finite), missing values last.

    256 quantile cells lose at most .004 of a KS distance; a value heavier than one cell (an atom)
    gets an edge at it and one just below it. So a reference of at most 255 distinct values is kept
    whole: every value its own cell, every gap between them too, and KS is the exact two-sample one.

    >>> layout = NumericLayout.from_reference([0, 0, 0, 5])
    >>> [layout.label(cell) for cell in range(layout.size)]
    ['(-inf, 0.0)', '0.0', '(0.0, 5.0)', '5.0', '(5.0, inf)', 'missing']
    >>> layout.fold([0, 0, 3, 7, None]).tolist()
    [0, 2, 1, 0, 1, 1]
    """

    edges: tuple[float, ...]
    kind: ClassVar[str] = "numeric"
    _edges: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse edges that are not finite and strictly increasing (ValueError)."""
        edges = np.array(self.edges, np.float64)
        if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise ValueError("the edges of a numeric layout must be finite and increasing")
        object.__setattr__(self, "edges", tuple(edges.tolist()))
        object.__setattr__(self, "_edges", edges)

    @classmethod
    def from_reference(
        cls, values: Sequence[Any] | FloatArray, bins: int = BINS
    ) -> "NumericLayout":
        """Edges at the reference's quantiles and atoms; values that are not finite set no edge."""
        numbers = intervals.to_floats(values)
        numbers = numbers[np.isfinite(numbers)]
        if len(numbers) == 0:
            return cls(())
        distinct, weights = np.unique(numbers, return_counts=True)
        if len(distinct) < bins:
            edges, atoms = distinct, distinct
        else:
            steps = np.arange(1, bins) / bins
            edges = np.quantile(numbers, steps, method="inverted_cdf")
            atoms = distinct[weights * bins > len(numbers)]
        every = np.unique(np.concatenate([edges, atoms, np.nextafter(atoms, -np.inf)]))
        return cls(tuple(every[np.isfinite(every)].tolist()))

    @property
    def unit(self) -> int:
        """What one present event adds to the present cells together."""
        return 1

    @property
    def size(self) -> int:
        """How many cells there are, the missing cell included."""
        return len(self.edges) + 2

    @property
    def bounds(self) -> FloatArray:
        """The edges as an array of shape (size - 2,)."""
        return self._edges

    def fold(self, values: Sequence[Any] | FloatArray) -> IntArray:
        """Count values into cells; ``None``, NaN and what is no number count as missing."""
        return intervals.count(self._edges, values)

    def label(self, cell: int) -> str:
        """The interval of a cell, or its one value, or ``missing``."""
        return intervals.label(self._edges, cell)

    def above(self, counts: IntArray, threshold: float) -> int:
        """How many present values are above an edge."""
        return intervals.above(self._edges, counts, threshold)

    def quantile(self, counts: IntArray, q: float) -> float:
        """The upper edge of the cell that holds the ``q``-quantile of the present values."""
        return intervals.quantile(self._edges, counts, q)

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which ``layout_from_dict`` makes the same layout again."""
        return {"kind": self.kind, "edges": list(self.edges)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "NumericLayout":
        """The layout that ``to_dict`` wrote down."""
        return cls(tuple(values["edges"]))
