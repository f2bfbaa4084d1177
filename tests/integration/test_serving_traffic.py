"""A whole rollout on the real thing: a broker, a registry, `driftd serve`, and callers all along."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from agents.commands import Route, Routing, Shadow
from driftd.demo.broker import start_broker
from driftd.routers.driftd_traffic import DriftdTraffic

SUBJECTS = [f"user-{i}" for i in range(60)]
ROWS_A_CALL = 3
CALLERS = 6


@dataclass(frozen=True, slots=True)
class World:
    """What stands around the server."""

    folder: Path
    bootstrap: str
    settings: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("traffic")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    script = Path(__file__).with_name("serving_models.py")
    subprocess.run(
        [sys.executable, "-I", str(script), uri, str(folder / "artifacts")],
        check=True, cwd=folder, capture_output=True,
    )  # fmt: skip
    broker = start_broker({"driftd.traffic": 2, "predictions": 4, "odd": 1}, folder / "broker")
    settings = folder / "settings.yaml"
    settings.write_text(
        f"kafka: {{bootstrap: '{broker.bootstrap}'}}\n"
        f"mlflow: {{tracking_uri: '{uri}'}}\nclock: event\n"
    )
    yield World(folder, broker.bootstrap, settings)
    broker.stop()


@dataclass(slots=True)
class Server:
    """A running `driftd serve` and a client of it."""

    process: asyncio.subprocess.Process
    client: httpx.AsyncClient

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first `/health` that fulfils it."""
        async with asyncio.timeout(300):
            while True:
                health: dict[str, Any] = (await self.client.get("/health")).json()
                if condition(health):
                    return health
                await asyncio.sleep(0.02)

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(200):
            return await self.process.wait()


