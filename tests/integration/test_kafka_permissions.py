"""The permissions of docs/kafka.md are enough for each role, and every one of them is needed."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from driftd_recorder.recorder import Recorder
from typer.testing import CliRunner

from agents.commands import Route, Routing
from driftd.cli.main import build
from driftd.demo.children import ChildError, Children, driftd_command, free_port
from driftd.kafka import aiokafka_options, librdkafka_options
from driftd.routers.driftd_traffic import DriftdTraffic
from driftd.sections import KafkaSettings
from driftd.serving.traffic import TrafficFollower
from stack.kafka_secured import Acl, SecuredKafka
from stack.services import answers
from tests.support.secured import DAEMON, PRODUCER, SERVER, TOPICS, Secured, secured_kafka

WAIT_S = 240.0
SOURCES = {"predictions": 3, "labels": 3}
POLICY = """\
model: churn
mode: observe
clock: {pane: 1m, lateness: 1s, idle: 1s}
"""
CLUSTER = [("describe_configs", "cluster", "kafka-cluster", "literal")]


@dataclass(kw_only=True)
class World:
    """A daemon's folder beside the broker; each user has settings of its own."""

    secured: Secured
    children: Children
    folder: Path
    port: int = field(default_factory=free_port)

    @property
    def kafka(self) -> SecuredKafka:
        return self.secured.kafka

    def section(self, user: str) -> dict[str, Any]:
        return self.secured.section(username=user, password_env=f"{user.upper()}_PASSWORD")

    def settings(self, user: str) -> Path:
        file = self.folder / f"{user}.yaml"
        given = {
            "kafka": self.section(user),
            "topics": {"control_partitions": 4},
            "mlflow": {"tracking_uri": f"http://127.0.0.1:{free_port()}", "deadline": "1s"},
            "http": {"port": self.port},
            "ingest": {"flush": "200ms", "flush_canary": "200ms"},
        }
        # What is JSON is YAML.
        file.write_text(json.dumps(given))
        return file

    def topics(self, command: str, user: str, *more: str) -> tuple[int, str]:
        """`driftd topics …`: exit code and what it printed."""
        arguments = ["topics", command, "--settings", str(self.settings(user)), *more]
        ran = CliRunner().invoke(build(), arguments)
        return ran.exit_code, ran.stdout

    def start_daemon(self, name: str, user: str, password: str) -> None:
        command = driftd_command("run", "--settings", str(self.settings(user)))
        self.children.start(name, command, {f"{user.upper()}_PASSWORD": password})

    def until(self, name: str, is_so: Callable[[], bool], what: str) -> None:
        try:
            self.children.wait_until(name, is_so, WAIT_S)
        except ChildError as error:
            raise AssertionError(f"{what}: not so; {error}") from error

    def logged(self, name: str, event: str) -> list[dict[str, Any]]:
        lines = self.children.log(name).read_text().splitlines()
        found = [json.loads(line) for line in lines if f'"event": "{event}"' in line]
        return [line for line in found if line["event"] == event]

    def until_logged(self, name: str, event: str) -> dict[str, Any]:
        """The first line of one kind, waited for."""
        self.until(name, lambda: bool(self.logged(name, event)), f"{event!r} is logged")
        return self.logged(name, event)[0]

    def positions(self) -> dict[tuple[str, int], int]:
        with sqlite3.connect(f"file:{self.folder}/driftd.db?mode=ro", uri=True) as store:
            query = "select topic, partition, next_offset from position where partition >= 0"
            rows = store.execute(query).fetchall()
        store.close()
        return {(topic, partition): offset for topic, partition, offset in rows}

    def all_counted(self) -> bool:
        return self.positions() == self.kafka.offsets(SOURCES)

    def letters(self) -> int:
        return self.kafka.offsets({"driftd.dead_letters": 1})["driftd.dead_letters", 0]

    def record(self, count: int, *, broken: int = 0) -> None:
        """Events as a service sends them, with the permissions of a producer."""
        kafka = KafkaSettings.model_validate(self.section("producer"))
        recorder = Recorder(kafka.bootstrap, extra=librdkafka_options(kafka))
        for number in range(count):
            recorder.prediction(model="churn", version="1", score=0.5, id=f"{number}")
            recorder.label(model="churn", id=f"{number}", label="1")
        for _ in range(broken):
            recorder.prediction(model="", version="1", score=0.5)
        assert recorder.close(60) == 0
        assert recorder.counts().delivered == 2 * count + broken


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("permissions")
    (folder / "policies").mkdir()
    (folder / "policies" / "churn.yaml").write_text(POLICY)
    with pytest.MonkeyPatch.context() as patch, secured_kafka(folder) as secured:
        for user in ("driftd", "server", "producer", "platform", "other"):
            patch.setenv(f"{user.upper()}_PASSWORD", f"{user}-secret")
        secured.kafka.allow("User:driftd", DAEMON)
        secured.kafka.allow("User:server", SERVER)
        secured.kafka.allow("User:producer", PRODUCER)
        secured.kafka.allow("User:platform", [*TOPICS, *CLUSTER])
        made = World(secured=secured, children=Children(folder / "daemon"), folder=folder)
        # The order of a first day: what is missing is named, made, and then all is well.
        assert made.topics("check", "platform")[0] == 1
        assert made.topics("create", "platform", "--dry-run")[0] == 0
        assert "missing" in made.topics("check", "platform")[1]
        code, told = made.topics("create", "platform", "--partitions", "3")
        assert (code, told.count(" created ")) == (0, 6), told
        try:
            yield made
        finally:
            made.children.stop_all()


