"""Asks Kafka what is there, beside the consumer group: partitions, ends, single records."""

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self
from zlib import crc32

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from driftd.clock import steady_now
from driftd.errors import UnreachableError
from driftd.ingest.limits import FETCH_WAIT_MS, POLL_MS, REQUEST_MS
from driftd.kafka import aiokafka_options
from driftd.sections import KafkaSettings
from driftd.store.moves import Witness


class Probe:
    """A reader without a group; one question at a time. Raises ``UnreachableError``."""

    def __init__(self, kafka: KafkaSettings) -> None:
        options = {**aiokafka_options(kafka), "request_timeout_ms": REQUEST_MS}
        self._admin = AIOKafkaAdminClient(**options)
        self._consumer = AIOKafkaConsumer(
            **options,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> Self:
        try:
            await self._admin.start()
            await self._consumer.start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def partitions(self) -> dict[str, frozenset[int]]:
        """Topic -> its partitions, of every topic that the broker shows us."""
        try:
            listed = await self._admin.describe_topics()
        except KafkaError as error:
            raise UnreachableError(f"Kafka does not list its topics: {error!r}") from error
        return {
            topic["topic"]: frozenset(found["partition"] for found in topic["partitions"])
            for topic in listed
            if topic["error_code"] == 0
        }

    async def bounds(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, int]]:
        """Partition -> (first offset that is kept, end of the log)."""
        asked = list(partitions)
        if not asked:
            return {}
        async with self._one_at_a_time:
            try:
                first = await self._consumer.beginning_offsets(asked)
                end = await self._consumer.end_offsets(asked)
            except KafkaError as error:
                raise UnreachableError(f"Kafka does not say its offsets: {error!r}") from error
        return {partition: (first[partition], end[partition]) for partition in asked}

    async def records_at(
        self, offsets: Mapping[TopicPartition, int], timeout_s: float
    ) -> dict[TopicPartition, Witness | None]:
        """The first record at or after each offset; None where the offset is out of range. An
        offset with nothing but markers or aborted records behind it has no record and is left out.

        What does not answer within ``timeout_s`` raises: to guess would count twice, or not at all.
        """
        found: dict[TopicPartition, Witness | None] = {}
        if not offsets:
            return found
        async with self._one_at_a_time:
            self._consumer.assign(list(offsets))
            for partition, offset in offsets.items():
                self._consumer.seek(partition, offset)
            deadline = steady_now() + timeout_s
            try:
                while await self._is_open(set(offsets) - found.keys()):
                    if steady_now() > deadline:
                        raise UnreachableError("Kafka does not return the records last counted")
                    await self._collect(found)
            finally:
                self._consumer.unsubscribe()
        return found

    async def _is_open(self, wanted: Iterable[TopicPartition]) -> bool:
        """Whether a record may still come: some partition has not been read to its end."""
        for one in wanted:
            end = readable_end(self._consumer, one)
            if end is None or await self._consumer.position(one) < end:
                return True
        return False

    async def _collect(self, found: dict[TopicPartition, Witness | None]) -> None:
        try:
            batches = await self._consumer.getmany(timeout_ms=POLL_MS)
        except OffsetOutOfRangeError as error:
            gone: Iterable[TopicPartition] = error.args[0]
            found.update(dict.fromkeys(gone, None))
            self._consumer.pause(*gone)
            return
        except KafkaError as error:
            raise UnreachableError(f"Kafka does not return records: {error!r}") from error
        for partition, records in batches.items():
            if partition not in found and records:
                first = records[0]
                found[partition] = Witness(
                    offset=first.offset,
                    crc32=crc32(first.value or b""),
                    timestamp_ms=first.timestamp,
                )
                self._consumer.pause(partition)


def readable_end(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """The offset before which all transactions are over: nothing behind it is shown to us. None
    before the first answer."""
    stable: int | None = consumer.last_stable_offset(partition)
    end: int | None = consumer.highwater(partition)
    return end if stable is None or stable < 0 else stable
