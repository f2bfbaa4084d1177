"""What real Kafka does to records beside carrying them: size, compression, transactions, compaction."""

import asyncio
import json
import resource
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from driftd.store.moves import Position
from policies.specs import EventsSpec, ModelSpec
from stack.kafka import Kafka
from tests.support.ingesting import MODEL, at_ends, ingesting, prediction, settings, spec, until

BIG = 10_000_000
MEMORY_GROWTH_MAX_KB = 300_000


class Topics:
    """Topics of one test on the shared broker, and a daemon's settings that name them."""

    def __init__(self, kafka: Kafka, folder: Path) -> None:
        self.kafka = kafka
        self.folder = folder
        self.name = uuid.uuid4().hex
        self.letters = f"{self.name}.letters"
        self.sources: dict[str, int] = {}
        self.rejected: Mapping[tuple[str, str], int] = {}
        kafka.create_topics({self.letters: 1})

    def create(self, partitions: int = 1, **config: str) -> str:
        topic = f"{self.name}.{len(self.sources)}"
        dotted = {key.replace("_", "."): value for key, value in config.items()}
        self.kafka.create_topics({topic: partitions}, dotted)
        self.sources[topic] = partitions
        return topic

    def producer(self, **config: Any) -> Producer:
        dotted = {key.replace("_", "."): value for key, value in config.items()}
        return Producer({**self.kafka.client_options(), "linger.ms": 5, **dotted})

    def policies(self) -> Mapping[str, ModelSpec]:
        first, *others = self.sources
        events = EventsSpec(predictions=first, labels=first, sources=tuple(others))
        return {MODEL: spec(events=events)}

    def count_all(self) -> dict[tuple[str, int], Position]:
        """Ingest until the positions stand at the ends of the logs; the positions."""
        given = settings(self.kafka.bootstrap, self.folder)
        given = given.model_copy(
            update={
                "topics": given.topics.model_copy(update={"dead_letters": self.letters}),
                "kafka": given.kafka.model_copy(
                    update={"group_prefix": self.name, "session_timeout_s": 6.0}
                ),
            }
        )

        async def story() -> dict[tuple[str, int], Position]:
            async with ingesting(given, policies=self.policies) as (ingest, store):
                ends = self.kafka.offsets(self.sources)
                await until(lambda: at_ends(store, ends), f"positions at {ends}")
                await until(lambda: ingest.lag == 0, "no lag is left")
                self.rejected = store.views.counts().rejected
                return store.ingest.positions(self.sources)

        return asyncio.run(story())

    def read_letters(self) -> list[dict[str, Any]]:
        end = self.kafka.offsets({self.letters: 1})[self.letters, 0]
        consumer = Consumer({**self.kafka.client_options(), "group.id": self.name})
        try:
            consumer.assign([TopicPartition(self.letters, 0, 0)])
            return [json.loads(consumer.poll(30).value()) for _ in range(end)]
        finally:
            consumer.close()


@pytest.fixture
def topics(kafka: Kafka, tmp_path: Path) -> Topics:
    return Topics(kafka, tmp_path)


def raw(numbers: Iterable[int]) -> list[bytes]:
    return [json.dumps(prediction(number)).encode() for number in numbers]


def test_a_record_of_10_mb_among_others_is_one_dead_letter(topics: Topics) -> None:
    topic = topics.create(max_message_bytes="20000000")
    topics.create(partitions=2)
    big = b'{"model": "flight-delay", "note": "' + b"x" * BIG + b'"}'
    producer = topics.producer(message_max_bytes=20_000_000)
    for value in (*raw(range(300)), big, *raw(range(300, 600))):
        producer.produce(topic, value, partition=0)
    assert producer.flush(60) == 0
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    found = topics.count_all()

    one = found[topic, 0]
    assert (one.next_offset, one.records, one.gap) == (601, 601, 0)
    assert topics.rejected == {(topic, "too_large"): 1}
    letters = topics.read_letters()
    assert [letter["reason"] for letter in letters] == ["too_large"]
    assert (letters[0]["offset"], letters[0]["length"]) == (300, len(big))
    assert letters[0]["crc32"] == crc32(big)
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert grown_kb < MEMORY_GROWTH_MAX_KB


def test_every_compression_is_read(topics: Topics) -> None:
    topic = topics.create()
    for kind in ("gzip", "lz4", "zstd", "snappy", "none"):
        producer = topics.producer(compression_type=kind, batch_num_messages=50)
        for value in raw(range(200)):
            producer.produce(topic, value)
        assert producer.flush(60) == 0

    found = topics.count_all()

    assert (found[topic, 0].records, topics.rejected) == (1_000, {})