def test_topics_that_are_there_are_never_changed(world: World) -> None:
    code, told = world.topics("create", "platform", "--partitions", "9", "--json")

    rows = {row["name"]: row for row in json.loads(told)["topics"]}
    assert code == 0
    assert {row["state"] for row in rows.values()} == {"exists"}
    assert rows["predictions"]["partitions"] == 3
    assert rows["driftd.control"]["partitions"] == 4


def test_the_daemon_counts_every_record_with_its_permissions_alone(world: World) -> None:
    world.start_daemon("daemon", "driftd", "driftd-secret")
    ready = f"http://127.0.0.1:{world.port}/ready"
    world.until("daemon", lambda: answers(ready), "the daemon takes part")

    world.record(500)
    world.until("daemon", world.all_counted, "all is counted")
    assert world.logged("daemon", "check topics") == []

    # Letters cannot be sent for a while; nothing else is held up, and then they go on.
    letters = ("write", "topic", "driftd.dead_letters", "literal")
    world.kafka.forbid("User:driftd", [letters])
    world.record(10, broken=1)
    world.until_logged("daemon", "drop dead letters")
    world.until("daemon", world.all_counted, "the rest is counted")
    world.kafka.allow("User:driftd", [letters])
    world.record(10, broken=1)
    world.until("daemon", lambda: world.letters() == 1, "letters go on")

    # A source that may not be read is told, the other one goes on, and nothing is lost.
    source = ("read", "topic", "labels", "literal")
    world.kafka.forbid("User:driftd", [source])
    world.record(10)
    told = world.until_logged("daemon", "wait for topics")
    assert told["missing"] == ["labels"]
    assert "driftd topics check" in told["hint"]
    world.kafka.allow("User:driftd", [source])
    world.until("daemon", world.all_counted, "all is counted in the end")
    world.children.stop("daemon")


@pytest.mark.parametrize("acl", DAEMON, ids=["-".join(acl[:3]) for acl in DAEMON])
def test_each_permission_is_needed_and_its_absence_is_told(world: World, acl: Acl) -> None:
    operation, kind, name, _ = acl
    assert world.topics("check", "driftd")[0] == 0
    world.kafka.forbid("User:driftd", [acl])
    try:
        code, told = world.topics("check", "driftd")
    finally:
        world.kafka.allow("User:driftd", [acl])

    assert code == 1
    lines = [line for line in told.splitlines() if f"--{kind} {name}" in line]
    assert any(f"--operation {operation.capitalize()}" in line for line in lines), told


def test_a_server_follows_and_records_with_its_permissions_alone(world: World) -> None:
    server = KafkaSettings.model_validate(world.section("server"))
    admin = {**world.kafka.client_options(), "acks": "all"}
    offered: list[int] = []

    def offer(routing: Routing) -> bool:
        offered.append(routing.epoch)
        return True

    async def story() -> None:
        router = DriftdTraffic(admin, "driftd.traffic", 60)
        route = Route(version="1", variant="champion", weight=1.0)
        await asyncio.to_thread(router.apply, Routing(model="churn", epoch=7, routes=(route,)))
        follower = TrafficFollower(
            aiokafka_options(server), "driftd.traffic", "churn", offer, lambda _: None
        )
        task = asyncio.create_task(follower.run())
        await asyncio.wait_for(follower.caught_up.wait(), WAIT_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())
    recorder = Recorder(server.bootstrap, extra=librdkafka_options(server))
    recorder.prediction(model="churn", version="1", score=0.5)
    recorder.label(model="churn", id="x", label="1")
    recorder.close(60)

    assert offered == [7]
    # A server writes predictions; labels are not its business.
    assert (recorder.counts().delivered, recorder.counts().failed) == (1, 1)


def test_a_stranger_is_told_that_nothing_is_shown_to_it(world: World) -> None:
    code, told = world.topics("check", "other")

    assert code == 1
    assert told.count("this user may not describe it") == 6
    assert "--allow-principal User:other" in told


def test_a_daemon_with_a_wrong_password_says_so_and_waits(world: World) -> None:
    world.start_daemon("locked out", "driftd", "guessed")
    why = world.until_logged("locked out", "wait for Kafka")["why"]
    world.children.stop("locked out")

    assert "the broker refuses kafka.security.username driftd" in why
    assert "DRIFTD_PASSWORD" in why
