"""The slow path: makes an event of a parsed document field by field, with a treatment for each."""

import math
from collections import Counter
from datetime import datetime
from typing import Any

from driftd.ingest.events import (
    NAME_MAX,
    STRING_MAX,
    TEXT_MAX,
    TS_MILLISECONDS,
    Event,
    Limits,
    Value,
)
from driftd.ingest.events import RefusedRecord as Refused
from driftd.ingest.reasons import Refusal, Repair

_VARIANTS = ("champion", "challenger", "shadow")
_CARRIERS = ("features", "vectors", "score", "prediction", "label", "error")
_VECTOR_VALUE_MAX = 1e300


def repair(document: Any, limits: Limits, repairs: Counter[str]) -> Event:
    """Make an event of what a parser made of the record.

    Raises ``RefusedRecord`` where the event could not be attributed; everything else that cannot be
    used is taken as missing and counted in ``repairs``.
    """
    if not isinstance(document, dict):
        raise Refused(Refusal.NOT_AN_OBJECT)
    if document.get("v", 1) != 1:
        raise Refused(Refusal.UNKNOWN_FORMAT)
    if document.get("tick") is not None:
        return Event(tick=_seconds(document["tick"]))
    variant = document.get("variant", "champion")
    if variant not in _VARIANTS:
        raise Refused(Refusal.BAD_VARIANT)
    get, read = document.get, _Reader(limits, repairs)
    event = Event(
        id=read.name(get("id")),
        model=read.name(get("model")),
        source=read.name(get("source")),
        version=read.name(get("version")) or "",
        variant=variant,
        ts=_seconds(get("ts")),
        features=read.features(get("features")),
        vectors=read.vectors(get("vectors")),
        score=read.number(get("score")),
        prediction=read.value(get("prediction")),
        label=read.value(get("label")),
        latency_ms=read.number(get("latency_ms")),
        error=_error(get("error")),
        subject=read.name(get("subject")),
        segment=read.segment(get("segment")),
        shadow_of=read.name(get("shadow_of")),
    )
    # A score of NaN is a prediction whose score is missing, and has to be counted as one.
    check(event, empty=all(get(name) is None for name in _CARRIERS))
    return event


def check(event: Event, *, empty: bool | None = None) -> None:
    """Refuse an event that cannot be attributed; the typed path and the slow path end here."""
    if event.tick is not None:
        _check_time(event.tick)
        return
    _check_time(event.ts)
    if not event.model and not event.source:
        raise Refused(Refusal.NO_MODEL)
    if empty is None:
        empty = all(getattr(event, name) is None for name in _CARRIERS)
    if empty:
        raise Refused(Refusal.EMPTY)


def _check_time(value: float) -> None:
    if TS_MILLISECONDS <= value < math.inf:
        raise Refused(Refusal.MILLISECONDS)
    if value == 0:
        raise Refused(Refusal.NO_TS)
    if not 0 < value < math.inf:
        raise Refused(Refusal.BAD_TS)


def _seconds(value: Any) -> float:
    if value is None:
        raise Refused(Refusal.NO_TS)
    if isinstance(value, str):
        return _rfc3339(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(Refusal.BAD_TS)
    _check_time(value)
    return float(value)


def _rfc3339(text: str) -> float:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(Refusal.BAD_TS) from None
    if when.tzinfo is None:
        # A time without an offset means something else in every zone.
        raise Refused(Refusal.BAD_TS)
    stamp = when.timestamp()
    _check_time(stamp)
    return stamp


def _error(value: Any) -> str | None:
    # An error of any type is an error: to lose it would hide a failed request.
    return None if value is None or value is False else str(value)[:STRING_MAX]


class _Reader:
    """Reads single fields; what it cannot use becomes None and is counted."""

    def __init__(self, limits: Limits, repairs: Counter[str]) -> None:
        self._limits = limits
        self._repairs = repairs

    def number(self, value: Any) -> float | None:
        if value is None or isinstance(value, bool) or not isinstance(value, int | float):
            self._count_changed(value)
            return None
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
        self._repairs[Repair.NOT_FINITE] += 1
        return None

    def name(self, value: Any) -> str | None:
        if isinstance(value, int) and not isinstance(value, bool):
            # Ids and versions are often written as numbers; nothing is lost by reading them.
            value = str(value)
        return self._string(value, NAME_MAX)

    def value(self, value: Any) -> Value:
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._string(value, STRING_MAX)
        return self.number(value)

    def features(self, value: Any) -> dict[str, Value] | None:
        if not isinstance(value, dict):
            self._count_changed(value)
            return None
        kept = [(k, v) for k, v in value.items() if len(k) <= NAME_MAX]
        kept = kept[: self._limits.features_max]
        self._repairs[Repair.TOO_MANY_FEATURES] += len(value) - len(kept)
        texts = self._limits.texts
        return {
            k: v[:TEXT_MAX] if k in texts and isinstance(v, str) else self.value(v) for k, v in kept
        }

    def vectors(self, value: Any) -> dict[str, list[float]] | None:
        if not isinstance(value, dict):
            self._count_changed(value)
            return None
        # A vector with a hole has no meaning for a kernel: it is missing as a whole.
        kept = {str(k): [float(x) for x in v] for k, v in value.items() if self._is_vector(v)}
        self._repairs[Repair.CHANGED_TYPE] += len(value) - len(kept)
        return kept

    def segment(self, value: Any) -> dict[str, str] | None:
        if not isinstance(value, dict):
            self._count_changed(value)
            return None
        read = {str(k): self._string(v, STRING_MAX) for k, v in value.items()}
        return {k: v for k, v in read.items() if v is not None}

    def _string(self, value: Any, length_max: int) -> str | None:
        if not isinstance(value, str):
            self._count_changed(value)
            return None
        if len(value) <= length_max:
            return value
        self._repairs[Repair.LONG_STRING] += 1
        return None

    def _is_vector(self, value: Any) -> bool:
        return (
            isinstance(value, list)
            and len(value) <= self._limits.vector_max
            and all(isinstance(x, int | float) and abs(x) <= _VECTOR_VALUE_MAX for x in value)
        )

    def _count_changed(self, value: Any) -> None:
        # A null is simply missing; anything else had a meaning that is lost.
        self._repairs[Repair.CHANGED_TYPE] += value is not None
