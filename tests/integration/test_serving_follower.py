"""The traffic topic as a server reads it: the last word of the past, then every word at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from confluent_kafka import Producer

from agents.commands import Route, Routing
from driftd.demo.broker import start_broker
from driftd.routers.driftd_traffic import DriftdTraffic
from driftd.serving.traffic import TrafficFollower


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    broker = start_broker({"driftd.traffic": 4}, tmp_path_factory.mktemp("broker"))
    yield broker.bootstrap
    broker.stop()


class Watcher:
    """Takes newer epochs, as a switch does, and remembers what it was offered."""

    def __init__(self, bootstrap: str, model: str) -> None:
        self.offered: list[int] = []
        self.counted: list[str] = []
        self.follower = TrafficFollower(
            {"bootstrap_servers": bootstrap}, "driftd.traffic", model, self._offer,
            self.counted.append,
        )  # fmt: skip

    def _offer(self, routing: Routing) -> bool:
        is_newer = routing.epoch > max(self.offered, default=-1)
        self.offered.append(routing.epoch)
        return is_newer

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(120):
            while not condition():  # noqa: ASYNC110  (a consumer makes it true)
                await asyncio.sleep(0.01)


def play(watcher: Watcher, story: Callable[[Watcher], Awaitable[None]]) -> None:
    async def run() -> None:
        following = asyncio.create_task(watcher.follower.run())
        try:
            await story(watcher)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    asyncio.run(run())


def tell(bootstrap: str, model: str, *epochs: int) -> None:
    """Publish routings."""
    route = Route(version="1", variant="champion", weight=1.0)
    router = DriftdTraffic({"bootstrap.servers": bootstrap}, "driftd.traffic")
    router.republish([Routing(model=model, epoch=epoch, routes=(route,)) for epoch in epochs])
    router.close()


def mumble(bootstrap: str, model: str, partition: int) -> None:
    """Publish what is no routing."""
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce("driftd.traffic", b'{"epoch": 50}', key=model, partition=partition)
    assert producer.flush(10) == 0


def test_of_the_past_only_the_last_word_is_offered_and_then_each_new_one(bootstrap: str) -> None:
    tell(bootstrap, "churn", 1, 3, 2)
    tell(bootstrap, "fraud", 9)
    # Nonsense, also in a partition of its own, is told and does not end the reading.
    for partition in range(4):
        mumble(bootstrap, "churn", partition)

    async def story(watcher: Watcher) -> None:
        await watcher.until(watcher.follower.caught_up.is_set)
        assert watcher.offered == [3]
        await asyncio.to_thread(tell, bootstrap, "churn", 3, 4)
        await watcher.until(lambda: 4 in watcher.offered)

    watcher = Watcher(bootstrap, "churn")
    play(watcher, story)

    assert watcher.offered == [3, 3, 4]
    assert watcher.counted == [*["malformed"] * 4, "older", "taken"]


def test_an_empty_past_is_caught_up_at_once(bootstrap: str) -> None:
    async def story(watcher: Watcher) -> None:
        await watcher.until(watcher.follower.caught_up.is_set)
        assert watcher.offered == []

    play(Watcher(bootstrap, "nobody routes this"), story)


def test_a_broker_that_closes_the_door_is_tried_again() -> None:
    async def run() -> None:
        knocks: list[int] = []

        async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            knocks.append(len(knocks))
            writer.close()

        async with await asyncio.start_server(close, "127.0.0.1", 0) as door:
            watcher = Watcher(f"127.0.0.1:{door.sockets[0].getsockname()[1]}", "churn")
            following = asyncio.create_task(watcher.follower.run())
            await watcher.until(lambda: len(knocks) > 2)
            assert not following.done()
            assert not watcher.follower.caught_up.is_set()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    asyncio.run(run())
