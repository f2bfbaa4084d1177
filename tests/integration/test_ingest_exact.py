"""Every Kafka record counts once, whatever is killed when; checked against the broker and by SQL."""

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from driftd.data.samples import decode_labels, decode_predictions
from driftd.demo.broker import EmbeddedBroker, start_broker
from driftd.errors import UnreachableError
from driftd.store.moves import Flush
from driftd.store.positions import Positions
from driftd.store.rows import PartialRow
from driftd.store.store import Store, open_store
from policies.specs import ModelSpec
from tests.support.ingesting import (
    MODEL,
    T0,
    at_ends,
    end_offsets,
    ingesting,
    prediction,
    produce,
    settings,
    spec,
    until,
)

TOPICS = {"predictions": 4, "labels": 2}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    started = start_broker({**TOPICS, "driftd.dead_letters": 1}, tmp_path / "broker")
    yield started
    started.stop()


def label(number: int) -> dict[str, Any]:
    return {"id": f"p{number}", "model": MODEL, "label": "late", "ts": T0 + number + 30}


def partials(store: Store) -> list[PartialRow]:
    """All partials, whatever the watermark says."""
    found = store.control.work(MODEL, (), -1e12, 60.0, None)
    return [row for _, row in (*found.partials, *found.late)]


def counted(store: Store) -> Counter[float]:
    total: Counter[float] = Counter()
    for row in partials(store):
        total[row.bucket] += row.n
    return total


def sampled_ids(store: Store) -> tuple[list[str], list[str]]:
    found = store.control.work(MODEL, (), -1e12, 60.0, None).samples
    ids: dict[str, list[str]] = {"prediction": [], "label": []}
    for _, row in found:
        decode = decode_predictions if row.kind == "prediction" else decode_labels
        ids[row.kind] += decode(row.blob)["id"].to_pylist()
    return ids["prediction"], ids["label"]


