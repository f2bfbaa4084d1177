"""A control step is written whole or not at all, and only by who read the newest revision."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from driftd.store import steps
from driftd.store.moves import Flush, Move
from driftd.store.rows import (
    DecisionRow,
    IncidentRow,
    IncrementRow,
    LateRow,
    OutboxRow,
    PaneRow,
    PartialRow,
    PendingRow,
    ProfileWrite,
    QualityRow,
    SampleRow,
    StepWrite,
    Work,
)
from driftd.store.store import Store, open_store

TOPIC = "predictions"
BUCKET = 10.0


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    store = open_store(store_url)
    store.ingest.discover({(TOPIC, 0): 0}, listed={})
    assert store.control.model_row("m").revision == 0
    yield store
    store.close()


class Feed:
    """Writes flushes one after the other."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.at = 0

    def flush(self, watermark: float, *buckets: float, size: int = 4) -> None:
        partials = tuple(
            PartialRow(model="m", version="1", variant="champion", bucket=b, n=1, blob=b"p" * size)
            for b in buckets
        )
        samples = tuple(
            SampleRow(model="m", bucket=b, kind="prediction", n=1, blob=b"s") for b in buckets
        )
        move = Move(
            topic=TOPIC,
            partition=0,
            lineage=0,
            old=self.at,
            new=self.at + 1,
            watermark=watermark,
            records=1,
        )
        assert self.store.ingest.flush(Flush(moves=(move,), partials=partials, samples=samples))
        self.at += 1


@pytest.fixture
def feed(store: Store) -> Feed:
    return Feed(store)


def work(store: Store, closed: float | None, lateness: float = 0.0) -> Work:
    return store.control.work("m", [TOPIC], lateness, BUCKET, closed)


def step(work: Work, revision: int = 0) -> StepWrite:
    return StepWrite(
        model="m",
        revision=revision,
        snapshot=b"snapshot",
        closed=work.upto,
        partials_read=tuple(key for key, _ in (*work.partials, *work.late)),
        samples_read=tuple(key for key, _ in work.samples),
        increments_read=tuple(key for key, _ in work.increments),
        inbox_read=tuple(row.id for row in work.inbox),
    )


def test_only_buckets_below_watermark_minus_lateness_are_handed_out(
    store: Store, feed: Feed
) -> None:
    feed.flush(39.0, 0.0, 10.0, 20.0, 30.0)

    found = work(store, None, lateness=5.0)

    assert (found.watermark, found.start, found.upto, found.more) == (39.0, 0.0, 30.0, False)
    assert [row.bucket for _, row in found.partials] == [0.0, 10.0, 20.0]
    assert [row.bucket for _, row in found.samples] == [0.0, 10.0, 20.0]


def test_what_comes_for_a_closed_bucket_is_late(store: Store, feed: Feed) -> None:
    feed.flush(39.0, 10.0, 25.0)

    found = work(store, closed=20.0)

    assert [row.bucket for _, row in found.late] == [10.0]
    assert [row.bucket for _, row in found.partials] == [20.0]


def test_buckets_of_another_length_go_into_those_of_the_policy_in_force(
    store: Store, feed: Feed
) -> None:
    """The policy went from 5 s to 10 s while [20, 25) was closed and [25, 30) was not."""
    feed.flush(49.0, 20.0, 25.0, 30.0, 35.0)

    found = work(store, closed=25.0)

    assert (found.start, found.upto) == (30.0, 40.0)
    assert [row.bucket for _, row in found.partials] == [30.0, 30.0]
    assert [row.bucket for _, row in found.late] == [20.0, 20.0]


def test_a_step_is_bounded_in_bytes_and_goes_on_where_it_stopped(
    store: Store, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "WORK_BYTES_MAX", 100)
    for bucket in (0.0, 10.0, 20.0):
        feed.flush(35.0, bucket, size=60)

    first = work(store, None)
    assert (first.upto, first.more) == (10.0, True)
    assert store.control.commit(step(first))
    second = work(store, first.upto)
    assert [row.bucket for _, row in second.partials] == [10.0]


def test_one_event_of_long_ago_does_not_open_half_a_century_of_buckets(
    store: Store, feed: Feed
) -> None:
    feed.flush(1.7e9 + 25, 0.0, 1.7e9)

    found = work(store, None)

    assert found.start == 1.7e9 + 20 - steps.FIRST_BUCKETS_MAX * BUCKET
    assert found.more
    assert [row.bucket for _, row in found.late] == [0.0]


