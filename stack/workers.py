"""Worker processes of one store on real Kafka and PostgreSQL, looked at only as an outsider can."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine, text

from driftd.demo.children import ChildError, Children, driftd_command, free_port
from stack.kafka import Kafka
from stack.postgres import Postgres

CONTROL_PARTITIONS = 8
WAIT_S = 120.0


@dataclass(slots=True)
class Workers:
    """``driftd run`` several times. ``name`` makes topics, groups and the database their own, so
    that tests may share the servers. The registry is away: nothing here needs one."""

    kafka: Kafka
    postgres: Postgres
    folder: Path
    name: str
    partitions: int = 4
    settings: Mapping[str, Any] = field(default_factory=dict)
    children: Children = field(init=False)
    store: str = field(init=False)
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.children = Children(self.folder)
        self.store = self.postgres.create(self.name)

    @property
    def events(self) -> str:
        """The topic of predictions and labels."""
        return f"{self.name}.events"

    def own_topics(self) -> dict[str, str]:
        """What the settings say of topics."""
        kinds = ("control", "traffic", "decisions", "dead_letters")
        return {kind: f"{self.name}.{kind}" for kind in kinds}

    def create_topics(self) -> None:
        """All topics that a worker needs."""
        own = self.own_topics()
        single = {own[kind]: 1 for kind in ("decisions", "dead_letters")}
        self.kafka.create_topics(
            {own["control"]: CONTROL_PARTITIONS, self.events: self.partitions, **single}
        )
        self.kafka.create_topics({own["traffic"]: 1}, config={"cleanup.policy": "compact"})

    def policies(self, worker: str) -> Path:
        """The directory that a worker watches: its own copy."""
        folder = self.folder / f"policies-{worker}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def put_policy(self, worker: str, model: str, text: str = "") -> Path:
        """Write a model's file into a worker's directory, in one piece as an editor does."""
        file = self.policies(worker) / f"{model}.yaml"
        partial = file.with_suffix(".partial")
        partial.write_text(f"{self.policy_of(model)}{text}")
        return partial.replace(file)

    def policy_of(self, model: str) -> str:
        """A policy that reads our topic; more lines may follow."""
        events = f"{{predictions: {self.events}, labels: {self.events}}}"
        clock = "{pane: 1m, lateness: 1s, idle: 1s}"
        return f"model: {model}\nmode: observe\nevents: {events}\nclock: {clock}\n"

    def settings_file(self, worker: str) -> Path:
        """A worker's settings: its own port, work folder and policies, the shared rest."""
        known: dict[str, Any] = {
            "store": self.store,
            "kafka": {
                "bootstrap": self.kafka.bootstrap,
                "session_timeout": "6s",
                "group_prefix": self.name,
            },
            "topics": {**self.own_topics(), "control_partitions": CONTROL_PARTITIONS},
            "mlflow": {"tracking_uri": f"http://127.0.0.1:{free_port()}", "deadline": "2s"},
            "policies": str(self.policies(worker)),
            "archive": str(self.folder / "archive"),
            "work": str(self.folder / f"work-{worker}"),
            "http": {"port": self.ports.setdefault(worker, free_port())},
            "ingest": {"flush": "200ms", "flush_canary": "200ms", "sample": "100%"},
        }
        file = self.folder / f"{worker}.yaml"
        # What is JSON is YAML.
        file.write_text(json.dumps({**known, **self.settings}))
        return file

    def start(self, worker: str, role: str = "all", *, wait: bool = True) -> None:
        """Start one; ``wait`` until it takes part."""
        file = self.settings_file(worker)
        # The role as a container gets it.
        command = driftd_command("run", "--settings", str(file))
        self.children.start(worker, command, {"DRIFTD_ROLE": role})
        if wait:
            self.until(lambda: self.ready(worker), f"{worker} takes part", worker)

    def terminate(self, worker: str) -> float:
        """SIGTERM, as every supervisor sends it; the seconds until it has ended well."""
        process = self.children.running.pop(worker)
        started = time.monotonic()
        process.terminate()
        assert process.wait(WAIT_S) == 0, self.children.log_tail(worker)
        return time.monotonic() - started

    def kill(self, worker: str) -> None:
        """-9: it leaves nothing in order."""
        process = self.children.running.pop(worker)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def until(self, is_so: Callable[[], bool], what: str, worker: str | None = None) -> None:
        """Wait for what must come true; the failure carries the end of a worker's log."""
        watched = worker or next(iter(self.children.running))
        try:
            self.children.wait_until(watched, is_so, WAIT_S)
        except ChildError as error:
            raise AssertionError(f"{what}: not so; {error}") from error

    def get(self, worker: str, path: str) -> tuple[int, Any]:
        """Status and JSON of a path of a worker's API; (0, None) where nobody listens."""
        try:
            with urllib.request.urlopen(self._url(worker, path), timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        except (urllib.error.URLError, OSError):
            return 0, None

    def ready(self, worker: str) -> bool:
        """Whether a worker takes part."""
        return self.get(worker, "/ready")[0] == 200

    def metric(self, worker: str, name: str, **labels: str) -> float:
        """A sample of a worker's ``/metrics``; 0 where there is none."""
        with urllib.request.urlopen(self._url(worker, "/metrics"), timeout=30) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def at_work(self, worker: str) -> dict[str, dict[str, Any]]:
        """What the store knows of all workers, by process id."""
        _, rows = self.get(worker, "/api/workers")
        return {row["worker"].rpartition("-")[2]: row for row in rows or ()}

    def row(self, worker: str, asked: str | None = None) -> dict[str, Any]:
        """What the store knows of one worker; empty where nothing."""
        pid = str(self.children.running[worker].pid)
        return self.at_work(asked or worker).get(pid, {})

    def logged(self, worker: str, event: str) -> list[dict[str, Any]]:
        """The lines of a worker's log of one kind."""
        lines = self.children.log(worker).read_text().splitlines()
        found = [json.loads(line) for line in lines if f'"event": "{event}"' in line]
        return [line for line in found if line["event"] == event]

    def sql(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """Rows of the store."""
        engine = create_engine(self.store)
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(query), values)]
        finally:
            engine.dispose()

    def produce(self, model: str, count: int, ts: float) -> None:
        """Predictions of one model with this event time, acknowledged by the broker."""
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap})
        for n in range(count):
            event = {"model": model, "version": "1", "id": f"{ts}-{n}", "ts": ts, "score": 0.5}
            producer.produce(self.events, json.dumps(event).encode(), partition=n % self.partitions)
        assert producer.flush(30) == 0

    def _url(self, worker: str, path: str) -> str:
        return f"http://127.0.0.1:{self.ports[worker]}{path}"
