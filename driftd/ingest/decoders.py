"""The shelf of decoders: bytes of records in, events out; one written line a decoder."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from driftd.ingest.events import (
    FIELDS,
    TS_MILLISECONDS,
    Decoded,
    Decoder,
    Document,
    Event,
    Limits,
    RefusedRecord,
    Rejected,
)
from driftd.ingest.reasons import Refusal, Repair
from driftd.ingest.repair import check, repair

_typed = msgspec.json.Decoder(Event).decode
_parsed = msgspec.json.Decoder().decode
_UNREADABLE = (ValueError, RecursionError)
"""What parsers raise for bad bytes; msgspec's errors and UnicodeDecodeError are ValueErrors."""


def decode_chunk(
    values: Sequence[bytes | None], limits: Limits, decoder: Decoder | None = None
) -> Decoded:
    """Decode one chunk of records; 250-500 of them stay in the processor's cache.

    ``decoder``: one of the shelf, or ``MappedDecoder(field_map)``; JSON where it is left out.
    """
    return (decoder or DECODERS["json"]).decode(values, limits)


class JsonDecoder:
    """One JSON event a record: a typed decode in C, and a slow path for whatever that refuses."""

    def decode(self, values: Sequence[bytes | None], limits: Limits) -> Decoded:
        """Decode a chunk of JSON records."""
        out = _decode_each(values, limits, _event)
        if out.origin[:1] == [0] and (first := values[0]):
            # The typed decode skips what it does not know without a word; the first record of a
            # chunk is looked at, so that a misspelt field shows without a second parse of them all.
            _count_unknown(_document(first, Counter()), out.repairs)
        return out


class CloudEventsDecoder:
    """CloudEvents in JSON structured mode: our event is their ``data``; their ``id`` and ``time``
    stand in where ours are missing."""

    def decode(self, values: Sequence[bytes | None], limits: Limits) -> Decoded:
        """Decode a chunk of structured-mode records."""

        def read(value: bytes, limits: Limits, repairs: Counter[str]) -> Event:
            return repair(_unwrapped(_document(value, repairs)), limits, repairs)

        return _decode_each(values, limits, read)


class MappedDecoder:
    """JSON with foreign field names, dotted where nested: ``{"request.uuid": "id"}``."""

    def __init__(self, field_map: Mapping[str, str]) -> None:
        self._moves = [(a.split("."), b.split(".")) for a, b in field_map.items()]

    def decode(self, values: Sequence[bytes | None], limits: Limits) -> Decoded:
        """Decode a chunk, moving every foreign field to its place first."""

        def read(value: bytes, limits: Limits, repairs: Counter[str]) -> Event:
            document = _document(value, repairs)
            if isinstance(document, dict):
                for theirs, ours in self._moves:
                    _move(document, theirs, ours)
                _count_unknown(document, repairs)
            return repair(document, limits, repairs)

        return _decode_each(values, limits, read)


DECODERS: Mapping[str, Decoder] = {
    "cloudevents": CloudEventsDecoder(),
    "json": JsonDecoder(),
}


def _decode_each(
    values: Sequence[bytes | None],
    limits: Limits,
    read: Callable[[bytes, Limits, Counter[str]], Event],
) -> Decoded:
    out = Decoded()
    events, origin = out.events.append, out.origin.append
    for index, value in enumerate(values):
        if value is None or len(value) > limits.record_bytes_max:
            why = Refusal.NULL if value is None else Refusal.TOO_LARGE
            out.rejected.append(Rejected(index, why))
            continue
        try:
            event = read(value, limits, out.repairs)
        except RefusedRecord as refused:
            out.rejected.append(Rejected(index, refused.reason))
        else:
            events(event)
            origin(index)
    return out


def _event(value: bytes, limits: Limits, repairs: Counter[str]) -> Event:
    try:
        event = _typed(value)
    except _UNREADABLE:
        return repair(_document(value, repairs), limits, repairs)
    # The usual event passes these few comparisons; anything else is told its reason by `check`.
    if (event.features is None or len(event.features) <= limits.features_max) and (
        not event.vectors or _are_short(event.vectors, limits)
    ):
        if not (
            0.0 < event.ts < TS_MILLISECONDS
            and event.tick is None
            and (event.features is not None or event.label is not None)
            and event.model
        ):
            check(event)
            if event.tick is not None:
                return Event(tick=event.tick)
        return event
    return repair(_document(value, repairs), limits, repairs)


def _are_short(vectors: Mapping[str, list[float]], limits: Limits) -> bool:
    return all(len(vector) <= limits.vector_max for vector in vectors.values())


def _document(value: bytes, repairs: Counter[str]) -> Any:
    repairs[Repair.SLOW_PATH] += 1
    try:
        return _parsed(value)
    except _UNREADABLE:
        pass
    try:
        # The standard library's parser takes the bare NaN and Infinity that Python writes.
        return json.loads(value)
    except _UNREADABLE:
        raise RefusedRecord(Refusal.BROKEN) from None


def _count_unknown(document: Document, repairs: Counter[str]) -> None:
    repairs[Repair.UNKNOWN_FIELD] += sum(1 for name in document if name not in FIELDS)


def _unwrapped(document: Any) -> Any:
    if not isinstance(document, dict):
        return document
    data = document.get("data")
    if not isinstance(data, dict):
        raise RefusedRecord(Refusal.EMPTY)
    if document.get("id") is not None:
        data.setdefault("id", document["id"])
    if document.get("time") is not None:
        data.setdefault("ts", document["time"])
    return data


def _move(document: Document, theirs: list[str], ours: list[str]) -> None:
    holder: Any = document
    for name in theirs[:-1]:
        holder = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(holder, dict) or theirs[-1] not in holder:
        return
    value = holder.pop(theirs[-1])
    target = document
    for name in ours[:-1]:
        inner = target.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        target = inner
    target[ours[-1]] = value
