"""The doorbell: "look at model M", an event in memory here and a record of `driftd.control` for all.

The Faust app owns the partitions of the control topic; who owns the partition of a model steps that
model. A doorbell carries no state: a lost, late or doubled one can slow a decision, never change it.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import faust
import structlog
from aiokafka.errors import KafkaError

from driftd.clock import steady_now, wall_now
from driftd.settings import Settings

log = structlog.get_logger()

RING_OLD_S = 5.0


def partition_of(model: str, partitions: int) -> int:
    """The control partition of a model, the same in every worker and every release."""
    return zlib.crc32(model.encode()) % partitions


class Doorbell:
    """Wakes the control loop for a model; ``wait`` hands out each rung model once."""

    def __init__(self) -> None:
        self._rung: dict[str, None] = {}
        self._event = asyncio.Event()

    def ring(self, *models: str) -> None:
        """Ask that these models are looked at soon; many rings for one model are one."""
        self._rung.update(dict.fromkeys(models))
        self._event.set()

    async def wait(self, timeout_s: float) -> tuple[str, ...]:
        """The models rung since the last call, or none after ``timeout_s`` seconds."""
        if not self._event.is_set():
            try:
                await asyncio.wait_for(self._event.wait(), timeout_s)
            except TimeoutError:
                return ()
        self._event.clear()
        rung = tuple(self._rung)
        self._rung.clear()
        return rung


class Ownership:
    """Which control partitions this worker holds; changed only by the Faust app's rebalances."""

    def __init__(self, topic: str, partitions: int) -> None:
        self._topic = topic
        self._partitions = partitions
        self._owned: frozenset[int] = frozenset()
        self.joined = False
        """Whether the group has told us our partitions, be they none."""
        self.changed_at = steady_now()

    @property
    def owned(self) -> frozenset[int]:
        """The partitions that are ours."""
        return self._owned

    def owns(self, model: str) -> bool:
        """Whether this worker steps the model."""
        return self.partition(model) in self._owned

    def partition(self, model: str) -> int:
        """The control partition of a model."""
        return partition_of(model, self._partitions)

    def assigned(self, partitions: Any) -> None:
        """Faust was given partitions (its ``TP`` tuples)."""
        mine = {tp.partition for tp in partitions if tp.topic == self._topic}
        self._owned = frozenset(mine)
        self.joined, self.changed_at = True, steady_now()
        log.info("own partitions", topic=self._topic, partitions=sorted(mine))

    def revoked(self, partitions: Any) -> None:
        """Faust lost partitions; the store's compare-and-set guards what is still in flight."""
        gone = {tp.partition for tp in partitions if tp.topic == self._topic}
        self._owned -= gone
        self.joined, self.changed_at = False, steady_now()


Send = Callable[[int, bytes], Awaitable[None]]


class Bell:
    """Rings for any model: here for our own, through the control topic for another worker's.

    ``send(partition, key)`` writes one record; one that is lost costs its model a tick. Call it on
    the event loop.
    """

    def __init__(self, doorbell: Doorbell, ownership: Ownership, send: Send) -> None:
        self._doorbell = doorbell
        self._ownership = ownership
        self._send = send
        self._sending: dict[str, asyncio.Task[None]] = {}

    def ring(self, *models: str) -> None:
        """Ask that these models are looked at soon, by whoever owns them: a worker that only
        ingests, and one that has not joined the group yet, always ring through the topic."""
        for model in models:
            if self._ownership.owns(model):
                self._doorbell.ring(model)
            elif model not in self._sending:
                self._sending[model] = asyncio.create_task(self._tell(model))

    async def settled(self) -> None:
        """Wait until every ring that was begun has ended."""
        await asyncio.gather(*self._sending.values())

    async def _tell(self, model: str) -> None:
        try:
            await self._send(self._ownership.partition(model), model.encode())
        except (KafkaError, AssertionError) as error:
            # The client asserts that the partition exists.
            log.debug("lose ring", model=model, why=repr(error))
        finally:
            self._sending.pop(model, None)


Look = Callable[[str], Awaitable[None]]


def make_app(
    settings: Settings,
    ownership: Ownership,
    look: Look,
    kafka: Mapping[str, Any],
    data_directory: str,
) -> faust.App:
    """The one Faust app: a group of its own on the control topic, no tables, no leader topic.

    ``look(model)`` returns when the model has been looked at; only then is its ring acknowledged.
    """
    app = faust.App(
        settings.kafka.control_group,
        datadir=data_directory,
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        broker_commit_interval=0.5,
        producer_acks=-1,
        producer_request_timeout=30,
        web_enabled=False,
        worker_redirect_stdouts=False,
        processing_guarantee="at_least_once",
        **kafka,
    )
    topic = app.topic(
        settings.topics.control, value_type=bytes, key_type=bytes, value_serializer="raw"
    )

    async def control(stream: Any) -> None:
        async for event in _quietly(stream):
            model = (event.key or b"").decode("utf-8", "replace")
            # An old one was overtaken by ticks: a backlog must not be worked off step by step.
            if model and wall_now() - event.message.timestamp < RING_OLD_S:
                await look(model)
            event.ack()

    app.agent(topic, name="driftd.control.rings")(control)
    app.on_partitions_assigned.connect(_listener(ownership.assigned), weak=False)
    app.on_partitions_revoked.connect(_listener(ownership.revoked), weak=False)
    return app


async def _quietly(stream: Any) -> AsyncIterator[Any]:
    async for event in stream.noack().events():
        yield event


def _listener(act: Callable[[Any], None]) -> Callable[..., Awaitable[None]]:
    async def listen(_app: Any, partitions: Any, **_kwargs: Any) -> None:
        act(partitions)

    return listen
