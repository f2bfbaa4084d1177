"""What a layout, a distance and an effect are: numbers in, numbers out, nothing of the world."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class Layout(Protocol):
    """Where the values of one stream are counted: fixed cells, the last one for missing values.

    A sketch of a stream is an ``IntArray`` of shape ``(layout.size,)``. Sketches of one layout are
    merged by adding them, in any order; the layout belongs to the model, not to a version.
    """

    kind: ClassVar[str]

    @property
    def size(self) -> int:
        """How many cells there are, the missing cell included."""
        ...

    @property
    def unit(self) -> int:
        """What one present event adds to the present cells together: 1 where events are counted."""
        ...

    def fold(self, values: Sequence[Any] | FloatArray) -> IntArray:
        """Count values into cells; ``None`` and NaN count as missing, as 1 in the last cell."""
        ...

    def label(self, cell: int) -> str:
        """What a person calls this cell, e.g. ``(36.0, 39.0]`` or ``JFK`` or ``missing``."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which ``layout_from_dict`` makes the same layout again."""
        ...


def events(layout: Layout, counts: IntArray) -> int:
    """How many present events stand behind ``counts``, shape (layout.size,).

    >>> from detectors.sketches.numeric import NumericLayout
    >>> events(NumericLayout((1.0,)), np.array([3, 1, 5]))
    4
    """
    return int(counts[:-1].sum()) // layout.unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """How far a pane lies from what is normal, in the distance's own unit, sampling floor removed."""

    distance: str
    value: float
    raw: float
    n: int
    m: int
    where: str = ""


class Distance(Protocol):
    """Two sketches of one layout in, an Effect out. Pure: the same counts, the same effect."""

    name: ClassVar[str]
    kinds: ClassVar[frozenset[str]]
    """The layout kinds it can compare: any of ``numeric``, ``positive``, ``category``, ``vector``."""

    def measure(self, layout: Layout, normal: FloatArray, current: IntArray, *, m: int) -> Effect:
        """Compare ``current`` counts with ``normal``, shares that sum to 1 over the present cells.

        ``normal`` has shape ``(layout.size - 1,)``: missing values are a stream of their own.
        ``m`` is how many events stand behind ``normal`` (0 = unknown, taken as infinitely many).
        """
        ...
