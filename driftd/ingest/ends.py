"""How far our partitions are read: past markers that are no records, up to the end of each log."""

import asyncio
from collections.abc import Callable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from driftd.ingest.limits import POLL_MS
from driftd.ingest.partition import Partition
from driftd.ingest.probe import readable_end

log = structlog.get_logger()
Partitions = Mapping[TopicPartition, Partition]


async def pass_markers(
    consumer: AIOKafkaConsumer, partitions: Partitions, is_over: Callable[[], bool]
) -> None:
    """Go on where the client stands: markers of transactions and aborted records lie behind the
    records, it never returns them, and no record may follow for long. Call it right after all that
    a poll returned was taken; ``is_over``: what was taken is being let go."""
    try:
        # Only a partition without a position is waited for, and ours have been sought.
        async with asyncio.timeout(POLL_MS / 1000):
            for one, partition in partitions.items():
                if is_over() or one not in consumer.assignment():
                    return
                partition.pass_to(await consumer.position(one))
    except (KafkaError, TimeoutError) as error:
        log.debug("leave markers", why=repr(error))


def look_at_ends(
    consumer: AIOKafkaConsumer,
    partitions: Partitions,
    idle_s: Mapping[str, float],
    *,
    event_clock: bool,
) -> dict[str, int] | None:
    """Topic -> records that are not read yet, while each partition learns of the silence at its
    end; None during a rebalance."""
    if not consumer.assignment() >= partitions.keys():
        return None
    alone = event_clock and _holds_all(consumer, partitions)
    lag = dict.fromkeys((one.topic for one in partitions), 0)
    for one, partition in partitions.items():
        end, polled_ms = consumer.highwater(one), consumer.last_poll_timestamp(one)
        if end is None or polled_ms is None:
            continue
        # Behind an open transaction nothing can be read: no lag of ours, and no silence either.
        lag[one.topic] += max(0, (readable_end(consumer, one) or end) - partition.next)
        at_end = partition.next >= end
        if not event_clock:
            partition.look(polled_ms / 1000, idle_s.get(one.topic, 0.0), at_end=at_end)
        elif not alone:
            partition.take_in()
        elif at_end:
            partition.leave_out()
    return lag


def _holds_all(consumer: AIOKafkaConsumer, partitions: Partitions) -> bool:
    """Whether no other worker reads a part of these topics. What it has read already is not known
    here: a partition that is empty for us may be the one that its minimum has to wait for."""
    topics = {one.topic for one in partitions}
    listed = {t: consumer.partitions_for_topic(t) or () for t in topics}
    return all(TopicPartition(t, n) in partitions for t, numbers in listed.items() for n in numbers)