def truth(numbers: range) -> Counter[float]:
    return Counter((T0 + number) // 60 * 60 for number in numbers)


def test_five_kills_with_9_lose_nothing_and_count_nothing_twice(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    given = settings(broker.bootstrap, tmp_path)
    store = open_store(given.store)
    chance = random.Random(5)
    poison = [b"{broken", b"\xff\xfe", b""] * 7
    total = 0
    for round_ in range(6):
        events = [prediction(n) for n in range(total, total + 1_500)]
        produce(
            broker, "predictions", [*events, *poison, *({"v": 1, "tick": T0} for _ in range(9))]
        )
        produce(broker, "labels", [label(n) for n in range(total, total + 1_500, 3)])
        total += 1_500
        target = 0 if round_ == 5 else store_records(store) + chance.randrange(200, 1_900)
        run_and_kill(tmp_path, store, broker, target)

    ends = end_offsets(broker, TOPICS)
    assert at_ends(store, ends)
    assert store_records(store) == sum(ends.values()) == total + total // 3 + 6 * 30
    assert counted(store) == truth(range(total))
    predictions, labels = sampled_ids(store)
    assert sorted(predictions) == sorted(f"p{n}" for n in range(total))
    assert sorted(labels) == sorted(f"p{n}" for n in range(0, total, 3))
    rejected = store.views.counts().rejected
    assert (rejected["predictions", "broken"], rejected["predictions", "slow_path"]) == (126, 126)
    store.close()


def store_records(store: Store) -> int:
    return sum(store.views.counts().records.values())


def run_and_kill(directory: Path, store: Store, broker: EmbeddedBroker, target: int) -> None:
    """Run ingest in a child until ``target`` records are counted (0: all), then kill -9."""
    ends = end_offsets(broker, TOPICS)
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.ingest_child", broker.bootstrap, str(directory)]
    )

    async def wait() -> None:
        await until(
            lambda: (
                child.poll() is not None
                or (at_ends(store, ends) if target == 0 else store_records(store) >= target)
            ),
            "the count",
        )

    try:
        asyncio.run(wait())
        assert child.poll() is None, "it must have been alive when it was killed"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()


def test_a_stop_in_order_leaves_nothing_behind_and_the_next_run_goes_on(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    given = settings(broker.bootstrap, tmp_path, flush="1h", flush_canary="1h")

    async def story() -> None:
        produce(broker, "predictions", (prediction(n) for n in range(500)))
        async with ingesting(given) as (ingest, _):
            await until(lambda: ingest.owning and ingest.lag == 0, "reading")
            await asyncio.sleep(0.3)
        produce(broker, "predictions", (prediction(n) for n in range(500, 800)))
        async with ingesting(given) as (ingest, _):
            await until(lambda: ingest.owning and ingest.lag == 0, "reading on")
            await asyncio.sleep(0.3)

    asyncio.run(story())
    store = open_store(given.store)
    assert at_ends(store, end_offsets(broker, TOPICS)), "the last flush comes with the stop"
    assert counted(store) == truth(range(800))
    store.close()


class Flaky(Positions):
    """A store whose every third flush fails, alternately before and after it was committed."""

    calls = 0

    def flush(self, flush: Flush) -> bool:
        type(self).calls += 1
        if self.calls % 6 == 1:
            raise UnreachableError("gone before the commit")
        done = super().flush(flush)
        if self.calls % 6 == 4:
            raise UnreachableError("gone after the commit: its outcome is unknown")
        return done


def test_a_commit_whose_outcome_is_unknown_is_not_counted_twice(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    given = settings(broker.bootstrap, tmp_path)
    store = open_store(given.store)
    store.ingest = Flaky(store.database)

    async def story() -> None:
        async with ingesting(given, store=store) as (ingest, _):
            for start in range(0, 2_000, 200):
                produce(broker, "predictions", (prediction(n) for n in range(start, start + 200)))
                await asyncio.sleep(0.15)
            ends = end_offsets(broker, TOPICS)
            await until(lambda: at_ends(store, ends), "all records")
            await until(lambda: ingest.stalled_s < 1, "rest")

    asyncio.run(story())
    assert Flaky.calls >= 6, "both kinds of failure must have happened"
    assert counted(store) == truth(range(2_000))
    assert store_records(store) == 2_000
    store.close()


def test_a_full_buffer_pauses_reading_until_the_store_is_back(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    given = settings(broker.bootstrap, tmp_path, buffer_events=400)
    store = open_store(given.store)
    away = True

    class Away(Positions):
        def flush(self, flush: Flush) -> bool:
            if away:
                raise UnreachableError("away")
            return super().flush(flush)

    store.ingest = Away(store.database)
    produce(broker, "predictions", (prediction(n) for n in range(6_000)))

    async def story() -> None:
        nonlocal away
        async with ingesting(given, store=store) as (ingest, _):
            await until(lambda: ingest.owning, "ownership")
            await asyncio.sleep(1.5)
            held = 6_000 - ingest.lag
            assert 400 <= held <= 400 + 200 + 2 * 2_000, "bounded by the buffer and one poll"
            assert ingest.stalled_s > 1, "and it tells"
            away = False
            ends = end_offsets(broker, TOPICS)
            await until(lambda: at_ends(store, ends), "catching up")

    asyncio.run(story())
    assert counted(store) == truth(range(6_000))
    store.close()


@pytest.mark.parametrize("new", [3, 10, 40], ids=["shorter", "as long", "longer"])
def test_a_topic_that_was_made_anew_starts_a_new_lineage(tmp_path: Path, new: int) -> None:
    first = start_broker({"predictions": 1, "labels": 1}, tmp_path / "first")
    given = settings(first.bootstrap, tmp_path)
    produce(first, "predictions", (prediction(n) for n in range(10)))

    async def all_read(broker: EmbeddedBroker, lineage: int) -> None:
        again = settings(broker.bootstrap, tmp_path)
        async with ingesting(again) as (_, store):

            def there() -> bool:
                one = store.ingest.positions(["predictions"]).get(("predictions", 0))
                ends = end_offsets(broker, {"predictions": 1})
                return one is not None and (one.lineage, one.next_offset) == (
                    lineage,
                    ends["predictions", 0],
                )

            await until(there, f"lineage {lineage}")

    asyncio.run(all_read(first, 0))
    first.stop()
    second = start_broker({"predictions": 1, "labels": 1}, tmp_path / "second")
    produce(second, "predictions", (prediction(n) for n in range(100, 100 + new)))
    asyncio.run(all_read(second, 1))
    second.stop()

    store = open_store(given.store)
    assert counted(store) == truth(range(10)) + truth(range(100, 100 + new))
    store.close()


def test_policies_decide_what_is_read_while_it_runs(broker: EmbeddedBroker, tmp_path: Path) -> None:
    given = settings(broker.bootstrap, tmp_path)
    published: dict[str, ModelSpec] = {}
    produce(broker, "predictions", (prediction(n) for n in range(100)))

    async def story() -> None:
        async with ingesting(given, policies=lambda: dict(published)) as (ingest, store):
            await asyncio.sleep(1.5)
            assert not ingest.owning
            published[MODEL] = spec()
            ingest.refresh_policies()
            ends = end_offsets(broker, TOPICS)
            await until(lambda: at_ends(store, ends), "the first policy")
            published.clear()
            ingest.refresh_policies()
            await until(lambda: not ingest.owning, "no policy")
            produce(broker, "predictions", (prediction(n) for n in range(100, 150)))
            published[MODEL] = spec()
            ingest.refresh_policies()
            await until(lambda: at_ends(store, end_offsets(broker, TOPICS)), "the policy again")
            assert counted(store) == truth(range(150))

    asyncio.run(story())
