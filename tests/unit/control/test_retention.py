"""What has served its time goes; what anything open refers to stays; nothing is counted otherwise."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sqlalchemy import text

from agents.codec import decode_arm, encode_arm, merge_stored
from agents.events import ArmCounts
from agents.incidents import Incident
from agents.snapshot import Snapshot
from driftd.control.compaction import ROWS_MIN, Compaction
from driftd.control.retention import Retention
from driftd.data.archive import Archive
from driftd.metrics import Metrics
from driftd.sections import RetentionSettings
from driftd.settings import read_settings
from driftd.store.crowding import Crowd
from driftd.store.moves import Flush
from driftd.store.rows import (
    DecisionRow,
    IncidentRow,
    OutboxRow,
    PaneRow,
    PartialRow,
    QualityRow,
    StepWrite,
)
from driftd.store.store import Store, open_store
from policies.specs import ModelSpec, RegistrySpec, RetrainSpec
from tests.support.databases import KINDS, postgresql_url, sqlite_url
from tests.support.labelled import labelled

DAY = 86_400.0
NOW = 20_000 * DAY
M = "m"
DAYS = 14
SHORT = RetentionSettings.model_validate(
    dict.fromkeys(("panes", "decisions", "commands", "requests", "archive"), "10d")
)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield sqlite_url(tmp_path)
        return
    with postgresql_url(request.getfixturevalue("postgres")) as url:
        yield url


class Clock:
    """The store's clock, which a test moves."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("driftd.control.retention.wall_now", clock)
    return clock


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[Store]:
    store = open_store(url, now=clock)
    yield store
    store.close()


def retention(
    store: Store, archive: Path, worker: str = "w", spec: ModelSpec | None = None
) -> Retention:
    specs = {} if spec is None else {M: spec}
    return Retention(
        store, Archive(str(archive)), SHORT, Metrics(), specs=lambda: specs, worker=worker
    )


def prune(store: Store, archive: Path, worker: str = "w") -> dict[str, int]:
    return asyncio.run(retention(store, archive, worker).prune())


def pane(start: float) -> PaneRow:
    return PaneRow(
        model=M, version="1", variant="champion", start=start, end=start + DAY, n=1, errors=0
    )


def incident(name: str, state: str, closed: float | None) -> IncidentRow:
    return IncidentRow(
        incident_id=name, model=M, kind="quality", severity="warning", state=state, onset=0.0,
        opened=0.0, closed=closed,
    )  # fmt: skip


def life(store: Store, clock: Clock, snapshot: bytes = b"", days: int = DAYS) -> None:
    """A model that has lived for ``days``: one pane, decision, command and request a day."""
    store.control.model_row(M)
    for day in range(days):
        clock.at = NOW + day * DAY
        write = StepWrite(
            model=M,
            revision=day,
            snapshot=snapshot,
            closed=clock.at + DAY,
            panes=(pane(clock.at),),
            quality_replace=(
                QualityRow(
                    model=M, bucket=clock.at, version="1", variant="champion", predictions=1,
                    blob=b"q",
                ),
            ),
            decisions=(
                DecisionRow(at=clock.at, what="w", why="w", by="b"),
                DecisionRow(at=clock.at, what="w", why="w", by="b", incident_id="open"),
            ),
            outbox=(OutboxRow(op_id=f"op{day}", model=M, kind="train", payload=b"{}"),),
        )  # fmt: skip
        assert store.control.commit(write)
        [row] = store.outbox.claim("w", 60.0, clock.at)
        assert store.outbox.finish(row.op_id, row.attempt, "w", "done", tell=False)
        store.inbox.put(M, "operator", b"{}", f"r{day}")
    store.database.engine.dispose()


def rows(store: Store, table: str) -> int:
    with store.database.reading() as connection:
        return int(connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one())


def handle_inbox(store: Store, days: int = DAYS) -> None:
    work = store.control.work(M, (), 0.0, DAY, None)
    ids = tuple(row.id for row in work.inbox)
    assert store.control.commit(
        StepWrite(model=M, revision=days, snapshot=b"", closed=NOW + days * DAY, inbox_read=ids)
    )


