"""Where partitions stand, and one flush of ingest that moves them on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from driftd.store.rows import IncrementRow, PartialRow, SampleRow

# The reserved partition under which the list of a topic's partitions is proved.
PARTITION_LIST = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """The last record below a position: by it a topic that was made anew is recognised."""

    offset: int = -1
    crc32: int = 0
    timestamp_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far one partition is counted. ``records`` counts every record read, bad ones included.

    ``watermark``: largest event time below ``next_offset``; ``proof``: silence is proved up to
    here (0 where the clock is event time); ``left_out``: empty, so it holds no minimum back.
    """

    topic: str
    partition: int
    lineage: int = 0
    next_offset: int = 0
    watermark: float = 0.0
    proof: float = 0.0
    records: int = 0
    gap: int = 0
    left_out: bool = False
    witness: Witness = Witness()


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One partition goes from ``old`` to ``new``, if it still stands at ``old`` of ``lineage``.

    ``records``, ``gap`` and ``rejected`` (reason -> records) are added; watermarks only rise.
    """

    topic: str
    partition: int
    lineage: int
    old: int
    new: int
    watermark: float = 0.0
    proof: float = 0.0
    records: int = 0
    gap: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    witness: Witness | None = None
    left_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flush:
    """One transaction of ingest: all of it, or nothing when one move's compare fails."""

    moves: tuple[Move, ...]
    partials: tuple[PartialRow, ...] = ()
    samples: tuple[SampleRow, ...] = ()
    increments: tuple[IncrementRow, ...] = ()
