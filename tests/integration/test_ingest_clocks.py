"""What moves event time: the wall clock over silence, or under `--clock event` ticks alone."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftd.clock import wall_now
from driftd.demo.broker import EmbeddedBroker, start_broker
from driftd.ingest.limits import BROKER_TOLERANCE_S
from driftd.store.rows import StepWrite
from driftd.store.store import Store
from tests.support.ingesting import (
    MODEL,
    T0,
    at_ends,
    end_offsets,
    ingesting,
    prediction,
    produce,
    settings,
    until,
)

TOPICS = {"predictions": 3, "labels": 2}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    started = start_broker({**TOPICS, "driftd.dead_letters": 1}, tmp_path / "broker")
    yield started
    started.stop()


def watermark(store: Store) -> float:
    return store.control.work(MODEL, tuple(TOPICS), 0.0, 60.0, None).watermark


def tick(broker: EmbeddedBroker, ts: float) -> None:
    for topic, count in TOPICS.items():
        for partition in range(count):
            produce(broker, topic, [{"v": 1, "tick": ts}], partition)


def test_silence_at_the_log_end_moves_event_time_after_idle(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """``idle`` is half a second here; without any event at all the watermark follows the clock."""
    given = settings(broker.bootstrap, tmp_path)

    async def story() -> None:
        started = wall_now()
        async with ingesting(given) as (_, store):
            await until(lambda: watermark(store) > started, "the proof of silence")
            reached, now = watermark(store), wall_now()
            assert reached <= now - 0.5, "never nearer than idle"
            await until(lambda: watermark(store) > reached, "going on")

    asyncio.run(story())


def test_an_event_ahead_of_the_clock_moves_the_watermark_no_further_than_the_tolerance(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    given = settings(broker.bootstrap, tmp_path)
    fast = [prediction(n, ts=wall_now() + 1_800) for n in range(40)]

    async def story() -> None:
        produce(broker, "predictions", fast)
        async with ingesting(given) as (_, store):
            await until(lambda: at_ends(store, end_offsets(broker, TOPICS)), "reading")
            marks = [one.watermark for one in store.ingest.positions(TOPICS).values()]
            assert max(marks) <= wall_now() + BROKER_TOLERANCE_S

    asyncio.run(story())


def test_under_event_time_the_slowest_partition_holds_and_ticks_move_idle_ones(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    given = settings(broker.bootstrap, tmp_path, clock="event")
    rung: list[str] = []

    async def story() -> None:
        async with ingesting(given, on_flushed=rung.extend) as (ingest, store):
            await until(lambda: ingest.owning, "ownership")
            assert watermark(store) == 0.0, "nothing is known yet, and no wall clock is asked"
            produce(broker, "predictions", [prediction(n) for n in range(120)], partition=0)
            # Empty partitions are left out once they are read to their end.
            await until(lambda: watermark(store) == T0 + 119, "the one partition with events")
            produce(broker, "predictions", [prediction(60)], partition=1)
            await until(lambda: watermark(store) == T0 + 60, "a slower one joins")
            await asyncio.sleep(0.5)
            assert watermark(store) == T0 + 60, "silence proves nothing"
            tick(broker, T0 + 3_600)
            await until(lambda: watermark(store) == T0 + 3_600, "ticks")
            assert at_ends(store, end_offsets(broker, TOPICS))
            assert sum(store.views.counts().records.values()) == 121 + 5, "ticks count as records"
            assert rung, "the control loop is told"
            assert set(rung) == {MODEL}

    asyncio.run(story())


def test_while_a_rollout_is_open_each_flush_hands_on_what_the_live_arms_did(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    given = settings(broker.bootstrap, tmp_path, flush="1h")

    async def story() -> None:
        async with ingesting(given) as (ingest, store):
            await until(lambda: ingest.owning, "ownership")
            store.control.model_row(MODEL)
            opened = StepWrite(
                model=MODEL, revision=0, snapshot=b"", closed=None, rollout_open=True
            )
            assert store.control.commit(opened)
            ingest.refresh_policies()
            await asyncio.sleep(0.2)
            events = [
                prediction(n, variant=variant, version=version, error=error)
                for n in range(30)
                for variant, version, error in (
                    ("champion", "1", None),
                    ("challenger", "2", "boom" if n % 10 == 0 else None),
                    ("shadow", "2", None),
                )
            ]
            produce(broker, "predictions", events)
            await until(lambda: at_ends(store, end_offsets(broker, TOPICS)), "flush_canary")
            work = store.control.work(MODEL, (), 0.0, 60.0, None)
            arms = {(row.version, row.variant) for _, row in work.increments}
            assert arms == {("1", "champion"), ("2", "challenger")}

    asyncio.run(story())