def test_markers_and_aborted_records_are_passed_over_and_nothing_is_lost(topics: Topics) -> None:
    topic = topics.create(partitions=2)
    producer = topics.producer(transactional_id=topics.name)
    producer.init_transactions(60)
    for number in range(6):
        producer.begin_transaction()
        for value in raw(range(50 * number, 50 * number + 50)):
            producer.produce(topic, value, partition=number % 2)
        # Committed, aborted and committed; the last word on each partition is a marker alone.
        if number in (1, 4):
            producer.flush(60)
            producer.abort_transaction(60)
        else:
            producer.commit_transaction(60)

    found = topics.count_all()

    # 0, 2 and 4 went to the first partition, 1, 3 and 5 to the second; a marker each.
    first, second = found[topic, 0], found[topic, 1]
    assert (first.next_offset, first.records, first.gap) == (153, 100, 53)
    assert (second.next_offset, second.records, second.gap) == (153, 100, 53)
    assert topics.read_letters() == []

    # A worker that starts again finds the record counted last, behind which no record lies.
    again = topics.count_all()
    assert {key: (one.lineage, one.records) for key, one in again.items()} == {
        key: (one.lineage, one.records) for key, one in found.items()
    }


def test_an_open_transaction_holds_up_no_one_and_its_records_count_when_it_ends(
    topics: Topics,
) -> None:
    topic = topics.create()
    open_one = topics.producer(transactional_id=topics.name)
    open_one.init_transactions(60)
    plain = topics.producer()
    plain.produce(topic, raw([1])[0])
    assert plain.flush(60) == 0
    open_one.begin_transaction()
    open_one.produce(topic, raw([2])[0])
    assert open_one.flush(60) == 0
    plain.produce(topic, raw([3])[0])
    assert plain.flush(60) == 0
    given = settings(topics.kafka.bootstrap, topics.folder)
    kafka = given.kafka.model_copy(update={"group_prefix": topics.name, "session_timeout_s": 6.0})
    given = given.model_copy(update={"kafka": kafka})

    async def story() -> None:
        async with ingesting(given, policies=topics.policies) as (ingest, store):
            await until(lambda: at_ends(store, {(topic, 0): 1}), "the record before it")
            await until(lambda: ingest.lag == 0, "nothing readable is left")
            assert ingest.stalled_s < 60, "to wait for a transaction is no stall"
            # Whoever is silent behind an open transaction has proved no silence.
            assert store.ingest.positions([topic])[topic, 0].proof == 0
            await asyncio.to_thread(open_one.commit_transaction, 60)
            ends = topics.kafka.offsets({topic: 1})
            assert ends == {(topic, 0): 4}
            await until(lambda: at_ends(store, ends), "the records of the transaction")
            assert store.ingest.positions([topic])[topic, 0].records == 3

    asyncio.run(story())


def test_holes_of_compaction_and_tombstones_are_no_loss(topics: Topics) -> None:
    """Three keys overwritten many times; compaction leaves the newest, and null deletes one."""
    topic = topics.create(
        cleanup_policy="compact",
        segment_ms="100",
        min_cleanable_dirty_ratio="0.01",
        max_compaction_lag_ms="100",
    )
    producer = topics.producer()
    for number in range(300):
        producer.produce(topic, raw([number])[0], key=f"k{number % 3}")
    producer.produce(topic, None, key="k0")
    assert producer.flush(60) == 0
    kept = compacted(topics, topic, producer)

    found = topics.count_all()[topic, 0]

    assert found.next_offset == topics.kafka.offsets({topic: 1})[topic, 0]
    # It may have compacted more since.
    assert 3 <= found.records <= kept
    assert found.records + found.gap == found.next_offset
    # A tombstone is a record without a value: counted and told, and nothing stops.
    assert topics.rejected == {(topic, "null_value"): 1}
    assert [letter["reason"] for letter in topics.read_letters()] == ["null_value"]


def compacted(topics: Topics, topic: str, producer: Producer) -> int:
    """Wait until the broker has compacted, writing a record to roll each segment; what is kept."""
    for _ in range(300):
        producer.produce(topic, raw([1])[0], key="k1")
        assert producer.flush(60) == 0
        found = offsets_kept(topics, topic)
        if len(found) < 100 < found[-1]:
            return len(found)
    raise AssertionError("the broker did not compact")


def offsets_kept(topics: Topics, topic: str) -> list[int]:
    end = topics.kafka.offsets({topic: 1})[topic, 0]
    consumer = Consumer({**topics.kafka.client_options(), "group.id": topics.name})
    found: list[int] = []
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while not found or found[-1] < end - 1:
            found.append(consumer.poll(30).offset())
    finally:
        consumer.close()
    return found
