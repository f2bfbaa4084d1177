"""Where each partition goes on: the store says, unless the topic was made anew or lost records."""

import asyncio
from collections.abc import Callable, Iterable

import structlog
from aiokafka import TopicPartition

from driftd.ingest.limits import WITNESS_S
from driftd.ingest.probe import Probe
from driftd.store.moves import Position, Witness
from driftd.store.positions import Positions

log = structlog.get_logger()


async def starting_points(
    store: Positions,
    probe: Probe,
    partitions: Iterable[TopicPartition],
    gone: Callable[[str, int], None] = lambda _topic, _records: None,
) -> dict[TopicPartition, Position]:
    """The position of every partition, checked against what Kafka holds now.

    aiokafka sees no topic ids: the last record that was counted is read again, and when it is
    another one, the partition starts a new lineage. A record that retention took away proves
    nothing. ``gone`` is told of records that were lost before they could be read. Raises
    ``UnreachableError``; nothing is decided then.
    """
    wanted = sorted(partitions)
    bounds = await probe.bounds(wanted)
    found = await _positions(store, wanted)
    missing = {one: bounds[one][0] for one in wanted if one not in found}
    if missing:
        rows = {(one.topic, one.partition): first for one, first in missing.items()}
        await asyncio.to_thread(store.discover, rows, listed={})
    changed = await _changed(probe, found, bounds)
    for one, why in sorted(changed.items()):
        await _new_lineage(store, found[one], bounds[one][0], why, gone)
    if missing or changed:
        found = await _positions(store, wanted)
    return found


async def _positions(
    store: Positions, wanted: list[TopicPartition]
) -> dict[TopicPartition, Position]:
    rows = await asyncio.to_thread(store.positions, {one.topic for one in wanted})
    known = {TopicPartition(*key): row for key, row in rows.items()}
    return {one: known[one] for one in wanted if one in known}


async def _changed(
    probe: Probe,
    found: dict[TopicPartition, Position],
    bounds: dict[TopicPartition, tuple[int, int]],
) -> dict[TopicPartition, str]:
    changed: dict[TopicPartition, str] = {}
    asked: dict[TopicPartition, Witness] = {}
    for one, position in found.items():
        first, end = bounds[one]
        if position.next_offset < first:
            changed[one] = "records were removed before they were read"
        elif position.next_offset > end:
            changed[one] = "the topic is shorter than what was counted"
        elif first <= position.witness.offset < end:
            asked[one] = position.witness
    seen = await probe.records_at({one: w.offset for one, w in asked.items()}, WITNESS_S)
    for one, now in seen.items():
        witness = asked[one]
        # At a later offset, or nowhere, the record itself is gone (compaction): unknown, not new.
        if now is None or (now.offset == witness.offset and now != witness):
            changed[one] = "the record counted last is another one now"
    return changed


async def _new_lineage(
    store: Positions, old: Position, first: int, why: str, gone: Callable[[str, int], None]
) -> None:
    gap = max(0, first - old.next_offset)
    if await asyncio.to_thread(store.new_lineage, old, first=first, gap=gap):
        gone(old.topic, gap)
    log.warning(
        "start lineage",
        topic=old.topic,
        partition=old.partition,
        why=why,
        stood_at=old.next_offset,
        goes_on_at=first,
        records_lost=gap,
    )
