"""Who rings for a model of another worker is heard there, through the control topic."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

from aiokafka.errors import KafkaConnectionError

from driftd.control.doorbell import Bell, Doorbell, Ownership, partition_of

TOPIC, PARTITIONS = "driftd.control", 8
Sent = list[tuple[int, bytes]]


def owning(*models: str) -> Ownership:
    """Owns the partitions of these models."""
    ownership = Ownership(TOPIC, PARTITIONS)
    ownership.assigned(
        [SimpleNamespace(topic=TOPIC, partition=partition_of(m, PARTITIONS)) for m in models]
    )
    return ownership


def ring(
    ownership: Ownership, send: Callable[[int, bytes], Awaitable[None]], *models: str
) -> tuple[str, ...]:
    """Ring, let what was begun end, and return what rang here."""

    async def run() -> tuple[str, ...]:
        doorbell = Doorbell()
        bell = Bell(doorbell, ownership, send)
        bell.ring(*models)
        await bell.settled()
        return await doorbell.wait(0.0)

    return asyncio.run(run())


def test_a_model_of_our_own_rings_here_and_no_record_is_sent() -> None:
    sent: Sent = []

    async def send(partition: int, key: bytes) -> None:
        sent.append((partition, key))

    assert ring(owning("m"), send, "m") == ("m",)
    assert sent == []


def test_another_workers_model_rings_there_once_however_often_it_is_rung() -> None:
    sent: Sent = []

    async def send(partition: int, key: bytes) -> None:
        sent.append((partition, key))

    assert ring(owning("m"), send, "theirs", "theirs") == ()
    assert sent == [(partition_of("theirs", PARTITIONS), b"theirs")]


def test_who_owns_nothing_rings_for_every_model_there() -> None:
    """A worker that only ingests, and one that has not joined the group yet."""
    sent: Sent = []

    async def send(partition: int, key: bytes) -> None:
        sent.append((partition, key))

    assert ring(Ownership(TOPIC, PARTITIONS), send, "m", "n") == ()
    assert sent == [(partition_of(m, PARTITIONS), m.encode()) for m in ("m", "n")]


def test_a_ring_that_cannot_be_sent_is_lost_and_harms_nobody() -> None:
    async def away(_partition: int, _key: bytes) -> None:
        raise KafkaConnectionError

    assert ring(owning("m"), away, "theirs") == ()
