"""What was read since the last flush, grouped as it will be folded: events are kept, folded late."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

from aiokafka import ConsumerRecord

from driftd.ingest.events import Decoded, Event, Limits
from driftd.ingest.limits import (
    ARMS_MAX,
    BROKER_TOLERANCE_S,
    BUFFER_BYTES_MAX,
    CELLS_MAX,
    CHUNK_RECORDS,
    LETTER_BYTES_MAX,
)
from driftd.ingest.partition import Partition
from driftd.ingest.plans import Plan, Plans
from driftd.ingest.reasons import Refusal, Skip
from driftd.store.moves import Witness

Cell = tuple[str, str, str, float]
"""(model, version, variant, start of the bucket)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A record that could not be attributed; of its bytes only the first are held."""

    topic: str
    partition: int
    offset: int
    reason: str
    length: int
    crc32: int
    head: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """How far ahead of ``now`` (wall time) an event may be, and how far it may move a watermark."""

    now: float
    future_s: float
    event_clock: bool

    @property
    def latest(self) -> float:
        """Events beyond it are refused."""
        return self.now + self.future_s

    def cap(self, event_time: float) -> float:
        """The watermark that this event time is good for."""
        if self.event_clock:
            return event_time
        return min(event_time, self.now + BROKER_TOLERANCE_S)


@dataclass(slots=True, kw_only=True)
class Buffer:
    """Events between two flushes. ``opened`` is the steady time of the first of them."""

    opened: float
    predictions: dict[Cell, list[Event]] = field(default_factory=dict)
    labels: dict[tuple[str, float], list[Event]] = field(default_factory=dict)
    sources: dict[tuple[str, str, float], list[Event]] = field(default_factory=dict)
    events: int = 0
    bytes: int = 0
    _arms: dict[str, set[tuple[str, str]]] = field(default_factory=dict)

    def full(self, events_max: int) -> bool:
        """Whether reading must pause until a flush has been written."""
        return self.events >= events_max or self.bytes >= BUFFER_BYTES_MAX

    def ripe(self, events_max: int) -> bool:
        """Whether a flush is due before its time."""
        return (
            self.events >= events_max // 2
            or self.bytes >= BUFFER_BYTES_MAX // 2
            or len(self.predictions) + len(self.sources) >= CELLS_MAX
        )

    def add(
        self,
        records: Sequence[ConsumerRecord],
        partition: Partition,
        plans: Plans,
        limits: Limits,
        horizon: Horizon,
    ) -> list[Letter]:
        """Take the next records of a partition; returns those that could not be attributed."""
        letters: list[Letter] = []
        decoder = plans.decoders[partition.topic]
        for start in range(0, len(records), CHUNK_RECORDS):
            chunk = records[start : start + CHUNK_RECORDS]
            values = [record.value for record in chunk]
            decoded = decoder.decode(values, limits)
            self.bytes += sum(len(value) for value in values if value)
            self.events += len(chunk)
            refused = [(found.index, str(found.reason)) for found in decoded.rejected]
            refused += self._sort(decoded, partition, plans, horizon)
            partition.rejected.update(decoded.repairs)
            for index, reason in refused:
                partition.rejected[reason] += 1
                letters.append(_letter(chunk[index], reason))
        last = records[-1]
        seen = Witness(
            offset=last.offset, crc32=crc32(last.value or b""), timestamp_ms=last.timestamp
        )
        partition.take(seen, len(records))
        return letters

    def _sort(
        self, decoded: Decoded, partition: Partition, plans: Plans, horizon: Horizon
    ) -> list[tuple[int, str]]:
        refused: list[tuple[int, str]] = []
        models = plans.by_topic[partition.topic]
        subscribers = plans.subscribers.get(partition.topic, {})
        newest, latest, skipped = 0.0, horizon.latest, partition.rejected
        for event, index in zip(decoded.events, decoded.origin, strict=True):
            ts = event.ts if event.tick is None else event.tick
            if ts > latest:
                refused.append((index, str(Refusal.FAR_FUTURE)))
                continue
            newest = max(newest, ts)
            if event.tick is not None:
                continue
            if event.model is not None:
                plan = models.get(event.model)
                if plan is None:
                    skipped[Skip.NO_POLICY] += 1
                else:
                    self._put(event, plan, partition)
                continue
            plans_of_source = subscribers.get(event.source or "", ())
            if not plans_of_source:
                skipped[Skip.NO_SUBSCRIBER] += 1
            for plan in plans_of_source:
                bucket = _bucket(ts, plan)
                key = (plan.spec.model, event.source or "", bucket)
                self.sources.setdefault(key, []).append(event)
        if newest > 0:
            partition.advance(horizon.cap(newest))
        return refused

    def _put(self, event: Event, plan: Plan, partition: Partition) -> None:
        model, bucket = plan.spec.model, _bucket(event.ts, plan)
        if event.label is not None:
            if event.id is None:
                partition.rejected[Skip.NO_ID] += 1
            else:
                self.labels.setdefault((model, bucket), []).append(event)
            carried = (event.prediction, event.score, event.features, event.vectors)
            if all(one is None for one in carried):
                return
        key = (model, event.version, event.variant, bucket)
        cell = self.predictions.get(key)
        if cell is None:
            arms = self._arms.setdefault(model, set())
            arms.add((event.version, event.variant))
            if len(arms) > ARMS_MAX:
                arms.discard((event.version, event.variant))
                partition.rejected[Skip.TOO_MANY_VERSIONS] += 1
                return
            cell = self.predictions[key] = []
        cell.append(event)


def _bucket(ts: float, plan: Plan) -> float:
    bucket_s = plan.spec.clock.bucket_s
    return math.floor(ts / bucket_s) * bucket_s


def _letter(record: ConsumerRecord, reason: str) -> Letter:
    value: bytes = record.value or b""
    return Letter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=reason,
        length=len(value),
        crc32=crc32(value),
        head=value[:LETTER_BYTES_MAX],
    )
