"""From routing to plan: load first, swap then, go back at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from agents.commands import Route, Routing, Shadow
from driftd.serving.child import Row
from driftd.serving.switch import NO_EPOCH, Switch


class Ready:
    """A process that scores everything alike and is told when it may be loaded."""

    positive, negative, pid = "1", "0", 1

    def __init__(self, version: str) -> None:
        self.version = version
        self._dead = asyncio.Event()

    async def ask(self, rows: Sequence[Row]) -> list[float]:
        return [0.5] * len(rows)

    async def wait(self) -> None:
        await self._dead.wait()

    async def stop(self) -> None:
        self._dead.set()


class Loader:
    """Loads a version when the test says so."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.cancelled: list[str] = []

    async def start(self, version: str) -> Ready:
        try:
            await self.gates.setdefault(version, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled.append(version)
            raise
        return Ready(version)

    async def let(self, *versions: str) -> None:
        for version in versions:
            self.gates.setdefault(version, asyncio.Event()).set()
        await settle()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def play(story: Callable[[Switch, Loader], Awaitable[None]]) -> None:
    async def run() -> None:
        loader = Loader()
        switch = Switch("churn", loader.start)
        async with asyncio.timeout(20):
            await story(switch, loader)
            await switch.fleet.close()

    asyncio.run(run())


def routing(epoch: int, *routes: tuple[str, float], barred: tuple[str, ...] = ()) -> Routing:
    first, *others = [version for version, _ in routes]
    return Routing(
        model="churn",
        epoch=epoch,
        routes=tuple(
            Route(version=v, variant="champion" if v == first else "challenger", weight=w)
            for v, w in routes
        ),
        shadows=tuple(Shadow(version=v, share=1.0) for v in (first, *others) if others),
        loaded=(first, *others),
        barred=barred,
    )


def served(switch: Switch) -> dict[str, float]:
    return {r.version: r.weight for r in switch.plan.routes} if switch.plan is not None else {}


def in_memory(switch: Switch) -> set[str]:
    return set(switch.fleet.versions)


def test_a_canary_starts_when_its_version_is_loaded_and_not_before() -> None:
    async def story(switch: Switch, loader: Loader) -> None:
        switch.offer(routing(1, ("1", 1.0)))
        assert served(switch) == {}
        await loader.let("1")
        assert served(switch) == {"1": 1.0}

        switch.offer(routing(2, ("1", 0.9), ("2", 0.1)))
        await settle()
        assert (served(switch), switch.epoch) == ({"1": 1.0}, 1)

        await loader.let("2")
        assert (served(switch), switch.epoch) == ({"1": 0.9, "2": 0.1}, 2)

    play(story)


def test_a_roll_back_takes_effect_before_anything_else_runs() -> None:
    async def story(switch: Switch, loader: Loader) -> None:
        switch.offer(routing(1, ("1", 0.5), ("2", 0.5)))
        await loader.let("1", "2")

        switch.offer(routing(2, ("1", 1.0), barred=("2",)))

        # Nothing was awaited in between.
        assert (served(switch), switch.epoch) == ({"1": 1.0}, 2)
        assert in_memory(switch) == {"1"}

    play(story)


def test_a_roll_back_overtakes_a_version_that_is_still_loading() -> None:
    async def story(switch: Switch, loader: Loader) -> None:
        switch.offer(routing(1, ("1", 1.0)))
        await loader.let("1")
        switch.offer(routing(2, ("1", 0.5), ("2", 0.5)))
        await settle()
        switch.offer(routing(3, ("1", 1.0), barred=("2",)))
        await settle()
        assert loader.cancelled == ["2"]

        await loader.let("2")

        assert (served(switch), switch.epoch) == ({"1": 1.0}, 3)

    play(story)


def test_older_epochs_change_nothing() -> None:
    async def story(switch: Switch, loader: Loader) -> None:
        switch.offer(routing(5, ("1", 1.0)))
        await loader.let("1", "2")

        assert not switch.offer(routing(4, ("2", 1.0)))
        assert not switch.offer(routing(5, ("2", 1.0)))
        await settle()
        assert (served(switch), in_memory(switch)) == ({"1": 1.0}, {"1"})

    play(story)


def test_a_promotion_swaps_and_lets_the_old_version_go() -> None:
    async def story(switch: Switch, loader: Loader) -> None:
        switch.offer(routing(1, ("1", 0.5), ("2", 0.5)))
        await loader.let("1", "2")
        switch.offer(routing(2, ("2", 1.0)))
        await settle()

        assert (served(switch), in_memory(switch)) == ({"2": 1.0}, {"2"})

    play(story)


def test_the_champions_alias_gives_way_to_the_first_routing() -> None:
    async def story(switch: Switch, loader: Loader) -> None:
        switch.adopt(Ready("7"))
        await settle()
        assert (served(switch), switch.epoch) == ({"7": 1.0}, NO_EPOCH)

        switch.offer(routing(1, ("8", 1.0)))
        await settle()
        assert served(switch) == {"7": 1.0}
        await loader.let("8")
        assert (served(switch), in_memory(switch), switch.epoch) == ({"8": 1.0}, {"8"}, 1)

    play(story)


def test_a_version_that_dies_keeps_its_place_while_it_is_started_again() -> None:
    async def story(switch: Switch, loader: Loader) -> None:
        switch.offer(routing(1, ("1", 0.5), ("2", 0.5)))
        await loader.let("1", "2")
        version = switch.fleet.versions["2"]
        child = version.child
        assert child is not None
        await child.stop()
        await settle()

        assert served(switch) == {"1": 0.5, "2": 0.5}
        assert version.restarts == 1
        assert version.child is not None
        assert version.child is not child

    play(story)
