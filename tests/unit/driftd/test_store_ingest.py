"""Positions and what was read move together, or not at all."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text

from driftd.store.moves import Flush, Move, Witness
from driftd.store.rows import IncrementRow, PartialRow, SampleRow
from driftd.store.store import Store, open_store

TOPIC = "predictions"


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    store = open_store(store_url)
    store.ingest.discover({(TOPIC, 0): 0, (TOPIC, 1): 0}, listed={})
    yield store
    store.close()


def move(partition: int, old: int, new: int, watermark: float = 0.0, **more: object) -> Move:
    made = Move(
        topic=TOPIC,
        partition=partition,
        lineage=0,
        old=old,
        new=new,
        watermark=watermark,
        records=new - old,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def partial(n: int, bucket: float = 0.0) -> PartialRow:
    return PartialRow(
        model="m", version="1", variant="champion", bucket=bucket, n=n, blob=b"x" * 10
    )


def rows(store: Store, table: str) -> int:
    with store.database.reading() as connection:
        return int(connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one())


def test_a_flush_moves_offsets_counters_and_watermark_with_what_was_read(store: Store) -> None:
    flush = Flush(
        moves=(
            move(1, 0, 5, 20.0, rejected={"broken": 2}, witness=Witness(offset=4, crc32=7)),
            move(0, 0, 3, 10.0, rejected={"broken": 1}),
        ),
        partials=(partial(6),),
        samples=(SampleRow(model="m", bucket=0.0, kind="label", n=1, blob=b"l"),),
        increments=(IncrementRow(model="m", at=1.0, version="1", variant="champion", blob=b"i"),),
    )

    assert store.ingest.flush(flush)

    one = store.ingest.positions([TOPIC])[TOPIC, 1]
    assert (one.next_offset, one.records, one.watermark) == (5, 5, 20.0)
    assert one.witness == Witness(offset=4, crc32=7)
    counts = store.views.counts()
    assert counts.records == {TOPIC: 8}
    assert counts.rejected == {(TOPIC, "broken"): 3}
    assert [rows(store, name) for name in ("partial", "sample", "increment")] == [1, 1, 1]


def test_the_same_flush_again_writes_nothing(store: Store) -> None:
    flush = Flush(moves=(move(0, 0, 3),), partials=(partial(3),))

    assert store.ingest.flush(flush)
    assert not store.ingest.flush(flush)

    assert rows(store, "partial") == 1
    assert store.views.counts().records == {TOPIC: 3}


@pytest.mark.parametrize(
    "zombie",
    [
        pytest.param(move(1, 0, 9), id="old offset"),
        pytest.param(move(1, 5, 9, lineage=1), id="other lineage"),
        pytest.param(move(7, 0, 9), id="unknown partition"),
    ],
)
def test_one_stale_move_refuses_the_whole_flush(store: Store, zombie: Move) -> None:
    store.ingest.flush(Flush(moves=(move(1, 0, 5),)))

    refused = store.ingest.flush(Flush(moves=(move(0, 0, 3), zombie), partials=(partial(12),)))

    assert not refused
    assert rows(store, "partial") == 0
    assert store.ingest.positions([TOPIC])[TOPIC, 0].next_offset == 0


def test_watermark_and_proof_never_fall(store: Store) -> None:
    store.ingest.flush(Flush(moves=(move(0, 0, 1, 50.0, proof=40.0),)))
    store.ingest.flush(Flush(moves=(move(0, 1, 2, 30.0, proof=20.0),)))

    one = store.ingest.positions([TOPIC])[TOPIC, 0]
    assert (one.watermark, one.proof, one.next_offset) == (50.0, 40.0, 2)


def test_a_new_partition_holds_the_watermark_until_it_is_read(store: Store) -> None:
    store.ingest.flush(Flush(moves=(move(0, 0, 1, 50.0), move(1, 0, 1, 60.0))))
    assert store.control.work("m", [TOPIC], 0.0, 10.0, None).watermark == 50.0

    store.ingest.discover({(TOPIC, 2): 17}, listed={TOPIC: 100.0})
    assert store.control.work("m", [TOPIC], 0.0, 10.0, None).watermark == 0.0

    store.ingest.flush(Flush(moves=(move(2, 17, 18, 55.0),)))
    assert store.control.work("m", [TOPIC], 0.0, 10.0, None).watermark == 50.0


def test_the_list_of_partitions_holds_the_watermark_and_a_left_out_one_does_not(
    store: Store,
) -> None:
    store.ingest.discover({}, listed={TOPIC: 45.0})
    store.ingest.flush(Flush(moves=(move(0, 0, 1, 50.0), move(1, 0, 0, left_out=True))))
    assert store.control.work("m", [TOPIC], 0.0, 10.0, None).watermark == 45.0

    store.ingest.discover({(TOPIC, 1): 99}, listed={TOPIC: 70.0})
    store.ingest.discover({}, listed={TOPIC: 60.0})
    assert store.control.work("m", [TOPIC], 0.0, 10.0, None).watermark == 50.0
    assert store.ingest.positions([TOPIC])[TOPIC, 1].next_offset == 0, "known: not moved"


def test_a_new_lineage_starts_once(store: Store) -> None:
    store.ingest.flush(Flush(moves=(move(0, 0, 9, 5.0, witness=Witness(offset=8, crc32=1)),)))
    old = store.ingest.positions([TOPIC])[TOPIC, 0]

    assert store.ingest.new_lineage(old, first=2, gap=0)
    assert not store.ingest.new_lineage(old, first=2, gap=0)

    new = store.ingest.positions([TOPIC])[TOPIC, 0]
    assert (new.lineage, new.next_offset, new.witness) == (1, 2, Witness())
    assert not store.ingest.flush(Flush(moves=(move(0, 9, 12),))), "a worker of the old lineage"


def test_concurrent_owners_count_every_record_once(store: Store, store_url: str) -> None:
    """Four workers that all believe to own the partition; each reads, then moves it on by one."""
    wins = [0] * 4

    def work(worker: int) -> None:
        own = open_store(store_url)
        for _ in range(25):
            at = own.ingest.positions([TOPIC])[TOPIC, 0].next_offset
            flush = Flush(moves=(move(0, at, at + 1),), partials=(partial(1),))
            wins[worker] += own.ingest.flush(flush)
        own.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    position = store.ingest.positions([TOPIC])[TOPIC, 0]
    assert sum(wins) == position.next_offset == position.records == rows(store, "partial")
    assert position.next_offset >= 25
