"""What was learned in the burn-in: the normal shares of every stream and the noise of its effects."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from detectors.baseline import Baseline
from detectors.sequential.scalar import ScalarFit

FORMAT = 1
# A limit of exactly 0 or 1 would make one event infinite evidence.
LIMIT_MIN = 1e-4


class ShareFit(msgspec.Struct, frozen=True, kw_only=True):
    """The null of a share stream: ``normal`` share, ``limit`` = normal moved by the tolerance, and
    the between-pane ``excess`` variance in units of p(1 - p). ``highest``: the third highest share
    of a burn-in pane, up to which the stream is known to wander by itself. ``slots``: normal share
    of each slot of the week (none: ``normal`` at any hour); ``panes``: how many panes a decision
    needs, since the stream's own jumps last that long."""

    normal: float
    tolerance: float
    limit: float
    excess: float
    highest: float = 0.0
    slots: tuple[float, ...] = ()
    panes: int = 3

    def normal_in(self, slot: int) -> float:
        """What is normal in this slot of the week."""
        return self.slots[slot] if self.slots else self.normal

    def limit_in(self, slot: int) -> float:
        """The null's edge in this slot of the week."""
        moved = self.limit + self.normal_in(slot) - self.normal
        return min(max(moved, LIMIT_MIN), 1 - LIMIT_MIN)

    def with_slots(self, slots: Sequence[float]) -> "ShareFit":
        """The same with a normal share of each slot."""
        return msgspec.structs.replace(self, slots=tuple(slots))

    def with_panes(self, panes: int) -> "ShareFit":
        """The same with another number of panes that a decision needs."""
        return msgspec.structs.replace(self, panes=panes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """Learned from panes in [since, until). ``streams`` gives the order of the arrays in ``scalar``;
    ``least`` is the smallest count of events a pane had in each slot (feed -> slots); ``varying`` are
    the streams that never gave one value for a whole day: only of them is it news when they do."""

    since: float
    until: float
    slots: int
    streams: tuple[str, ...]
    baselines: Mapping[str, Baseline]
    scalar: ScalarFit
    whole: ScalarFit
    shares: Mapping[str, ShareFit]
    least: Mapping[str, tuple[int, ...]]
    varying: frozenset[str] = frozenset()

    def to_bytes(self) -> bytes:
        """Compressed msgpack that carries its format's number."""
        plain: dict[str, Any] = {
            "format": FORMAT,
            "since": self.since,
            "until": self.until,
            "slots": self.slots,
            "streams": self.streams,
            "baselines": {name: self.baselines[name].to_dict() for name in self.streams},
            "scalar": self.scalar.to_dict(),
            "whole": self.whole.to_dict(),
            "shares": dict(self.shares),
            "least": dict(self.least),
            "varying": sorted(self.varying),
        }
        return zlib.compress(msgspec.msgpack.encode(plain))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Fitted":
        """What ``to_bytes`` wrote; raises ``ValueError`` for a format it does not know."""
        plain = msgspec.msgpack.decode(zlib.decompress(data))
        if plain.get("format") != FORMAT:
            raise ValueError(
                f"a baseline of format {plain.get('format')}; this driftd reads {FORMAT}"
            )
        return cls(
            since=plain["since"],
            until=plain["until"],
            slots=plain["slots"],
            streams=tuple(plain["streams"]),
            baselines={name: Baseline.from_dict(d) for name, d in plain["baselines"].items()},
            scalar=ScalarFit.from_dict(plain["scalar"]),
            whole=ScalarFit.from_dict(plain["whole"]),
            shares=msgspec.convert(plain["shares"], dict[str, ShareFit]),
            least={feed: tuple(counts) for feed, counts in plain["least"].items()},
            varying=frozenset(plain.get("varying", ())),
        )
