"""A model in a canary, small enough for one test: a day of requests at a time, whose truth is known.

Only what a user of any version has is used: topics, the API, the registry. So the same world made
the store of v0.1.0 that ``tests/data`` holds.
"""

import json
import math
import random
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from mlflow import MlflowClient

from driftd.demo.broker import EmbeddedBroker
from driftd.demo.children import Children, driftd_command
from driftd.demo.client import DaemonClient

MODEL = "canary-model"
CHAMPION, CHALLENGER = "1", "2"
DAY_S = 86_400.0
START = 19_000 * DAY_S
REQUESTS_A_DAY = 400
TOPICS = {
    "predictions": 2,
    "labels": 2,
    "driftd.control": 2,
    "driftd.traffic": 1,
    "driftd.decisions": 1,
    "driftd.dead_letters": 1,
}
WAIT_S = 120.0
POLICY = f"""\
model: {MODEL}
mode: auto
registry: {{name: {MODEL}}}
labels: {{arrive_within: 6h, maturity: 6h, positive: late}}
clock: {{pane: 1d, lateness: 5m}}
watch: {{drift: {{enabled: false}}}}
retrain: {{trainer: nobody, needs: {{labels_since_onset: 1000000}}}}
canary:
  steps: [{{weight: 10%, shadow: 100%, for: 1d}}, {{weight: 50%, shadow: 100%, for: 2d}}]
  judge: [{{metric: brier, worse_by_at_most: 0.02}}]
  give_up_after: 20d
promote: {{probation: 2d, reverse_shadow: 100%}}
"""


def write_settings(
    folder: Path, *, bootstrap: str, tracking_uri: str, port: int, store: str
) -> Path:
    """The settings and the policy that every version understands; the path of the settings."""
    (folder / "policies").mkdir(parents=True, exist_ok=True)
    (folder / "policies" / f"{MODEL}.yaml").write_text(POLICY)
    settings = folder / "settings.yaml"
    settings.write_text(
        f"""\
store: {store}
kafka: {{bootstrap: "{bootstrap}"}}
topics: {{control_partitions: {TOPICS["driftd.control"]}}}
mlflow: {{tracking_uri: "{tracking_uri}"}}
http: {{port: {port}}}
clock: event
ingest: {{flush: 200ms, flush_canary: 200ms, sample: 100%}}
trainers: {{nobody: {{command: ["false"]}}}}
"""
    )
    return settings


def register_versions(tracking_uri: str, aliases: Mapping[str, str]) -> MlflowClient:
    """The model with two versions and ``aliases``; a fresh registry knows it as the old one did."""
    client = MlflowClient(tracking_uri)
    client.create_registered_model(MODEL)
    for version in (CHAMPION, CHALLENGER):
        client.create_model_version(MODEL, source=f"s3://nowhere/{version}")
    for alias, version in aliases.items():
        client.set_registered_model_alias(MODEL, alias, version)
    return client


@dataclass(slots=True)
class CanaryWorld:
    """One daemon among ``children`` and its traffic. ``skill``: version -> how near its scores lie
    to the truth, 0 to 1."""

    children: Children
    broker: EmbeddedBroker
    settings: Path
    daemon: DaemonClient
    skill: Mapping[str, float]
    day: int = 0
    name: str = "daemon"
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Start the daemon and wait until it takes part."""
        command = self.command or driftd_command("run", "--settings", str(self.settings))
        self.children.start(self.name, command, self.environment)
        self.until(self.daemon.is_ready, "ready")

    def until(self, is_so: Any, what: str) -> None:
        """Wait for what must come true while the daemon lives."""
        try:
            self.children.wait_until(self.name, is_so, WAIT_S)
        except Exception as error:
            raise AssertionError(f"{what}: not so on day {self.day}; {error}") from error

    def one_day(self) -> None:
        """A day of requests, answered as the newest routing says, with their labels; and wait until
        the daemon has closed it and nothing is under way."""
        start = START + self.day * DAY_S
        self._produce(start)
        self.day += 1
        self.until(lambda: self.settled(start + DAY_S), "the day is closed")

    def settled(self, end: float) -> bool:
        """Whether the buckets before ``end`` are closed and nothing is in flight, twice in a row:
        what ended may ask for more."""
        for _ in range(2):
            pulse = self.daemon.pulse()
            if not pulse or (pulse["closed"] or 0.0) < end or pulse["busy"]:
                return False
            time.sleep(0.3)
        return True

    def routing(self) -> dict[str, Any]:
        """The newest routing on the traffic topic; empty before the first."""
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": "server"})
        try:
            end = consumer.get_watermark_offsets(TopicPartition("driftd.traffic", 0), timeout=10)[1]
            if not end:
                return {}
            consumer.assign([TopicPartition("driftd.traffic", 0, end - 1)])
            message = consumer.poll(10)
            return dict(json.loads(message.value() or b"{}")) if message is not None else {}
        finally:
            consumer.close()

    def _produce(self, start: float) -> None:
        routing = self.routing()
        routes = routing.get("routes") or [
            {"version": CHAMPION, "variant": "champion", "weight": 1.0}
        ]
        shadows = [one["version"] for one in routing.get("shadows", ())]
        draw = random.Random(f"day {self.day}")
        producer = Producer({"bootstrap.servers": self.broker.bootstrap, "linger.ms": 5})
        for number in range(REQUESTS_A_DAY):
            ts = start + DAY_S * (number + 0.5) / REQUESTS_A_DAY
            x = draw.gauss(0.0, 1.5)
            late = draw.random() < 1 / (1 + math.exp(-x))
            route = _drawn(routes, draw.random())
            name = f"d{self.day}-{number}"
            event = {"v": 1, "model": MODEL, "ts": ts, "features": {"x": x}, "latency_ms": 5.0}
            live = {**event, **self._answer(route["version"], x), "id": name}
            records = [("predictions", live | {"variant": route["variant"]})]
            records += [
                ("predictions", {**event, **self._answer(version, x), "id": f"{name}-s{version}",
                                 "variant": "shadow", "shadow_of": name})
                for version in shadows
                if version != route["version"]
            ]  # fmt: skip
            label = "late" if late else "on_time"
            told = {"v": 1, "id": name, "model": MODEL, "label": label, "ts": ts + 60.0}
            for topic, value in [*records, ("labels", told)]:
                producer.produce(topic, json.dumps(value).encode(), partition=number % 2)
            producer.poll(0)
        tick = json.dumps({"v": 1, "tick": start + DAY_S + 600.0}).encode()
        for topic in ("predictions", "labels"):
            for partition in range(TOPICS[topic]):
                producer.produce(topic, tick, partition=partition)
        assert producer.flush(30) == 0

    def _answer(self, version: str, x: float) -> dict[str, Any]:
        score = 1 / (1 + math.exp(-x * self.skill[version]))
        return {
            "version": version,
            "score": score,
            "prediction": "late" if score > 0.5 else "on_time",
        }


def _drawn(routes: Sequence[Mapping[str, Any]], at: float) -> Mapping[str, Any]:
    for route in routes:
        at -= route["weight"]
        if at < 0:
            return route
    return routes[-1]


def select(file: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of a SQLite store, read from outside."""
    store = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)
    try:
        return store.execute(query).fetchall()
    finally:
        store.close()
