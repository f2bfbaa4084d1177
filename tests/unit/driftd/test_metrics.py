"""The daemon's own counters: what begins at 0, what goes away, and what a system outside did."""

import asyncio
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import generate_latest

from driftd.errors import UnreachableError
from driftd.ingest.buffer import Letter
from driftd.ingest.letters import DeadLetters
from driftd.metrics import Metrics

LETTER = Letter(
    topic="t", partition=0, offset=1, reason="broken", length=3, crc32=1, head=b"abc"
)  # fmt: skip


class Deaf:
    """A producer whose broker refuses."""

    async def send(self, *_: Any) -> Any:
        raise KafkaError


def page(metrics: Metrics) -> str:
    """What is scraped of it."""
    return generate_latest(metrics.registry).decode()


def test_a_partition_that_is_no_longer_ours_has_no_lag() -> None:
    metrics = Metrics()
    metrics.lag.put({("a",): 3.0, ("b",): 0.0})
    metrics.lag.put({("b",): 2.0})

    assert 'driftd_ingest_lag_records{topic="b"} 2.0' in page(metrics)
    assert 'topic="a"' not in page(metrics)


def test_what_a_topic_may_do_wrong_is_0_from_the_start_and_kept() -> None:
    metrics = Metrics()
    metrics.know_topic("t", ("broken", "no_ts"))
    metrics.rejected.labels("t", "broken").inc(4)
    metrics.know_topic("t", ("broken", "no_ts"))

    assert 'driftd_rejected_total{reason="no_ts",topic="t"} 0.0' in page(metrics)
    assert 'driftd_rejected_total{reason="broken",topic="t"} 4.0' in page(metrics)
    assert 'driftd_gap_records_total{kind="lost",topic="t"} 0.0' in page(metrics)


def test_a_system_outside_is_noted_whichever_way_it_answers() -> None:
    metrics = Metrics()
    with metrics.asking("registry"):
        pass
    with pytest.raises(UnreachableError), metrics.asking("router"):
        raise UnreachableError("away")
    text = page(metrics)

    assert 'driftd_outside_failures_total{system="registry"} 0.0' in text
    assert 'driftd_outside_failures_total{system="router"} 1.0' in text
    assert 'driftd_outside_success_timestamp_seconds{system="router"} 0.0' in text
    assert 'driftd_outside_success_timestamp_seconds{system="registry"} 0.0' not in text


def test_letters_that_the_broker_refuses_are_counted_as_suppressed() -> None:
    told: list[tuple[str, int]] = []
    letters = DeadLetters(
        cast("AIOKafkaProducer", Deaf()), "dead", raw=False,
        count=lambda outcome, n: told.append((outcome, n)),
    )  # fmt: skip
    letters.put([LETTER, LETTER])
    asyncio.run(letters.drain())

    assert told == [("suppressed", 2)]
    assert letters.suppressed == 2
