"""Positive numbers without a reference (latencies), counted in logarithmic cells."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, log, log1p
from typing import Any, ClassVar

import numpy as np

from detectors.contract import FloatArray, IntArray
from detectors.sketches import intervals

CELLS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class PositiveLayout:
    """Cells that are ``relative`` wide from ``low`` to ``high``, with an edge exactly at each threshold.

    "p99 above 100 ms" says that more than 1 % of the values are above 100: with an edge at 100 that
    is an exact proportion. Zero and negative values fall into the first cell. In the stream's own
    unit.

    >>> layout = PositiveLayout(thresholds=(100.0,))
    >>> counts = layout.fold([0.0, 99.9, 100.0, 100.1, None])
    >>> layout.above(counts, 100.0), layout.size
    (1, 2087)
    """

    thresholds: tuple[float, ...] = ()
    low: float = 0.01
    high: float = 1e7
    relative: float = 0.01
    kind: ClassVar[str] = "positive"
    _edges: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse bounds that make no or too many cells (ValueError)."""
        if not (0 < self.low < self.high < np.inf and self.relative > 0):
            raise ValueError("a positive layout needs 0 < low < high and relative > 0")
        if not all(0 < threshold < np.inf for threshold in self.thresholds):
            raise ValueError("the thresholds of a positive layout must be positive and finite")
        steps = ceil(log(self.high / self.low) / log1p(self.relative))
        if steps > CELLS_MAX:
            raise ValueError(f"{steps} cells are too many: at most {CELLS_MAX}")
        grid = self.low * np.exp(np.arange(steps + 1) * log1p(self.relative))
        edges = np.unique(np.concatenate([grid, np.array(self.thresholds, np.float64)]))
        object.__setattr__(self, "thresholds", tuple(sorted(set(map(float, self.thresholds)))))
        object.__setattr__(self, "_edges", edges)

    @property
    def unit(self) -> int:
        """What one present event adds to the present cells together."""
        return 1

    @property
    def size(self) -> int:
        """How many cells there are, the missing cell included."""
        return len(self._edges) + 2

    @property
    def bounds(self) -> FloatArray:
        """The edges as an array of shape (size - 2,)."""
        return self._edges

    def fold(self, values: Sequence[Any] | FloatArray) -> IntArray:
        """Count values into cells; ``None``, NaN and what is no number count as missing."""
        return intervals.count(self._edges, values)

    def label(self, cell: int) -> str:
        """The interval of a cell, or ``missing``."""
        return intervals.label(self._edges, cell)

    def above(self, counts: IntArray, threshold: float) -> int:
        """How many present values are above ``threshold``: exact for the layout's thresholds."""
        return intervals.above(self._edges, counts, threshold)

    def quantile(self, counts: IntArray, q: float) -> float:
        """The upper edge of the cell that holds the ``q``-quantile of the present values."""
        return intervals.quantile(self._edges, counts, q)

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which ``layout_from_dict`` makes the same layout again."""
        return {
            "kind": self.kind,
            "thresholds": list(self.thresholds),
            "low": self.low,
            "high": self.high,
            "relative": self.relative,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "PositiveLayout":
        """The layout that ``to_dict`` wrote down."""
        return cls(tuple(values["thresholds"]), values["low"], values["high"], values["relative"])
