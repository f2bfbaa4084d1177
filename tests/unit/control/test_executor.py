"""A command ends once: done, failed or refused; what cannot be reached comes again."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.commands import Route, Routing, SetTraffic, TagVersion, Train
from driftd.control import executor as module
from driftd.control.executor import Ended, Executor
from driftd.control.limits import FleetLimits
from driftd.errors import RefusedError, UnreachableError
from driftd.sections import LimitSettings
from driftd.store.migrate import migrate
from driftd.store.rows import OutboxRow, StepWrite
from driftd.store.store import Store, open_store
from driftd.telemetry import Metrics

TAG = TagVersion(op_id="tag-1", model="m", registry="m", version="2", tags={"a": "b"})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/driftd.db"
    migrate(url)
    store = open_store(url)
    store.control.model_row("m")
    yield store
    store.close()


def put(store: Store, *commands: Any) -> None:
    """Journal commands as a control step does."""
    revision = store.control.model_row("m").revision
    rows = tuple(
        OutboxRow(
            op_id=command.op_id,
            model="m",
            kind=str(command.__struct_config__.tag),
            payload=msgspec.json.encode(command),
        )
        for command in commands
    )
    write = StepWrite(model="m", revision=revision, snapshot=b"", closed=None, outbox=rows)
    assert store.control.commit(write)


def execute(
    store: Store,
    handler: Callable[[Any, int], Any],
    until: Callable[[], bool],
    bar: Callable[[OutboxRow], str] = lambda _row: "",
) -> None:
    """Run an executor until something holds; a test that waits in vain ends by its time-out.

    ``handler`` may be a coroutine function.
    """

    async def handle(command: Any, attempt: int) -> Ended:
        ended: Any = handler(command, attempt)
        done: Ended = await ended if inspect.isawaitable(ended) else ended
        return done

    async def run() -> None:
        stop = asyncio.Event()
        known = dict.fromkeys(("tag", "traffic", "train"), handle)
        executor = Executor(store, known, "w", Metrics(), lambda _: None, bar=bar)
        running = asyncio.create_task(executor.run(stop))
        while not until():
            executor.wake()
            await asyncio.sleep(0)
        stop.set()
        executor.wake()
        await running

    asyncio.run(asyncio.wait_for(run(), 60))


def state(store: Store, op_id: str) -> str:
    """The state of a command."""
    row = store.outbox.get(op_id)
    assert row is not None
    return row.state


def test_a_command_that_is_done_is_told_to_its_model(store: Store) -> None:
    put(store, TAG)

    execute(
        store,
        lambda _command, _attempt: Ended(result={"version": "2"}),
        lambda: state(store, "tag-1") == "done",
    )

    work = store.control.work("m", ["predictions"], 0.0, 60.0, None)
    [told] = work.inbox
    assert msgspec.json.decode(told.payload)["result"] == {"version": "2"}


def test_a_refusal_is_final_and_gives_its_reason(store: Store) -> None:
    put(store, TAG)

    def refuse(_command: Any, _attempt: int) -> Ended:
        raise RefusedError("version 2 does not exist")

    execute(store, refuse, lambda: state(store, "tag-1") == "refused")

    row = store.outbox.get("tag-1")
    assert row is not None
    assert row.reason == "version 2 does not exist"


def test_what_cannot_be_reached_is_tried_again(store: Store) -> None:
    put(store, TAG)
    attempts = []

    def twice(_command: Any, attempt: int) -> Ended:
        attempts.append(attempt)
        if attempt == 1:
            raise UnreachableError("away")
        return Ended()

    execute(store, twice, lambda: state(store, "tag-1") == "done")

    assert attempts == [1, 2]


def test_a_surprise_fails_the_command_and_not_the_executor(store: Store) -> None:
    other = TagVersion(op_id="tag-2", model="m", registry="m", version="3")
    put(store, TAG, other)

    def surprise(command: Any, _attempt: int) -> Ended:
        if command.op_id == "tag-1":
            raise ZeroDivisionError("never thought of")
        return Ended()

    execute(
        store,
        surprise,
        lambda: (state(store, "tag-1"), state(store, "tag-2")) == ("failed", "done"),
    )


def test_a_pause_of_everything_lets_only_a_way_back_through(store: Store) -> None:
    only_champion = Routing(
        model="m", epoch=3, routes=(Route(version="1", variant="champion", weight=1.0),)
    )
    back = SetTraffic(op_id="back", model="m", router="driftd", routing=only_champion)
    split = Routing(
        model="m",
        epoch=2,
        routes=(
            Route(version="1", variant="champion", weight=0.9),
            Route(version="2", variant="challenger", weight=0.1),
        ),
    )
    on = SetTraffic(op_id="on", model="m", router="driftd", routing=split)
    put(store, on, TAG, back)
    store.flags.pause_all("test")
    executed = []

    def note(command: Any, _attempt: int) -> Ended:
        executed.append(command.op_id)
        return Ended()

    def held() -> bool:
        rows = [store.outbox.get(op_id) for op_id in ("on", "tag-1")]
        return all(row is not None and "paused" in row.reason for row in rows)

    execute(store, note, lambda: state(store, "back") == "done" and held())

    assert executed == ["back"]


def test_a_pause_uses_no_attempt_up(store: Store) -> None:
    put(store, TAG)
    store.flags.pause_all("test")
    held = []

    def held_twice() -> bool:
        row = store.outbox.get("tag-1")
        if row is not None and row.reason and row.not_before not in held:
            held.append(row.not_before)
        return len(held) == 2

    execute(store, lambda _command, _attempt: Ended(), held_twice)

    row = store.outbox.get("tag-1")
    assert row is not None
    assert (row.state, row.attempt) == ("new", 0)


def test_a_store_that_is_away_ends_no_executor(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, TAG)
    claim, away = store.outbox.claim, [True] * 3

    def claim_later(*given: Any, **more: Any) -> list[OutboxRow]:
        if away:
            away.pop()
            raise UnreachableError("store: away")
        return claim(*given, **more)

    monkeypatch.setattr(store.outbox, "claim", claim_later)

    execute(store, lambda _command, _attempt: Ended(), lambda: state(store, "tag-1") == "done")

    assert away == []


def test_who_stalls_for_longer_than_the_lease_goes_on_with_its_own_work(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, TAG)
    monkeypatch.setattr(module, "LEASE_S", 0.0)
    claim, claims, begun = store.outbox.claim, [0], []

    def count(*given: Any, **more: Any) -> list[OutboxRow]:
        claims[0] += 1
        return claim(*given, **more)

    monkeypatch.setattr(store.outbox, "claim", count)

    async def slow(_command: Any, attempt: int) -> Ended:
        begun.append(attempt)
        while claims[0] < 4:
            await asyncio.wait({asyncio.ensure_future(asyncio.sleep(0))})
        return Ended()

    execute(store, slow, lambda: state(store, "tag-1") == "done")

    assert begun == [1]


def test_who_lost_its_lease_to_another_worker_stops_working(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, TAG)
    monkeypatch.setattr(module, "RENEW_S", 0.001)
    cancelled = []

    async def forever(_command: Any, _attempt: int) -> Ended:
        [_] = store.outbox.claim("other", 60.0, store.database.now() + 2 * module.LEASE_S)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return Ended()

    execute(store, forever, lambda: bool(cancelled))

    row = store.outbox.get("tag-1")
    assert row is not None
    assert (row.owner, row.state) == ("other", "running")


def test_a_command_that_this_version_cannot_read_is_left_for_another(store: Store) -> None:
    put(store, TAG)
    with store.database.writing() as connection:
        connection.exec_driver_sql('UPDATE outbox SET payload = \'{"kind": "telepathy"}\'')

    def told() -> bool:
        row = store.outbox.get("tag-1")
        return row is not None and "cannot read" in row.reason

    execute(store, lambda _command, _attempt: Ended(), told)

    assert state(store, "tag-1") == "new"


def training(number: int) -> Train:
    """A training of its own."""
    return Train(
        op_id=f"train-{number}", model="m", trainer="t", phase="gate", attempt=1, since=0.0,
        until=1.0, holdout=0.2,
    )  # fmt: skip


def test_trainings_over_the_limit_wait_for_their_turn(store: Store) -> None:
    put(store, training(1), training(2), training(3))
    limits = FleetLimits(store, LimitSettings(trainings_at_once=1))
    now, most = [0], [0]

    async def train(_command: Any, _attempt: int) -> Ended:
        now[0] += 1
        most[0] = max(most[0], now[0])
        await asyncio.sleep(0.05)
        now[0] -= 1
        return Ended()

    def all_done() -> bool:
        return all(state(store, f"train-{n}") == "done" for n in (1, 2, 3))

    execute(store, train, all_done, limits.bar)

    assert most == [1]


def test_a_limit_of_no_trainings_stops_them_and_says_so(store: Store) -> None:
    put(store, training(1))
    limits = FleetLimits(store, LimitSettings(trainings_at_once=0))

    def told() -> bool:
        row = store.outbox.get("train-1")
        return row is not None and "limits.trainings_at_once is 0" in row.reason

    execute(store, lambda _command, _attempt: Ended(), told, limits.bar)

    assert state(store, "train-1") == "new"


def test_a_stop_gives_back_what_it_cannot_finish_and_finishes_what_is_short(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker goes on at once, without waiting for a lease; the try does not count."""
    monkeypatch.setattr(module, "FINISH_S", 0.2)
    train = Train(
        op_id="train-1", model="m", trainer="t", phase="gate", since=0.0, until=1.0, holdout=0.2,
        attempt=1,
    )  # fmt: skip
    put(store, TAG, train)
    begun: list[str] = []

    async def handle(command: Any, _attempt: int) -> Ended:
        begun.append(command.op_id)
        # A training takes hours; a tag takes as long as the others take to begin.
        await asyncio.sleep(0.01 if command.op_id == "tag-1" else 3_600)
        return Ended()

    execute(store, handle, lambda: len(begun) == 2)

    assert state(store, "tag-1") == "done"
    [given_back] = store.outbox.claim("w2", 60.0, store.database.now())
    assert (given_back.op_id, given_back.attempt) == ("train-1", 1)
    assert given_back.reason == "w was stopped; another worker goes on with it"
