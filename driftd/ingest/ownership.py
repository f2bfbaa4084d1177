"""Which partitions are ours, in which generation: what was begun in one ends with it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from driftd.errors import UnreachableError
from driftd.ingest.limits import READ_RETRY_S
from driftd.ingest.partition import Partition
from driftd.store.moves import Position
from driftd.telemetry import Complaints

log = structlog.get_logger()
Read = Callable[[Iterable[TopicPartition]], Awaitable[Mapping[TopicPartition, Position]]]


class Ownership(ConsumerRebalanceListener):
    """``assigned`` is what the group gave us; ``partitions`` what we own: read from the store and
    sought. Callbacks do no store reads; a task reads, and only the poll loop applies the result,
    between two polls: a seek beside a running ``getmany`` skips records."""

    def __init__(self, read: Read, last_flush: Callable[[], Awaitable[None]]) -> None:
        self._read = read
        self._last_flush = last_flush
        self._complaints = Complaints(log)
        self._task: asyncio.Task[Mapping[TopicPartition, Position]] | None = None
        self._task_generation = -1
        self.generation = 0
        self.settled = False
        """Whether the group has told us our partitions, be they none."""
        self.assigned: frozenset[TopicPartition] = frozenset()
        self.partitions: dict[TopicPartition, Partition] = {}

    @property
    def owning(self) -> bool:
        """Whether every assigned partition is read from where the store stands."""
        return bool(self.partitions)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Write what was read, in the little time there is, and let go."""
        self.settled = False
        await self._last_flush()
        self.drop()
        self.assigned = frozenset()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begin a new generation."""
        self.drop()
        self.assigned, self.settled = frozenset(assigned), True
        log.info("assign partitions", count=len(self.assigned))

    def drop(self) -> None:
        """Forget everything that was read and not written; it will be read again."""
        self.generation += 1
        self.partitions = {}

    def go_on(self, consumer: AIOKafkaConsumer) -> bool:
        """Called between two polls: start reading positions, or apply what was read.

        True when the partitions have just become ours.
        """
        if self.owning or not self.assigned:
            return False
        task = self._task
        if task is None or self._task_generation != self.generation:
            if task is not None:
                task.cancel()
            self._task = asyncio.create_task(self._positions(self.generation))
            self._task_generation = self.generation
            return False
        if not task.done():
            return False
        self._task = None
        return self._apply(consumer, task.result())

    async def aclose(self) -> None:
        """End the task that reads."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _apply(self, consumer: AIOKafkaConsumer, found: Mapping[TopicPartition, Position]) -> bool:
        if not self.assigned <= consumer.assignment() or not self.assigned <= found.keys():
            # Another rebalance is on its way; its callback begins a new generation.
            return False
        for one in sorted(self.assigned):
            consumer.seek(one, found[one].next_offset)
        self.partitions = {one: Partition.at(found[one]) for one in sorted(self.assigned)}
        log.info("own partitions", count=len(self.partitions))
        return True

    async def _positions(self, generation: int) -> Mapping[TopicPartition, Position]:
        wait, longest = READ_RETRY_S
        while generation == self.generation:
            try:
                return await self._read(self.assigned)
            except UnreachableError as error:
                self._complaints.say("positions", "wait for positions", why=str(error))
            await asyncio.sleep(wait)
            wait = min(2 * wait, longest)
        return {}
