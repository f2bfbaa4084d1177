"""Two workers under event time: nobody may close what the other has not read yet."""

import asyncio
from pathlib import Path

from driftd.settings import Settings
from driftd.store.migrate import migrate
from driftd.store.store import open_store
from policies.specs import EventsSpec, ModelSpec
from stack.kafka import Kafka
from tests.support.ingesting import MODEL, T0, at_ends, ingesting, prediction, produce, spec, until

TOPICS = {"shared-clock-predictions": 4, "shared-clock-labels": 2}
PREDICTIONS, LABELS = TOPICS


def test_with_two_workers_an_empty_partition_holds_event_time_until_its_tick(
    kafka: Kafka, tmp_path: Path
) -> None:
    """Alone, a worker leaves empty partitions out; as soon as it shares them it must not, nor may
    what it left out while it was alone stay so."""
    kafka.create_topics({**TOPICS, "driftd.dead_letters": 1})
    given = Settings.model_validate(
        {
            "store": f"sqlite:///{tmp_path}/driftd.db",
            "kafka": {"bootstrap": kafka.bootstrap, "session_timeout": "6s"},
            "clock": "event",
            "ingest": {"flush": "100ms", "flush_canary": "50ms", "sample": "100%"},
        }
    )
    migrate(given.store)
    policy = spec(events=EventsSpec(predictions=PREDICTIONS, labels=LABELS))

    def policies() -> dict[str, ModelSpec]:
        return {MODEL: policy}

    async def story() -> None:
        store = open_store(given.store)
        left = dict.fromkeys(kafka.offsets(TOPICS), True)

        def left_out() -> dict[tuple[str, int], bool]:
            return {key: one.left_out for key, one in store.ingest.positions(TOPICS).items()}

        def watermark() -> float:
            return store.control.work(MODEL, tuple(TOPICS), 0.0, 60.0, None).watermark

        async with ingesting(given, policies, store) as (first, _):
            await until(lambda: left_out() == left, "one worker that leaves all out")
            async with ingesting(given, policies, store) as (second, _):
                await until(lambda: first.owned == second.owned == 3, "shares")
                await until(lambda: not any(left_out().values()), "all taken in")
                produce(kafka, PREDICTIONS, [prediction(n) for n in range(120)], partition=0)
                await until(lambda: at_ends(store, kafka.offsets(TOPICS)), "reading")
                assert watermark() == 0.0, "the other five may still be read"
                for topic, number in kafka.offsets(TOPICS):
                    produce(kafka, topic, [{"v": 1, "tick": T0 + 3_600}], partition=number)
                await until(lambda: watermark() == T0 + 3_600, "ticks")
        store.close()

    asyncio.run(story())
