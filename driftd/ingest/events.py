"""One event as it travels, and what decoding a chunk of records gives."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

import msgspec

from driftd.ingest.reasons import Refusal

STRING_MAX = 1_024
"""Characters of a feature's text, a label, an error; longer ones are taken as missing."""
TEXT_MAX = 4_096
"""Characters of a text for an encoder, which reads no more than so many; the rest is cut off."""
NAME_MAX = 256
"""Characters of ids, model names, versions and the like."""
TS_MILLISECONDS = 1e11
"""A ``ts`` from here on (the year 5138) is milliseconds or finer."""

Name = Annotated[str, msgspec.Meta(max_length=NAME_MAX)]
Text = Annotated[str, msgspec.Meta(max_length=STRING_MAX)]
Value = float | Text | bool | None


class Event(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """A prediction, a label, a source's features or a tick: one struct, told apart by its fields.

    ``ts`` and ``tick`` are seconds since 1970 of event time; ``ts`` is 0 only in a tick.
    """

    v: Literal[1] = 1
    id: Name | None = None
    model: Name | None = None
    source: Name | None = None
    version: Name = ""
    variant: Literal["champion", "challenger", "shadow"] = "champion"
    ts: float = 0.0
    features: dict[Name, Value] | None = None
    vectors: dict[Name, list[float]] | None = None
    score: float | None = None
    prediction: Value = None
    label: Value = None
    latency_ms: float | None = None
    error: Text | None = None
    subject: Name | None = None
    segment: dict[Name, Text] | None = None
    shadow_of: Name | None = None
    tick: float | None = None


FIELDS: frozenset[str] = frozenset(Event.__struct_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one record may hold. ``texts``: features whose texts may be as long as ``TEXT_MAX``."""

    record_bytes_max: int = 1_048_576
    features_max: int = 1_000
    vector_max: int = 8_192
    texts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rejected:
    """Record ``index`` of the chunk gave no event."""

    index: int
    reason: Refusal


@dataclass(slots=True, kw_only=True)
class Decoded:
    """What a chunk of records holds. ``origin[i]`` is the index of the record that holds
    ``events[i]``; a record may hold many events (``batch``) or none (then it is in ``rejected``).
    ``repairs`` counts, by ``reasons.Repair``, what was taken as missing.
    """

    events: list[Event] = field(default_factory=list)
    origin: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    repairs: Counter[str] = field(default_factory=Counter)


class Decoder(Protocol):
    """Bytes of records in, events out. Never raises for a record, whatever its bytes."""

    def decode(self, values: Sequence[bytes | None], limits: Limits) -> Decoded:
        """Decode a chunk; 250-500 records stay in the processor's cache and are quickest."""
        ...


class RefusedRecord(Exception):  # noqa: N818 - it never leaves the decoders
    """The record gives no event, for this reason."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason = reason


Document = dict[str, Any]
