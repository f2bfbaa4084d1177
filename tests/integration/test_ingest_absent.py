"""A broker or a topic that is not there is waited for and told; it ends nothing."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from driftd.clock import steady_now
from driftd.demo.broker import EmbeddedBroker, start_broker
from policies.specs import EventsSpec
from tests.support.ingesting import (
    MODEL,
    at_ends,
    end_offsets,
    ingesting,
    prediction,
    produce,
    settings,
    spec,
    until,
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    started = start_broker({"predictions": 1, "driftd.dead_letters": 1}, tmp_path / "broker")
    yield started
    started.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_an_absent_broker_is_waited_for_and_a_stop_is_heard(tmp_path: Path) -> None:
    given = settings(f"127.0.0.1:{free_port()}", tmp_path)

    async def story() -> float:
        async with ingesting(given) as (ingest, _):
            await until(lambda: any("Kafka" in entry["event"] for entry in logs), "telling")
            assert not ingest.owning
            assert ingest.stalled_s < 60, "to wait for a broker is no stall"
            asked = steady_now()
        return steady_now() - asked

    with capture_logs() as logs:
        took = asyncio.run(story())
    assert took < 20
    told = [entry for entry in logs if entry["event"] == "wait for Kafka"]
    assert len(told) == 1, "told once, not in a flood"
    assert given.kafka.bootstrap in told[0]["why"]


def test_what_exists_is_read_while_another_topic_is_waited_for(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    given = settings(broker.bootstrap, tmp_path)
    policy = spec(events=EventsSpec(predictions="predictions", labels="not-there-yet"))

    async def story() -> None:
        produce(broker, "predictions", (prediction(n) for n in range(30)))
        async with ingesting(given, policies=lambda: {MODEL: policy}) as (_, store):
            ends = end_offsets(broker, {"predictions": 1})
            await until(lambda: at_ends(store, ends), "the topic that exists")

    with capture_logs() as logs:
        asyncio.run(story())
    told = [entry for entry in logs if entry["event"] == "wait for topics"]
    assert [entry["missing"] for entry in told] == [["not-there-yet"]]
