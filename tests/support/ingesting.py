"""A small world for ingest: an embedded broker, a store, and events whose truth is known."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from driftd.demo.broker import EmbeddedBroker
from driftd.ingest.service import Ingest
from driftd.settings import Settings
from driftd.store.migrate import migrate
from driftd.store.store import Store, open_store
from driftd.telemetry import Metrics
from policies.specs import ClockSpec, EventsSpec, ModelSpec, RegistrySpec
from stack.kafka import Kafka

MODEL = "flight-delay"
T0 = 1_700_000_000.0 // 60 * 60
WAIT_S = 120.0


def spec(**more: Any) -> ModelSpec:
    """The policy of the model: buckets of a minute on two topics."""
    given = {
        "clock": ClockSpec(pane_s=60, bucket_s=60, lateness_s=5, idle_s=0.5),
        "events": EventsSpec(predictions="predictions", labels="labels"),
        **more,
    }
    return ModelSpec(model=MODEL, registry=RegistrySpec(name=MODEL), **given)


def settings(bootstrap: str, directory: Path, clock: str = "wall", **ingest: Any) -> Settings:
    """Quick flushes and everything sampled; the schema is in place."""
    made = Settings.model_validate(
        {
            "store": f"sqlite:///{directory}/driftd.db",
            "kafka": {"bootstrap": bootstrap, "session_timeout": "1s"},
            "clock": clock,
            "ingest": {"flush": "100ms", "flush_canary": "50ms", "sample": "100%", **ingest},
        }
    )
    migrate(made.store)
    return made


def prediction(number: int, **more: Any) -> dict[str, Any]:
    """Event ``number``, one a second from T0 on."""
    return {
        "v": 1,
        "id": f"p{number}",
        "model": MODEL,
        "version": "1",
        "ts": T0 + number,
        "features": {"temp": float(number % 40)},
        "score": (number % 100) / 100,
        "prediction": "late" if number % 3 else "on_time",
        "latency_ms": 10.0,
        **more,
    }


def produce(
    broker: EmbeddedBroker | Kafka,
    topic: str,
    values: Iterable[dict[str, Any] | bytes],
    partition: int | None = None,
) -> None:
    """Write records and wait until they are in the log."""
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap, "message.max.bytes": 4_000_000, "linger.ms": 5}
    )
    where = {} if partition is None else {"partition": partition}
    for value in values:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        producer.produce(topic, raw, **where)
        producer.poll(0)
    assert producer.flush(10) == 0


def end_offsets(broker: EmbeddedBroker, topics: Mapping[str, int]) -> dict[tuple[str, int], int]:
    """What the broker itself says is in its logs."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "truth"})
    try:
        return {
            (topic, n): consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=10)[1]
            for topic, count in topics.items()
            for n in range(count)
        }
    finally:
        consumer.close()


def values_of(broker: EmbeddedBroker, topic: str) -> list[dict[str, Any]]:
    """All records of a topic with one partition."""
    end = end_offsets(broker, {topic: 1})[topic, 0]
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "reader"})
    found: list[dict[str, Any]] = []
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while len(found) < end:
            message = consumer.poll(10)
            assert message is not None, f"{len(found)} of {end} records came"
            found.append(json.loads(message.value() or b""))
    finally:
        consumer.close()
    return found


def at_ends(store: Store, ends: Mapping[tuple[str, int], int]) -> bool:
    """Whether the store's positions stand at ``ends``."""
    found = store.ingest.positions({topic for topic, _ in ends})
    return {key: one.next_offset for key, one in found.items()} == dict(ends)


@asynccontextmanager
async def ingesting(
    given: Settings,
    policies: Callable[[], Mapping[str, ModelSpec]] | None = None,
    store: Store | None = None,
    on_flushed: Callable[[Iterable[str]], None] = lambda _: None,
) -> AsyncIterator[tuple[Ingest, Store]]:
    """A running ingest; it stops in order when the block ends."""
    own = store or open_store(given.store)
    stop = asyncio.Event()
    ingest = Ingest(
        given, own, policies or (lambda: {MODEL: spec()}), Metrics(), on_flushed=on_flushed
    )
    task = asyncio.create_task(ingest.run(stop))
    try:
        yield ingest, own
    finally:
        stop.set()
        await task
        if store is None:
            own.close()


async def until(condition: Callable[[], bool], what: str = "the condition") -> None:
    """Wait for something that must come true."""
    for _ in range(round(WAIT_S / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {WAIT_S} s")