@asynccontextmanager
async def serving(world: World, model: str, *more: str) -> AsyncIterator[Server]:
    ready = world.folder / f"{model}.ready"
    with (world.folder / f"{model}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "driftd.cli.main", "serve", model, "--settings", str(world.settings),
            "--port", "0", "--ready", str(ready), *more,
            stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    try:
        async with asyncio.timeout(300):
            while not ready.exists():
                assert process.returncode is None
                await asyncio.sleep(0.05)
        port = json.loads(ready.read_text())["port"]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            yield Server(process, client)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@dataclass(slots=True)
class Crowd:
    """Callers who never stop; each answer is noted with the phase in which it was asked for."""

    client: httpx.AsyncClient
    phase: str = "start"
    statuses: list[int] = field(default_factory=list)
    answers: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    is_over: bool = False

    async def call(self, caller: int) -> None:
        for subject in itertools.cycle(SUBJECTS[caller::CALLERS]):
            if self.is_over:
                return
            phase = self.phase
            rows = [{"temp": 0.1 * i, "carrier": "UA"} for i in range(ROWS_A_CALL)]
            answer = await self.client.post(
                "/predict", json={"instances": rows, "subject": subject, "ts": 1e9}
            )
            self.statuses.append(answer.status_code)
            found = answer.json().get("predictions", [])
            self.answers += [(phase, subject, prediction) for prediction in found]

    async def enter(self, phase: str) -> None:
        """All that is asked from now on belongs to `phase`; return when all subjects have been."""
        self.phase = phase
        async with asyncio.timeout(300):
            while len(self.versions(phase)) < len(SUBJECTS):  # noqa: ASYNC110  (they all add to it)
                await asyncio.sleep(0.01)

    def versions(self, phase: str) -> dict[str, set[str]]:
        """subject -> the versions that it met in `phase`."""
        met = defaultdict(set)
        for at, subject, prediction in self.answers:
            if at == phase:
                met[subject].add(prediction["version"])
        return met


def routing(epoch: int, champion: str, **more: Any) -> Routing:
    weight = more.pop("weight", 0.0)
    challenger = more.pop("challenger", "")
    routes = [Route(version=champion, variant="champion", weight=1 - weight)]
    if weight:
        routes.append(Route(version=challenger, variant="challenger", weight=weight))
    loaded = (champion, challenger) if challenger else (champion,)
    return Routing(model="delay", epoch=epoch, routes=tuple(routes), loaded=loaded, **more)


def pair(share: float, *versions: str) -> tuple[Shadow, ...]:
    return tuple(Shadow(version=version, share=share) for version in versions)


def events(bootstrap: str, topic: str, partitions: int) -> list[dict[str, Any]]:
    """Everything on the topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "look", "log_level": 0})
    whole = [TopicPartition(topic, p, 0) for p in range(partitions)]
    ends = sum(consumer.get_watermark_offsets(p, timeout=10)[1] for p in whole)
    consumer.assign(whole)
    found: list[dict[str, Any]] = []
    while len(found) < ends:
        found += [json.loads(m.value() or b"{}") for m in consumer.consume(1000, timeout=10)]
    consumer.close()
    return found


def pids(log: Path) -> list[int]:
    """The newest process of versions 1 and 3."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    loaded = {line["version"]: line["pid"] for line in lines if line["event"] == "loaded version"}
    return [loaded["1"], loaded["3"]]


async def rollout(world: World, server: Server, crowd: Crowd, router: DriftdTraffic) -> None:
    """Champion, canary, more of it, roll-back, promotion of another, a death."""

    async def apply(asked: Routing) -> None:
        crowd.phase = "moving"
        await asyncio.to_thread(router.apply, asked)
        await server.until(lambda health: health["epoch"] == asked.epoch)

    await crowd.enter("alias")
    shadows = pair(1.0, "1", "2")
    await apply(routing(1, "1", challenger="2", weight=0.2, shadows=shadows))
    await crowd.enter("canary")
    await apply(routing(2, "1", challenger="2", weight=0.5, shadows=shadows))
    await crowd.enter("half")
    # Nothing of that phase is in flight when its versions go.
    await crowd.enter("over")
    await apply(routing(4, "1", barred=("2",)))
    await crowd.enter("rolled back")
    # Neither nonsense nor the past, nor another model's routing, changes anything.
    producer = Producer({"bootstrap.servers": world.bootstrap})
    for value in (b"{", b'{"model": "delay", "epoch": 9, "routes": []}'):
        producer.produce("driftd.traffic", value, key="delay")
    assert await asyncio.to_thread(producer.flush, 10) == 0
    await asyncio.to_thread(router.apply, routing(3, "2"))
    await crowd.enter("nonsense")
    await apply(routing(5, "3", challenger="1", shadows=pair(1.0, "1"), barred=("2",)))
    await crowd.enter("promoted")
    for pid in pids(world.folder / "delay.log"):
        os.kill(pid, signal.SIGKILL)
    await crowd.enter("killed")


def test_a_rollout_loses_no_request(world: World) -> None:
    async def story() -> tuple[Crowd, dict[str, Any], str]:
        router = DriftdTraffic({"bootstrap.servers": world.bootstrap}, "driftd.traffic")
        async with serving(world, "delay") as server:
            crowd = Crowd(server.client)
            callers = [asyncio.create_task(crowd.call(i)) for i in range(CALLERS)]
            await rollout(world, server, crowd, router)
            crowd.is_over = True
            await asyncio.gather(*callers)
            health = await server.until(lambda health: health["shadow_waiting"] == 0)
            metrics = (await server.client.get("/metrics")).text
            assert await server.stop() == 0
        router.close()
        return crowd, health, metrics

    crowd, health, metrics = asyncio.run(story())

    assert set(crowd.statuses) == {200}
    only = {phase: set().union(*crowd.versions(phase).values()) for phase in _PHASES}
    assert only == {
        "alias": {"1"}, "canary": {"1", "2"}, "half": {"1", "2"}, "rolled back": {"1"},
        "nonsense": {"1"}, "promoted": {"3"}, "killed": {"3"},
    }  # fmt: skip
    told = events(world.bootstrap, "predictions", 4)
    _check_stickiness(crowd, told)
    assert health["last_live_answer"]["2"] < health["last_live_answer"]["3"]
    assert 'driftd_serving_routings_total{model="delay",outcome="malformed"} 2.0' in metrics
    assert 'driftd_serving_routings_total{model="delay",outcome="older"} 1.0' in metrics
    _check_events(crowd, told)


_PHASES = ("alias", "canary", "half", "rolled back", "nonsense", "promoted", "killed")


def _check_stickiness(crowd: Crowd, told: list[dict[str, Any]]) -> None:
    """A subject meets one version a step, and stays with the challenger as its weight grows; where
    the challenger could not answer (a busy machine), an event says so and the champion answered."""
    canary, half = crowd.versions("canary"), crowd.versions("half")
    helped = {e["subject"] for e in told if e["variant"] == "challenger" and "error" in e}
    for subject, met in [*canary.items(), *half.items()]:
        assert len(met) == 1 or subject in helped
    early = {subject for subject, met in canary.items() if "2" in met}
    later = {subject for subject, met in half.items() if "2" in met}
    assert early < later


def _check_events(crowd: Crowd, told: list[dict[str, Any]]) -> None:
    live = {e["id"]: e for e in told if e["variant"] != "shadow" and "error" not in e}
    answered = {prediction["id"]: prediction for _, _, prediction in crowd.answers}
    assert set(live) == set(answered)
    for name, prediction in answered.items():
        event = live[name]
        assert {key: event[key] for key in prediction} == prediction
        assert event["ts"] == 1e9
        assert event["latency_ms"] > 0
    beside = {e["shadow_of"]: e for e in told if e["variant"] == "shadow" and "error" not in e}
    for phase, _, prediction in crowd.answers:
        if phase in {"canary", "half"}:
            shadow = beside[prediction["id"]]
            assert {shadow["version"], prediction["version"]} == {"1", "2"}
    # The last of these were on their way when the processes were killed.
    assert any(p["id"] in beside for phase, _, p in crowd.answers if phase == "promoted")


def test_each_failure_has_its_status_and_its_event(world: World) -> None:
    async def story() -> list[tuple[int, str]]:
        router = DriftdTraffic({"bootstrap.servers": world.bootstrap}, "driftd.traffic")
        # There is no alias to begin with: the routing is all that the server has.
        await asyncio.to_thread(router.apply, msgspec.structs.replace(routing(1, "1"), model="odd"))
        async with serving(world, "odd", "--predictions", "odd") as server:
            found: list[tuple[int, str]] = []
            for instance in (
                {"x": 1.5, "mode": "score"}, {"x": [1]}, {"x": "a"},
                {"x": 1, "mode": "raise"}, {"x": 1, "mode": "die"}, {"x": 0.25, "mode": "score"},
            ):  # fmt: skip
                body = {"instances": [instance], "ts": 1e9, "ids": [str(len(found))]}
                answer = await server.client.post("/predict", json=body)
                found.append((answer.status_code, answer.text))
            assert await server.stop() == 0
        router.close()
        return found

    answers = asyncio.run(story())

    assert [status for status, _ in answers] == [200, 400, 422, 500, 503, 200]
    assert "instances[0]" in answers[1][1]
    assert "instances[0].x: the model needs a number, got 'a'" in answers[2][1]
    assert "RuntimeError" in answers[3][1]
    told = {event["id"]: event for event in events(world.bootstrap, "odd", 1)}
    # What is the caller's mistake is no error of the model.
    assert set(told) - {"0", "3", "4", "5"} == {name for name in told if len(name) == 32}
    assert "RuntimeError" in told["3"]["error"]
    assert "died" in told["4"]["error"]
    assert told["5"]["score"] == 0.25
