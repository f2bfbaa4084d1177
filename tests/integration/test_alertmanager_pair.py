"""Two real Alertmanagers that gossip: both are told, people are told once, whichever is away."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agents.alerter import Alert
from driftd.clients.alertmanager import AlertmanagerClient
from driftd.control.alerts import Alerts
from driftd.demo.children import Children
from driftd.telemetry import Metrics
from stack.hook import Hook
from tests.support.alerting import Told, alert, pair, send, until


@dataclass(frozen=True, kw_only=True)
class World:
    """A pair and who is told by it."""

    first: Told
    second: Told
    hook: Hook

    @property
    def urls(self) -> tuple[str, str]:
        """Both, as the settings list them."""
        return self.first.url, self.second.url

    def told(self, model: str) -> list[str]:
        """The notifications of one model, in order."""
        return [one.status for one in self.hook.alerts() if one.labels["model"] == model]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One pair for all tests of this file; each has a model of its own."""
    folder: Path = tmp_path_factory.mktemp("pair")
    children = Children(folder)
    with Hook() as hook:
        try:
            first, second = pair(children, folder, hook.url)
            yield World(first=first, second=second, hook=hook)
        finally:
            children.stop_all()


def serve(
    world: World, metrics: Metrics, *batches: tuple[tuple[Alert, ...], Callable[[], bool]]
) -> None:
    """The daemon's service: put each batch and wait for what follows from it."""

    async def run() -> None:
        async with AlertmanagerClient(world.urls) as client:
            alerts, stop = Alerts(client, metrics, again_s=0.0), asyncio.Event()
            running = asyncio.create_task(alerts.run(stop))
            for batch, is_so in batches:
                alerts.put(batch)
                await asyncio.to_thread(until, is_so, "the batch had its effect")
            stop.set()
            await running

    asyncio.run(run())


def outcomes(metrics: Metrics) -> dict[str, float]:
    """What became of the alerts, by the metric."""
    (family,) = metrics.alerts_sent.collect()
    return {
        sample.labels["outcome"]: sample.value
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value
    }


def test_both_know_it_and_people_are_told_once(world: World) -> None:
    assert send_and_wait(world, alert("once")) == 2
    known = [[one["labels"]["model"] for one in server.alerts()] for server in pair_of(world)]
    assert known == [["once"], ["once"]]
    send_and_wait(world, alert("once", ended=True))
    until(lambda: "resolved" in world.told("once"), "the end is told")

    assert world.told("once") == ["firing", "resolved"]


def test_with_one_of_two_away_people_are_told_once_and_so_is_the_operator(world: World) -> None:
    metrics = Metrics()
    world.second.kill()
    with capture_logs() as logs:
        serve(
            world,
            metrics,
            ((alert("half"),), lambda: world.told("half") == ["firing"]),
            ((alert("half"),), lambda: outcomes(metrics) == {"partial": 2}),
        )
    world.second.start()

    assert world.told("half") == ["firing"]
    (missed,) = [line for line in logs if line["event"] == "miss one alertmanager"]
    assert missed["url"] == f"{world.second.url}/api/v2/alerts"


def test_an_end_that_came_while_both_were_away_still_arrives(world: World) -> None:
    metrics = Metrics()
    # Both have to know that people were told: one that does not would keep the end to itself.
    send_and_wait(world, alert("later"))
    until(lambda: world.told("later") == ["firing"], "it is told")
    for one in pair_of(world):
        one.stop()

    def fail_then_start() -> bool:
        failed = outcomes(metrics).get("failed", 0.0) >= 2
        if failed and not world.first.running:
            world.first.start()
            world.second.start()
        return failed and world.told("later") == ["firing", "resolved"]

    serve(world, metrics, ((alert("later", ended=True),), fail_then_start))

    assert world.told("later") == ["firing", "resolved"]
    assert {one["labels"]["model"] for one in world.first.alerts()} <= {"once", "half"}


def send_and_wait(world: World, one: Alert) -> int:
    """How many took it, once each has looked into the log that they share whether to tell it."""
    name = "alertmanager_nflog_queries_total"
    before = [server.counted(name) for server in pair_of(world)]
    taken = send(world.urls, one).taken
    pairs = list(zip(pair_of(world), before, strict=True))
    until(lambda: all(server.counted(name) > asked for server, asked in pairs), "both looked")
    return taken


def pair_of(world: World) -> tuple[Told, Told]:
    """Both servers."""
    return world.first, world.second