def test_everything_that_nothing_needs_goes_when_its_time_has_come(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    life(store, clock)
    handle_inbox(store)
    for digest in ("a", "b"):
        clock.at = NOW
        store.policies.publish(M, digest, digest, "me", b"{}")
        store.profiles.put(M, "1", digest.encode())
    clock.at = NOW + DAYS * DAY

    gone = prune(store, tmp_path)

    # The present of panes is what is closed, of the rest the wall: both are day 14.
    assert gone == {
        "pane": 4, "quality": 4, "decision": 8, "profile": 1, "outbox": 4, "request": 4,
    }  # fmt: skip
    assert min(one.start for one in store.control.panes(M, 0.0, NOW * 2)) == NOW + 4 * DAY
    current = store.policies.current(M)
    assert current is not None
    assert current.digest == "b"
    assert store.policies.revision_of(M, "a") == 1, "an old copy of a file is known as old for ever"
    assert prune(store, tmp_path) == {}, "it is nobody's turn"
    clock.at += 3_601.0
    assert prune(store, tmp_path, "another") == {
        "decision": 2, "outbox": 1, "request": 1,
    }  # fmt: skip


def test_what_waits_in_the_inbox_keeps_its_name(store: Store, clock: Clock, tmp_path: Path) -> None:
    life(store, clock)
    assert "request" not in prune(store, tmp_path)
    assert not store.inbox.put(M, "operator", b"{}", "r0")


def test_an_open_incident_keeps_its_panes_its_decisions_and_all_commands(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    watched = Incident(
        incident_id="open", model=M, kind="quality", severity="warning", onset=NOW + 3 * DAY,
        opened=NOW + 5 * DAY, summary="s",
    )  # fmt: skip
    fresh = Snapshot.new()
    snapshot = msgspec.structs.replace(
        fresh, watch=msgspec.structs.replace(fresh.watch, incidents=(watched,))
    ).to_bytes()
    life(store, clock, snapshot)
    write = StepWrite(
        model=M, revision=DAYS, snapshot=snapshot, closed=NOW + DAYS * DAY,
        incidents=(incident("open", "open", None), incident("old", "resolved", NOW)),
    )  # fmt: skip
    assert store.control.commit(write)

    gone = prune(store, tmp_path)

    assert gone["pane"] == 3, "from the onset on all are kept"
    assert gone["decision"] == 3, "those of the incident stay"
    assert gone["incident"] == 1
    assert "outbox" not in gone


def test_an_open_rollout_keeps_its_decisions_and_commands(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    life(store, clock)
    write = StepWrite(model=M, revision=DAYS, snapshot=b"", closed=NOW, rollout_open=True)
    assert store.control.commit(write)

    gone = prune(store, tmp_path)

    assert not {"decision", "outbox"} & set(gone)


def test_a_command_that_is_decided_again_within_its_time_is_still_the_same_one(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    life(store, clock)
    prune(store, tmp_path)
    again = (OutboxRow(op_id="op12", model=M, kind="train", payload=b"{}"),)
    assert store.control.commit(
        StepWrite(model=M, revision=DAYS, snapshot=b"", closed=NOW, outbox=again)
    )
    assert store.outbox.open(M) == []


def test_a_replay_of_old_data_loses_nothing(store: Store, clock: Clock, tmp_path: Path) -> None:
    """Event time counts from what the model has closed, not from today."""
    store.control.model_row(M)
    clock.at = NOW + 4_000 * DAY
    write = StepWrite(model=M, revision=0, snapshot=b"", closed=NOW + DAY, panes=(pane(NOW),))
    assert store.control.commit(write)

    assert prune(store, tmp_path) == {}


def test_one_worker_at_a_time_and_one_that_died_is_followed(store: Store, clock: Clock) -> None:
    turns = store.turns
    assert turns.take("t", "a", 60.0)
    assert not turns.take("t", "b", 60.0)
    clock.at += 30.0
    assert turns.keep("t", "a", 60.0)
    clock.at += 61.0
    assert turns.take("t", "b", 60.0), "a kept silent for longer than its lease"
    assert not turns.keep("t", "a", 60.0)
    assert not turns.end("t", "a", 1.0)
    assert turns.end("t", "b", 600.0)
    clock.at += 599.0
    assert not turns.take("t", "a", 60.0), "not due yet"
    clock.at += 2.0
    assert turns.take("t", "a", 60.0)


def test_the_archive_keeps_what_a_training_reads_and_packs_days_that_are_complete(
    store: Store, tmp_path: Path
) -> None:
    archive = Archive(str(tmp_path))
    for part in range(3):
        rows_ = labelled(600, start=NOW, end=NOW + 30 * DAY, seed=part)
        archive.write(M, f"p{part}", rows_)
    before = archive.read(M, NOW + 15 * DAY, NOW + 30 * DAY)
    store.control.model_row(M)
    closed = StepWrite(model=M, revision=0, snapshot=b"", closed=NOW + 30 * DAY)
    assert store.control.commit(closed)
    spec = ModelSpec(model=M, registry=RegistrySpec(name=M), retrain=RetrainSpec(window_s=14 * DAY))

    gone = asyncio.run(retention(store, tmp_path, spec=spec).prune())

    # 14 days to train on and one for their labels, though the settings say 10.
    assert gone == {"archive": 15, "archive parts": 2 * 12}
    assert archive.dates(M)[0].toordinal() - 719_163 == 20_000 + 15
    assert archive.read(M, NOW + 15 * DAY, NOW + 30 * DAY).equals(before)


def arm(n: int, **counts: list[int]) -> ArmCounts:
    return ArmCounts(n=n, errors=1, counts={k: np.array(v, np.int64) for k, v in counts.items()})


def crowd(store: Store, blobs: list[bytes], bucket: float = 0.0) -> None:
    row = PartialRow(model=M, version="1", variant="champion", bucket=bucket, n=2, blob=b"")
    many = tuple(replace(row, blob=blob) for blob in blobs)
    assert store.ingest.flush(Flush(moves=(), partials=many))


def test_many_partials_become_one_sum(store: Store) -> None:
    marks = {"x": 7}
    crowd(store, [encode_arm(arm(2, x=[1, 2]), marks)] * ROWS_MIN)
    crowd(store, [encode_arm(arm(2, x=[1, 2]), marks)] * (ROWS_MIN - 1), bucket=10.0)

    assert Compaction(store).run() == ROWS_MIN - 1

    found = store.control.work(M, (), -100.0, 10.0, None).partials
    first = [row for _, row in found if row.bucket == 0.0]
    assert [row.n for row in first] == [2 * ROWS_MIN]
    merged = decode_arm(first[0].blob, marks)
    assert (merged.errors, merged.counts["x"].tolist()) == (ROWS_MIN, [ROWS_MIN, 2 * ROWS_MIN])
    assert len(found) == ROWS_MIN, "the other bucket was not crowded"


def test_counts_on_different_layouts_are_never_added() -> None:
    old, new = {"x": 7, "y": 1}, {"x": 8, "y": 1}
    blobs = [encode_arm(arm(1, x=[1, 0], y=[3]), marks) for marks in (old, new, old)]
    blobs.append(encode_arm(arm(1, y=[1]), {"y": 1}))

    merged = merge_stored(blobs)

    assert [n for n, _ in merged] == [3, 1]
    for marks, x in ((old, [2, 0]), (new, [1, 0])):
        read = [decode_arm(blob, marks) for _, blob in merged]
        assert sum(one.counts["y"][0] for one in read) == 10
        assert [one.counts["x"].tolist() for one in read if "x" in one.counts] == [x]


def test_a_step_that_took_the_rows_first_wins(store: Store) -> None:
    crowd(store, [encode_arm(arm(2))] * ROWS_MIN)
    found = Crowd(model=M, version="1", variant="champion", bucket=0.0, rows=ROWS_MIN)
    parts = store.crowding.parts(found)
    store.control.model_row(M)
    taken = StepWrite(model=M, revision=0, snapshot=b"", closed=1.0, partials_read=(parts[0][0],))
    assert store.control.commit(taken)

    assert not store.crowding.replace([key for key, _ in parts], [parts[0][1]])

    assert rows(store, "partial") == ROWS_MIN - 1


def test_partials_of_a_later_version_are_left_alone(store: Store) -> None:
    crowd(store, [b"\x94\x63\x01\x00\x80"] * ROWS_MIN)

    assert Compaction(store).run() == 0

    assert rows(store, "partial") == ROWS_MIN


@pytest.mark.parametrize("name", ["commands", "requests"])
def test_names_of_effects_are_not_forgotten_while_somebody_may_ask_again(name: str) -> None:
    settings, mistakes = read_settings(f"retention: {{{name}: 3d}}\n")

    assert settings is None
    assert [str(one.mistake) for one in mistakes] == [
        f"retention.{name}: is shorter than 7d; whoever asks again within a week must not be obeyed twice"
    ]
