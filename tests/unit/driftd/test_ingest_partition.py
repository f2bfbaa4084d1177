"""What a partition's owner may claim about event time, and what a flush takes along."""

import pytest

from driftd.ingest.limits import SILENCE_BROKEN_S
from driftd.ingest.partition import Partition
from driftd.store.moves import Position, Witness

IDLE = 5.0


@pytest.fixture
def partition() -> Partition:
    return Partition.at(Position(topic="t", partition=0, lineage=2, next_offset=7, watermark=3.0))


def watch(partition: Partition, *seen: float) -> float:
    for at in seen:
        partition.look(at, IDLE, at_end=True)
    return partition.proof


def test_nothing_new_means_no_move(partition: Partition) -> None:
    assert not partition.dirty
    assert partition.swap() is None


def test_a_move_starts_where_the_last_one_ended(partition: Partition) -> None:
    partition.take(Witness(offset=9), 3)
    partition.rejected["broken"] += 1
    partition.rejected["not_finite"] += 0
    partition.advance(8.0)
    first = partition.swap()
    partition.take(Witness(offset=10), 1)
    second = partition.swap()

    assert first is not None
    assert second is not None
    assert (first.lineage, first.old, first.new, first.records) == (2, 7, 10, 3)
    assert (first.watermark, first.rejected) == (8.0, {"broken": 1})
    assert (second.old, second.new, second.records, second.rejected) == (10, 11, 1, {})


def test_silence_proves_event_time_only_after_idle(partition: Partition) -> None:
    assert watch(partition, 100.0, 102.0, 104.0) == 0.0
    assert watch(partition, 105.0) == 100.0
    assert watch(partition, 107.0) == 102.0
    move = partition.swap()
    assert move is not None
    assert (move.proof, move.old, move.new) == (102.0, 7, 7)


@pytest.mark.parametrize("interruption", ["record", "lag", "gap"])
def test_silence_starts_anew_after_an_interruption(partition: Partition, interruption: str) -> None:
    watch(partition, 100.0, 102.0, 104.0)
    resumed = 104.5
    if interruption == "record":
        partition.take(Witness(offset=7), 1)
    elif interruption == "lag":
        partition.look(104.2, IDLE, at_end=False)
    else:
        # A stopped process wakes: the old answer bears a new stamp.
        resumed = 104.0 + SILENCE_BROKEN_S + 0.1

    watch(partition, *(resumed + step for step in (0.0, 2.0, 4.0)))
    assert partition.proof == 0.0
    assert watch(partition, resumed + IDLE) == resumed


def test_the_same_answer_seen_twice_proves_nothing_more(partition: Partition) -> None:
    assert watch(partition, 100.0, *([104.9] * 10), 102.0) == 0.0


def test_an_empty_partition_is_left_out_until_its_first_event_time() -> None:
    partition = Partition.at(Position(topic="t", partition=0))
    partition.leave_out()
    first = partition.swap()
    partition.leave_out()
    assert partition.swap() is None, "said once"
    partition.advance(5.0)
    second = partition.swap()
    partition.leave_out()

    assert first is not None
    assert second is not None
    assert (first.left_out, second.left_out) == (True, False)
    assert partition.swap() is None, "with event time it is never left out again"


def test_a_partition_that_was_left_out_is_taken_in_again_and_says_so_once() -> None:
    partition = Partition.at(Position(topic="t", partition=0, left_out=True))
    partition.take_in()
    move = partition.swap()
    partition.take_in()

    assert move is not None
    assert not move.left_out
    assert partition.swap() is None
