"""A command ends once: done, failed or refused; what cannot be reached comes again."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.commands import Route, Routing, SetTraffic, TagVersion
from driftd.control.executor import Ended, Executor
from driftd.errors import RefusedError, UnreachableError
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


def execute(store: Store, handler: Callable[[Any, int], Any], until: Callable[[], bool]) -> None:
    """Run an executor until something holds; a test that waits in vain ends by its time-out."""

    async def handle(command: Any, attempt: int) -> Ended:
        ended: Ended = handler(command, attempt)
        return ended

    async def run() -> None:
        stop = asyncio.Event()
        executor = Executor(
            store, {"tag": handle, "traffic": handle}, "w", Metrics(), lambda _: None
        )
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
