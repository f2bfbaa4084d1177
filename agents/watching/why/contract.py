"""What a cause is: a test over the streams of one pane that says what probably happened to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal, Protocol

from agents.watching.fitted import ShareFit
from agents.watching.state import Track
from agents.watching.streams import DistanceStream, ShareStream
from detectors.catalog import DISTANCES
from detectors.contract import FloatArray, IntArray
from detectors.jump import Jump
from detectors.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moved:
    """A distance stream that jumped: all its panes since then as one.

    ``normal``: shares of the present cells, of the same hours; ``m``: events behind them; ``counts``:
    shape (layout.size,); ``effect`` in the distance's unit. ``allowed``: how far from normal the
    stream may lie once a cause has been taken back: its tolerance, and what it had drifted before.
    ``evidence``, 0..1: how near the stream is to an alarm of its own; ``since``: event time before
    which it did not jump; ``varies``: whether it never stood still for a day in the burn-in.
    """

    stream: DistanceStream
    normal: FloatArray
    m: int
    counts: IntArray
    effect: float
    allowed: float
    jump: Jump
    evidence: float
    since: float
    varies: bool

    @property
    def name(self) -> str:
        """The stream's name."""
        return self.stream.name

    def distance(self, normal: FloatArray) -> float:
        """How far the stream lies from other shares than its normal ones."""
        distance = DISTANCES[self.stream.distance]
        return distance.measure(self.stream.layout, normal, self.counts, m=self.m).value

    def left(self, normal: FloatArray) -> float:
        """The part of the effect that is left against these shares: 0 explains all, 1 nothing."""
        return max(self.distance(normal), 0.0) / self.effect if self.effect > 0 else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share stream as it is now: ``k`` of ``n`` events."""

    stream: ShareStream
    fit: ShareFit
    track: Track
    k: int
    n: int

    @property
    def name(self) -> str:
        """The stream's name."""
        return self.stream.name

    @property
    def value(self) -> float:
        """k / n; 0 without events."""
        return self.k / self.n if self.n else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that a cause may look at. ``asked``: the names of the streams that need a cause;
    ``moved``: every distance stream that jumped and still lies beyond its tolerance; ``shares``:
    every share stream that has events; ``profile``: the training window."""

    asked: frozenset[str]
    moved: Mapping[str, Moved]
    shares: Mapping[str, Share]
    profile: Profile | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What probably happened to ``streams``, in words that begin with what is wrong.

    ``kind``: a ``data_fault`` is broken input and bars training; ``sure``, 0..1, says how much of
    what moved the cause explains, and how sharply. ``not_before``: event time before which it did
    not begin, whatever the stream had drifted earlier.
    """

    cause_kind: str
    kind: Literal["data_fault", "input_drift"]
    streams: frozenset[str]
    cause: str
    sure: float
    not_before: float = -inf


class Cause(Protocol):
    """One cause. Pure: the same scene, the same answers."""

    def __call__(self, scene: Scene) -> list[Explained]:
        """Every explanation of this kind that holds for streams of ``scene.asked``, and for others
        that belong to it; an empty list if there is none."""
        ...


def listed(names: list[str] | tuple[str, ...], shown: int = 3) -> str:
    """Names in a sentence: ``a``, ``a and b``, ``a, b, c and 4 more``.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c", "d", "e"])
    ('a', 'a and b', 'a, b, c and 2 more')
    """
    if len(names) > shown:
        return f"{', '.join(names[:shown])} and {len(names) - shown} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1] if names else "")))
