"""The stored form of what an arm did: versioned bytes that say on which layouts they were counted."""

import json
import zlib
from collections.abc import Iterable, Mapping

import msgspec

from agents.events import ArmCounts
from detectors.contract import IntArray, Layout
from detectors.sketches.layouts import decode_counts, encode_counts

FORMAT = 1


class CodecError(ValueError):
    """The bytes are no arm's counts, or those of a later driftd."""


class _Stored(msgspec.Struct, array_like=True, frozen=True):
    """Fields may only be added at the end, with a default: old readers skip what they do not know."""

    format: int
    n: int
    errors: int
    streams: dict[str, tuple[int, bytes]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


def layout_marks(layouts: Mapping[str, Layout]) -> dict[str, int]:
    """Stream -> a mark of its layout, never 0: equal marks, equal cells."""
    return {name: layout_mark(layout) for name, layout in layouts.items()}


def layout_mark(layout: Layout) -> int:
    """A checksum of all that the layout is made of."""
    return zlib.crc32(json.dumps(layout.to_dict(), sort_keys=True).encode()) or 1


def encode_arm(arm: ArmCounts, marks: Mapping[str, int] | None = None) -> bytes:
    """``arm`` as bytes. ``marks``: on which layouts it was counted; 0 where that is not said."""
    known = marks or {}
    streams = {name: (known.get(name, 0), encode_counts(c)) for name, c in arm.counts.items()}
    return _encode(_Stored(FORMAT, arm.n, arm.errors, streams))


def decode_arm(blob: bytes, marks: Mapping[str, int] | None = None) -> ArmCounts:
    """What ``encode_arm`` wrote; raises ``CodecError``.

    With ``marks``, streams that were counted on another layout are left out: two layouts may have
    equally many cells, and their counts must never be added.
    """
    try:
        stored = _decode(blob)
        if stored.format > FORMAT:
            raise CodecError(f"counts of format {stored.format}; this driftd reads up to {FORMAT}")
        counts = {
            name: decode_counts(data)
            for name, (mark, data) in stored.streams.items()
            if marks is None or mark in (0, marks.get(name, mark))
        }
    except (msgspec.DecodeError, ValueError) as error:
        raise CodecError(str(error)) from error
    return ArmCounts(n=stored.n, errors=stored.errors, counts=counts)


def merge_arms(a: ArmCounts, b: ArmCounts) -> ArmCounts:
    """Both together. A stream whose two sides differ in size is left out, never mixed."""
    counts: dict[str, IntArray] = dict(a.counts)
    for name, cells in b.counts.items():
        mine = counts.get(name)
        if mine is None:
            counts[name] = cells
        elif len(mine) == len(cells):
            counts[name] = mine + cells
        else:
            del counts[name]
    return ArmCounts(n=a.n + b.n, errors=a.errors + b.errors, counts=counts)


def merge_stored(blobs: Iterable[bytes]) -> list[tuple[int, bytes]]:
    """The sum of stored counts as (events, stored counts): one, or as many as there are layouts that
    must not be added. A reader then leaves out the same streams as before. Raises ``CodecError``."""
    groups: list[tuple[dict[str, int], ArmCounts]] = []
    for blob in blobs:
        marks, counts = _marks(blob), decode_arm(blob)
        for place, (known, merged) in enumerate(groups):
            if all(known.get(name, mark) == mark for name, mark in marks.items()):
                groups[place] = ({**known, **marks}, merge_arms(merged, counts))
                break
        else:
            groups.append((marks, counts))
    return [(merged.n, encode_arm(merged, marks)) for marks, merged in groups]


def _marks(blob: bytes) -> dict[str, int]:
    try:
        return {name: mark for name, (mark, _) in _decode(blob).streams.items()}
    except msgspec.DecodeError as error:
        raise CodecError(str(error)) from error
