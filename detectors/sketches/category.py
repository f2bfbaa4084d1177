"""Names, counted by a vocabulary that the reference froze."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from detectors.contract import FloatArray, IntArray

MIN_COUNT = 50
VOCABULARY_MAX = 100
RARE_MAX = 10_000
NAME_CHARACTERS_MAX = 256
_DIGITS_BELOW = 2.0**64


@dataclass(frozen=True, slots=True)
class CategoryLayout:
    """One cell a name of ``vocabulary``, then ``other``, ``unseen`` and ``missing``.

    ``other`` holds the names in ``rare``: known to the reference, too seldom for a cell of their own
    (a count of 50 keeps tests calibrated). ``unseen`` was never in the reference and is evidence of
    a change by itself. A number is named by its digits, so 1, 1.0 and True are one name; names are
    cut at 256 characters.

    >>> layout = CategoryLayout(("EWR", "JFK"), rare=("SWF",))
    >>> layout.fold(["JFK", "JFK", "SWF", "XXX", None]).tolist()
    [0, 2, 1, 1, 1]
    """

    vocabulary: tuple[str, ...]
    rare: tuple[str, ...] = ()
    kind: ClassVar[str] = "category"
    _cells: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a name that stands twice (ValueError)."""
        cells = {name: cell for cell, name in enumerate(self.vocabulary)}
        cells.update(dict.fromkeys(self.rare, len(self.vocabulary)))
        if len(cells) < len(self.vocabulary) + len(self.rare):
            raise ValueError("a name stands twice in a category layout")
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))
        object.__setattr__(self, "rare", tuple(self.rare))
        object.__setattr__(self, "_cells", cells)

    @classmethod
    def from_reference(
        cls,
        values: Iterable[Any],
        min_count: int = MIN_COUNT,
        max: int = VOCABULARY_MAX,  # noqa: A002 - the contract's word
    ) -> "CategoryLayout":
        """The ``max`` commonest names seen ``min_count`` times or more; the next 10,000 are rare."""
        counts = _count(values)
        counts.pop(None, None)
        ranked = sorted(((name, n) for name, n in counts.items() if name is not None), key=_rank)
        common = [name for name, n in ranked if n >= min_count][:max]
        rest = [name for name, _ in ranked[len(common) : len(common) + RARE_MAX]]
        return cls(tuple(sorted(common)), tuple(sorted(rest)))

    @property
    def unit(self) -> int:
        """What one present event adds to the present cells together."""
        return 1

    @property
    def size(self) -> int:
        """How many cells there are, the missing cell included."""
        return len(self.vocabulary) + 3

    @property
    def other(self) -> int:
        """The cell of names that the reference knew but seldom saw."""
        return len(self.vocabulary)

    @property
    def unseen(self) -> int:
        """The cell of names that the reference never saw."""
        return len(self.vocabulary) + 1

    def fold(self, values: Sequence[Any] | FloatArray) -> IntArray:
        """Count values into cells; ``None`` and NaN count as missing."""
        counts = np.zeros(self.size, np.int64)
        for name, n in _count(values).items():
            counts[self._cell(name)] += n
        return counts

    def cells(self, values: Sequence[Any]) -> IntArray:
        """The cell of each value, shape (values,), for names that were counted elsewhere.

        >>> CategoryLayout(("EWR", "JFK")).cells(["JFK", "BOS", None]).tolist()
        [1, 3, 4]
        """
        return np.array([self._cell(_name(value)) for value in values], np.int64)

    def _cell(self, name: str | None) -> int:
        return self.size - 1 if name is None else self._cells.get(name, self.unseen)

    def label(self, cell: int) -> str:
        """The name of a cell, or ``other``, ``unseen``, ``missing``."""
        return (*self.vocabulary, "other", "unseen", "missing")[range(self.size)[cell]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which ``layout_from_dict`` makes the same layout again."""
        return {"kind": self.kind, "vocabulary": list(self.vocabulary), "rare": list(self.rare)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "CategoryLayout":
        """The layout that ``to_dict`` wrote down."""
        return cls(tuple(values["vocabulary"]), tuple(values["rare"]))


def _rank(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _count(values: Iterable[Any]) -> Counter[str | None]:
    everything = values.tolist() if isinstance(values, np.ndarray) else list(values)
    try:
        raw: Counter[Any] = Counter(everything)
    except TypeError:  # a list or a dictionary where a name should stand
        return Counter(map(_name, everything))
    counts: Counter[str | None] = Counter()
    for value, n in raw.items():
        counts[_name(value)] += n
    return counts


def _name(value: Any) -> str | None:
    """What a value is called; None for a missing one."""
    if value is None or isinstance(value, str):
        return value[:NAME_CHARACTERS_MAX] if value else value
    if isinstance(value, float) and np.isnan(value):
        return None
    if isinstance(value, int | float) and abs(value) < _DIGITS_BELOW and value == int(value):
        return str(int(value))
    if isinstance(value, int):
        return "inf" if value > 0 else "-inf"
    return repr(value)[:NAME_CHARACTERS_MAX]
