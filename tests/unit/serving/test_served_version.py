"""One version kept alive: batches, bad instances, deaths and room, with a process made of a script."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from driftd.serving import served as served_module
from driftd.serving.child import ChildDiedError, LoadError, Row, UnfitError
from driftd.serving.served import BATCH_ROWS_MAX, OverloadedError, ServedVersion


class Scripted:
    """A process that answers with the row's `x`, dies on "poison", refuses "bad", and computes
    only while `open` is set."""

    version, positive, negative, pid = "2", "late", "on_time", 1

    def __init__(self) -> None:
        self.batches: list[list[float | str | None]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.dead = asyncio.Event()
        self.stopped = False

    async def ask(self, rows: Sequence[Row]) -> list[float]:
        values = [row["x"] for row in rows]
        self.batches.append(values)
        await self.open.wait()
        if "poison" in values or self.dead.is_set():
            self.dead.set()
            raise ChildDiedError("it died")
        if "bad" in values:
            raise UnfitError("x: the model needs a number", values.index("bad"))
        return [float(value or 0) for value in values]

    async def wait(self) -> None:
        await self.dead.wait()

    async def stop(self) -> None:
        self.dead.set()
        self.stopped = True


class Bench:
    """A ServedVersion over scripted processes."""

    def __init__(self, *, sample: Sequence[Row] = ()) -> None:
        self.made: list[Scripted] = []
        self.faults: list[LoadError] = []
        self.loaded: list[str] = []
        self.served = ServedVersion("2", self._start, self.loaded.append, lambda: sample)

    async def _start(self, version: str) -> Scripted:
        if self.faults:
            raise self.faults.pop()
        self.made.append(Scripted())
        return self.made[-1]

    async def up(self) -> Scripted:
        await until(lambda: self.served.child is not None)
        return self.made[-1]

    def ask(self, *values: float | str, **how: bool) -> asyncio.Task[list[float]]:
        return asyncio.create_task(self.served.score([{"x": value} for value in values], **how))


def play(story: Callable[[Bench], Awaitable[None]], *, sample: Sequence[Row] = ()) -> None:
    async def run() -> None:
        bench = Bench(sample=sample)
        bench.served.run()
        await bench.up()
        async with asyncio.timeout(20):
            await story(bench)
        await bench.served.stop(0.01)
        assert all(made.stopped for made in bench.made)

    asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  (whatever makes it true has no event for tests)
        await asyncio.sleep(0)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_comes_while_it_computes_goes_as_one_batch() -> None:
    async def story(bench: Bench) -> None:
        child = await bench.up()
        child.open.clear()
        first = bench.ask(1)
        await settle()
        rest = [bench.ask(2, 3), bench.ask(4)]
        await settle()
        child.open.set()

        assert [await first, *[await task for task in rest]] == [[1.0], [2.0, 3.0], [4.0]]
        assert child.batches == [[1], [2, 3, 4]]

    play(story)


def test_one_callers_bad_instance_is_not_anothers_failure() -> None:
    async def story(bench: Bench) -> None:
        child = await bench.up()
        child.open.clear()
        tasks = [bench.ask(1), bench.ask(2), bench.ask(5, "bad"), bench.ask(3)]
        await settle()
        child.open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)

        assert [results[0], results[1], results[3]] == [[1.0], [2.0], [3.0]]
        assert isinstance(results[2], UnfitError)
        # The place is counted in the caller's own request.
        assert "instances[1].x" in str(results[2])

    play(story)


def test_the_background_rides_along_and_waits_when_there_is_no_room() -> None:
    async def story(bench: Bench) -> None:
        child = await bench.up()
        child.open.clear()
        first = bench.ask(0)
        await settle()
        beside = bench.ask(7, background=True)
        await settle()
        live = bench.ask(*[1.0] * (BATCH_ROWS_MAX - 1))
        more = bench.ask(8, 9, background=True)
        await settle()
        child.open.set()
        await asyncio.gather(first, beside, live, more)

        assert [len(batch) for batch in child.batches] == [1, BATCH_ROWS_MAX, 2]
        assert child.batches[1][-1] == 7

    play(story)


def test_a_death_is_told_to_those_in_flight_and_the_patient_wait_for_the_next_process() -> None:
    async def story(bench: Bench) -> None:
        child = await bench.up()
        child.open.clear()
        flying = bench.ask("poison")
        await settle()
        patient, hasty = bench.ask(2), bench.ask(3, patient=False)
        await settle()
        child.open.set()
        results = await asyncio.gather(flying, patient, hasty, return_exceptions=True)

        assert isinstance(results[0], ChildDiedError)
        assert results[1] == [2.0]
        assert isinstance(results[2], ChildDiedError)
        assert len(bench.made) == 2
        assert bench.served.restarts == 1

    play(story)


def test_a_death_while_nothing_is_asked_is_noticed_at_once() -> None:
    async def story(bench: Bench) -> None:
        child = await bench.up()
        child.dead.set()
        await until(lambda: len(bench.made) == 2)
        await bench.up()

        assert await bench.ask(4) == [4.0]
        assert bench.loaded == ["2"]

    play(story)


def test_what_may_have_killed_a_process_is_asked_again_alone() -> None:
    async def story(bench: Bench) -> None:
        child = await bench.up()
        child.open.clear()
        first = bench.ask(1)
        await settle()
        innocent, again, other = bench.ask(2), bench.ask("poison", alone=True), bench.ask(3)
        await settle()
        child.open.set()
        results = await asyncio.gather(first, innocent, again, other, return_exceptions=True)

        assert [results[0], results[1], results[3]] == [[1.0], [2.0], [3.0]]
        assert isinstance(results[2], ChildDiedError)
        assert child.batches[-1] == ["poison"]

    play(story)


def test_who_will_not_wait_is_told_at_once_while_it_is_away() -> None:
    async def story(bench: Bench) -> None:
        bench.faults.append(LoadError("the registry is away"))
        (await bench.up()).dead.set()
        await until(lambda: bench.served.problem == "the registry is away")

        with pytest.raises(ChildDiedError, match="the registry is away"):
            await bench.ask(1, patient=False)
        assert await bench.ask(1) == [1.0]
        assert bench.served.problem == ""

    play(story)


def test_there_is_room_for_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_module, "WAITING_ROWS_MAX", 3)

    async def story(bench: Bench) -> None:
        child = await bench.up()
        child.open.clear()
        first = bench.ask(1)
        await settle()
        second = bench.ask(1, 2, 3)
        await settle()
        with pytest.raises(OverloadedError):
            await bench.ask(4)
        child.open.set()
        await asyncio.gather(first, second)

        assert await bench.ask(4) == [4.0]
        assert bench.served.waiting_rows == 0

    play(story)


def test_a_new_process_has_answered_before_it_counts_as_loaded() -> None:
    async def story(bench: Bench) -> None:
        assert (await bench.up()).batches == [["bad"]]
        assert bench.loaded == ["2"]

    # Even a refusal warms it.
    play(story, sample=[{"x": "bad"}])


def test_stopping_finishes_what_was_asked() -> None:
    async def story(bench: Bench) -> None:
        child = await bench.up()
        child.open.clear()
        asked = bench.ask(1)
        await settle()
        stopping = asyncio.create_task(bench.served.stop())
        await settle()
        assert not child.stopped
        child.open.set()
        await stopping

        assert await asked == [1.0]
        assert child.stopped
        with pytest.raises(ChildDiedError):
            await bench.ask(2)

    play(story)


def test_scores_get_the_names_of_the_model() -> None:
    async def story(bench: Bench) -> None:
        assert bench.served.named([0.49, 0.5]) == ["on_time", "late"]

    play(story)
