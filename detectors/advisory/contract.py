"""What a second opinion is: a well-known detector beside our own, that is shown and never decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What an advisor says of one pane. ``drift``: it sees a rise now; ``usual``: the share of wrong
    answers that it holds against the pane's; NaN while it knows none."""

    drift: bool
    usual: float


class Advisor(Protocol):
    """Watches a share of wrong answers. Pure: the same state and counts, the same opinion.

    ``state`` is plain, storable and bounded: empty at first, then what ``step`` gave before.
    """

    name: ClassVar[str]

    def step(self, state: Mapping[str, Any], wrong: int, n: int) -> tuple[dict[str, Any], Opinion]:
        """Take one pane of ``n`` > 0 answers, ``wrong`` of them wrong: counts, never a mean."""
        ...
