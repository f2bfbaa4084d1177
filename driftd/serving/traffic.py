"""Follows the traffic topic: the newest routing of one model, whatever order it is read in."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from agents.commands import Routing
from driftd.clock import steady_now
from driftd.errors import MistakeError
from driftd.serving.assignment import CHALLENGER, CHAMPION

log = structlog.get_logger()

# A routing is in force this much after its message at most; an idle broker is asked as often.
FETCH_MAX_WAIT_MS = 50
POLL_MS = 1000
# New partitions are seen after this much at most.
METADATA_MAX_AGE_MS = 10_000
# How long the past of the topic may take; then what is known of it counts, or nothing.
CATCH_UP_S = 10.0
BACK_OFF_FIRST_S = 0.5
BACK_OFF_MAX_S = 10.0

Offer = Callable[[Routing], bool]


class RoutingError(MistakeError):
    """A record on the traffic topic is no routing."""


def decode_routing(value: bytes | None, model: str) -> Routing:
    """Decode and check. Raises RoutingError that says all that is wrong.

    >>> decode_routing(b'{"model": "churn", "epoch": 1, "routes": []}', "churn")
    Traceback (most recent call last):
    driftd.serving.traffic.RoutingError: there is no route
    """
    try:
        routing = msgspec.json.decode(value or b"", type=Routing)
    except msgspec.DecodeError as error:
        raise RoutingError(str(error)) from None
    wrong = [what for what, is_wrong in _faults(routing, model).items() if is_wrong]
    if wrong:
        raise RoutingError("; ".join(wrong))
    return routing


class TrafficFollower:
    """Reads every partition from the beginning and offers each newer routing at once."""

    def __init__(
        self,
        kafka: Mapping[str, Any],
        topic: str,
        model: str,
        offer: Offer,
        count: Callable[[str], None],
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._model = model
        self._offer = offer
        self._count = count
        self.caught_up = asyncio.Event()
        """What was on the topic at the start has been read."""

    async def run(self) -> None:
        """Follow for ever; a broker that is away is tried again."""
        back_off = BACK_OFF_FIRST_S
        while True:
            consumer = AIOKafkaConsumer(
                **self._kafka,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
                metadata_max_age_ms=METADATA_MAX_AGE_MS,
            )
            try:
                await consumer.start()
                back_off = BACK_OFF_FIRST_S
                await self._follow(consumer)
            except (KafkaError, OSError) as error:
                log.warning(
                    "lost traffic topic", topic=self._topic, error=str(error), wait=back_off
                )
            finally:
                await consumer.stop()
            await asyncio.sleep(back_off)
            back_off = min(BACK_OFF_MAX_S, 2 * back_off)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        # Naming one partition makes the client ask for the topic's metadata.
        consumer.assign([TopicPartition(self._topic, 0)])
        assigned: set[int] = set()
        ends: Mapping[TopicPartition, int] = {}
        newest: Routing | None = None
        until = steady_now() + CATCH_UP_S
        while True:
            known = consumer.partitions_for_topic(self._topic) or set()
            if not known:
                await asyncio.sleep(FETCH_MAX_WAIT_MS / 1000)
                continue
            if known != assigned:
                # Reading all again does no harm: the highest epoch wins.
                assigned = set(known)
                partitions = [TopicPartition(self._topic, p) for p in sorted(assigned)]
                consumer.assign(partitions)
                await consumer.seek_to_beginning(*partitions)
                ends = await consumer.end_offsets(partitions)
            if not self.caught_up.is_set() and (
                steady_now() > until or await _is_past(consumer, ends)
            ):
                if newest is not None:
                    self._offer(newest)
                self.caught_up.set()
            got = await consumer.getmany(
                timeout_ms=POLL_MS if self.caught_up.is_set() else FETCH_MAX_WAIT_MS
            )
            for routing in self._decode(got):
                if self.caught_up.is_set():
                    self._count("taken" if self._offer(routing) else "older")
                elif newest is None or routing.epoch > newest.epoch:
                    # Of the past only its last word counts: nothing is loaded for what is over.
                    newest = routing

    def _decode(self, got: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> list[Routing]:
        mine = self._model.encode()
        routings = []
        for record in (record for records in got.values() for record in records):
            if record.key != mine:
                continue
            try:
                routings.append(decode_routing(record.value, self._model))
            except RoutingError as error:
                self._count("malformed")
                log.error(  # noqa: TRY400  (a person's mistake: the place helps, the stack does not)
                    "ignored malformed routing", error=str(error),
                    partition=record.partition, offset=record.offset,
                )  # fmt: skip
        return sorted(routings, key=lambda routing: routing.epoch)


async def _is_past(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    try:
        # A partition without a leader has no position; it must not hold up the others.
        async with asyncio.timeout(FETCH_MAX_WAIT_MS / 1000):
            for partition, end in ends.items():
                if end > 0 and await consumer.position(partition) < end:
                    return False
    except TimeoutError:
        return False
    return True


def _faults(routing: Routing, model: str) -> dict[str, bool]:
    """What can be wrong -> whether it is."""
    weights = [route.weight for route in routing.routes]
    shadows = [shadow.version for shadow in routing.shadows]
    live = [route.version for route in routing.routes]
    named = [*live, *shadows, *routing.loaded]
    return {
        f"it is for model {routing.model!r}, its key is {model!r}": routing.model != model,
        f"epoch {routing.epoch} is below 0": routing.epoch < 0,
        "there is no route": not weights,
        f"the weights {weights} are not shares": any(not 0 <= w <= 1 for w in weights),
        f"the weights sum to {sum(weights):g}, not to 1": bool(weights)
        and not math.isclose(sum(weights), 1, abs_tol=1e-6),
        f"a version stands twice in {live}": len(set(live)) < len(live),
        f"a version stands twice in the shadows {shadows}": len(set(shadows)) < len(shadows),
        f"a variant is neither {CHAMPION} nor {CHALLENGER}": any(
            route.variant not in {CHAMPION, CHALLENGER} for route in routing.routes
        ),
        "a shadow's share is not within 0 and 1": any(
            not 0 <= shadow.share <= 1 for shadow in routing.shadows
        ),
        "a version has no name": "" in named,
        "all routes are barred": bool(live) and set(live) <= set(routing.barred),
    }