def test_a_step_writes_everything_and_deletes_what_it_read(store: Store, feed: Feed) -> None:
    feed.flush(25.0, 0.0)
    store.inbox.put("m", "operator", b"{}", "r1")
    found = work(store, None)
    write = replace(
        step(found),
        rollout_open=True,
        readings=b'{"ks": 0.1}',
        panes=(
            PaneRow(model="m", version="1", variant="champion", start=0.0, end=10.0, n=4, errors=1),
        ),
        decisions=(DecisionRow(at=10.0, what="open", why="KS", by="watcher"),),
        incidents=(
            IncidentRow(
                incident_id="i",
                model="m",
                kind="quality",
                severity="warning",
                state="open",
                onset=0.0,
                opened=10.0,
            ),
        ),
        outbox=(OutboxRow(op_id="op", model="m", kind="train", payload=b"{}"),),
        quality_replace=(
            QualityRow(
                model="m", bucket=0.0, version="1", variant="champion", predictions=4, blob=b"q"
            ),
        ),
        pending_replace=(PendingRow(model="m", bucket=0.0, n=1, blob=b"x"),),
        profile=ProfileWrite(version="1", blob=b"profile"),
        baseline=b"baseline",
    )

    assert store.control.commit(write)

    row = store.control.model_row("m")
    assert (row.revision, row.closed, row.snapshot, row.rollout_open) == (
        1,
        20.0,
        b"snapshot",
        True,
    )
    again = work(store, 20.0)
    assert (again.partials, again.samples, again.inbox) == ((), (), ())
    assert store.ingest.rollouts_open() == frozenset({"m"})
    assert [pane.n for pane in store.control.panes("m", 0.0, 10.0)] == [4]
    assert [one.blob for one in store.control.quality("m", 0.0, 10.0)] == [b"q"]
    assert [one.blob for one in store.control.pending_samples("m")] == [b"x"]
    assert store.control.baseline("m") == b"baseline"
    current = store.profiles.current("m")
    assert current is not None
    assert current.blob == b"profile"
    status = store.views.status("m")
    assert [one.incident_id for one in status.incidents] == ["i"]
    assert [one.op_id for one in status.outbox] == ["op"]
    assert [(one.what, one.wall_at > 0) for one in status.decisions] == [("open", True)]


@pytest.mark.parametrize("stale", ["revision", "partial", "sample", "increment", "inbox"])
def test_a_step_on_stale_reading_leaves_no_trace(store: Store, feed: Feed, stale: str) -> None:
    feed.flush(25.0, 0.0)
    found = work(store, None)
    gone = {f"{stale}{'' if stale == 'inbox' else 's'}_read": (999,)}
    write = step(found, revision=7) if stale == "revision" else replace(step(found), **gone)  # type: ignore[arg-type]
    write = replace(
        write,
        decisions=(DecisionRow(at=1.0, what="x", why="x", by="x"),),
        outbox=(OutboxRow(op_id="op", model="m", kind="train", payload=b"{}"),),
    )

    assert not store.control.commit(write)

    assert store.control.model_row("m").revision == 0
    assert len(work(store, None).partials) == 1
    assert store.views.decisions("m") == []
    assert store.outbox.get("op") is None


def test_of_two_owners_one_writes(store: Store, feed: Feed) -> None:
    feed.flush(25.0, 0.0)
    mine, theirs = step(work(store, None)), step(work(store, None))

    assert store.control.commit(mine)
    assert not store.control.commit(theirs)


def test_late_rows_add_up_on_a_pane_that_is_there_or_not(store: Store) -> None:
    pane = PaneRow(model="m", version="1", variant="champion", start=0.0, end=10.0, n=4, errors=0)
    late = LateRow(version="1", variant="champion", start=0.0, end=10.0, n=2)
    unseen = replace(late, version="2")
    base = StepWrite(model="m", revision=0, snapshot=b"", closed=10.0)

    assert store.control.commit(replace(base, panes=(pane,), late=(late, unseen)))
    assert store.control.commit(replace(base, revision=1, late=(late,)))

    found = {row.version: (row.n, row.late) for row in store.control.panes("m", 0.0, 10.0)}
    assert found == {"1": (4, 4), "2": (0, 2)}


def test_increments_come_in_order_of_arrival(store: Store) -> None:
    made = tuple(
        IncrementRow(model="m", at=at, version="1", variant="champion", blob=b"i")
        for at in (5.0, 3.0)
    )
    assert store.ingest.flush(Flush(moves=(), increments=made))

    assert [row.at for _, row in work(store, None).increments] == [5.0, 3.0]


def test_a_command_that_was_decided_before_is_not_written_twice(store: Store) -> None:
    command = OutboxRow(op_id="op", model="m", kind="train", payload=b"{}")
    base = StepWrite(model="m", revision=0, snapshot=b"", closed=None, outbox=(command,))

    assert store.control.commit(base)
    assert store.control.commit(replace(base, revision=1))

    assert [row.op_id for row in store.views.commands("m")] == ["op"]


def test_the_pending_part_of_a_bucket_is_replaced_and_dropped(store: Store) -> None:
    first = PendingRow(model="m", bucket=0.0, n=1, blob=b"1")
    base = StepWrite(model="m", revision=0, snapshot=b"", closed=None)

    store.control.commit(replace(base, pending_replace=(first, replace(first, bucket=10.0))))
    store.control.commit(
        replace(
            base, revision=1, pending_replace=(replace(first, blob=b"2"),), pending_delete=(10.0,)
        )
    )

    assert [(row.bucket, row.blob) for row in store.control.pending_samples("m")] == [(0.0, b"2")]
