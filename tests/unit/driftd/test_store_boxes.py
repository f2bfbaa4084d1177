"""What is asked of us is done once; what we do outside has one owner at a time."""

from collections.abc import Iterator

import msgspec
import pytest

from agents.events import CommandDone
from driftd.store.rows import OutboxRow, StepWrite
from driftd.store.store import Store, open_store


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    store = open_store(store_url, now=lambda: 100.0)
    store.control.model_row("m")
    commands = tuple(
        OutboxRow(op_id=name, model="m", kind="train", payload=b"{}", not_before=at)
        for name, at in (("now", 0.0), ("later", 150.0))
    )
    write = StepWrite(model="m", revision=0, snapshot=b"", closed=None, outbox=commands)
    assert store.control.commit(write)
    yield store
    store.close()


def test_a_claim_takes_what_is_due_once(store: Store) -> None:
    claimed = store.outbox.claim("a", lease_s=10.0, now_wall=100.0)

    assert [(row.op_id, row.attempt, row.owner) for row in claimed] == [("now", 1, "a")]
    assert store.outbox.claim("b", lease_s=10.0, now_wall=105.0) == []


def test_a_lease_that_ran_out_is_claimed_anew_and_its_owner_finishes_nothing(store: Store) -> None:
    store.outbox.claim("a", lease_s=10.0, now_wall=100.0)

    (row,) = store.outbox.claim("b", lease_s=10.0, now_wall=111.0)

    assert (row.attempt, row.owner) == (2, "b")
    assert not store.outbox.renew("now", 1, "a", 10.0)
    assert not store.outbox.finish("now", 1, "a", "done")
    assert store.control.work("m", [], 0.0, 1.0, None).inbox == ()
    assert store.outbox.finish("now", 2, "b", "done")


def test_a_lease_that_is_renewed_is_not_claimed(store: Store) -> None:
    store.outbox.claim("a", lease_s=10.0, now_wall=100.0)

    assert store.outbox.renew("now", 1, "a", 10.0, now_wall=109.0)
    assert store.outbox.claim("b", lease_s=10.0, now_wall=115.0) == []


def test_the_end_of_a_command_is_told_to_its_model_once(store: Store) -> None:
    store.outbox.claim("a", lease_s=10.0, now_wall=100.0)

    assert store.outbox.finish("now", 1, "a", "refused", {"version": "4"}, "it said no")
    assert not store.outbox.finish("now", 1, "a", "done")

    (row,) = store.control.work("m", [], 0.0, 1.0, None).inbox
    assert row.kind == "result"
    assert msgspec.json.decode(row.payload, type=CommandDone) == CommandDone(
        op_id="now",
        kind="train",
        outcome="refused",
        result={"version": "4"},
        reason="it said no",
    )
    assert [one.op_id for one in store.outbox.open("m")] == ["later"]
    assert store.views.pulse("m").inbox == 1


def test_a_postponed_command_comes_back_when_its_time_has_come(store: Store) -> None:
    store.outbox.claim("a", lease_s=10.0, now_wall=100.0)

    assert store.outbox.postpone("now", 1, "a", not_before=120.0, reason="away")

    assert store.outbox.claim("a", lease_s=10.0, now_wall=119.0) == []
    (row,) = store.outbox.claim("a", lease_s=10.0, now_wall=120.0)
    assert (row.op_id, row.attempt, row.reason) == ("now", 2, "away")


def test_a_request_asked_twice_is_one_even_after_it_was_handled(store: Store) -> None:
    assert store.inbox.put("m", "operator", b"{}", "r1")
    assert not store.inbox.put("m", "operator", b"{}", "r1")
    (row,) = store.control.work("m", [], 0.0, 1.0, None).inbox
    handled = StepWrite(model="m", revision=1, snapshot=b"", closed=None, inbox_read=(row.id,))
    assert store.control.commit(handled)

    assert not store.inbox.put("m", "operator", b"{}", "r1")
    assert store.inbox.put("m", "tick", b"{}")
    assert store.inbox.put("m", "tick", b"{}"), "without a request id each counts"


def test_publishing_the_same_policy_keeps_its_revision(store: Store) -> None:
    assert store.policies.publish("m", "a", "da", "me", b"{}") == 1
    assert store.policies.publish("m", "a", "da", "you", b"{}") == 1
    assert store.policies.publish("m", "b", "db", "me", b"{}") == 2
    assert store.policies.publish("m", "a", "da", "me", b"{}") == 3

    current = store.policies.current("m")
    assert current is not None
    assert (current.revision, current.text) == (3, "a")
    assert [row.revision for row in store.policies.all()] == [3]


def test_the_newest_profile_is_current_and_the_same_one_keeps_its_id(store: Store) -> None:
    first = store.profiles.put("m", "1", b"one")
    assert store.profiles.put("m", "1", b"one") == first
    second = store.profiles.put("m", "2", b"two")
    back = store.profiles.put("m", "1", b"one")

    assert first < second < back
    assert store.profiles.current_ids() == {"m": back}


def test_pausing_everything_is_a_row_that_every_worker_reads(store: Store, store_url: str) -> None:
    other = open_store(store_url)
    assert not other.flags.paused_all()
    store.flags.pause_all("me")
    assert other.flags.paused_all()
    store.flags.resume_all("me")
    assert not other.flags.paused_all()
    other.close()


def test_signs_of_life(store: Store) -> None:
    store.workers.beat("w", "all", 90.0, {"lag": 0})

    assert store.workers.alive(since=100.0) == ["w"]
    assert store.workers.alive(since=100.1) == []
