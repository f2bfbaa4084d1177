"""All real services together with workers of driftd, each worker as if on a machine of its own."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from driftd.demo.children import Children, driftd_command, free_port
from stack.alertmanager import Alertmanager
from stack.kafka import Kafka
from stack.mlflow import Mlflow
from stack.postgres import Postgres
from stack.s3 import S3
from stack.services import Service, answers

TOPICS = {
    "predictions": 8,
    "labels": 4,
    "driftd.control": 8,
    "driftd.traffic": 1,
    "driftd.decisions": 1,
    "driftd.dead_letters": 1,
}
SOURCES = ("predictions", "labels")
TRAFFIC = "driftd.traffic"
EXAMPLES = Path(__file__).parents[1] / "examples"
READY_S = 120.0


@dataclass(slots=True)
class World:
    """Kafka, PostgreSQL, S3, MLflow on both, Alertmanager; all of it under ``folder``.

    ``webhook``: who Alertmanager notifies. ``settings``: added to every worker's settings.
    """

    folder: Path
    webhook: str = ""
    clock: str = "wall"
    settings: Mapping[str, Any] = field(default_factory=dict)
    children: Children = field(init=False)
    kafka: Kafka = field(init=False)
    postgres: Postgres = field(init=False)
    s3: S3 = field(init=False)
    mlflow: Mlflow = field(init=False)
    alertmanager: Alertmanager = field(init=False)
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folder = self.folder
        children = self.children = Children(folder)
        self.kafka = Kafka(children, folder / "kafka")
        self.postgres = Postgres(children, folder / "postgres")
        self.s3 = S3(children)
        self.alertmanager = Alertmanager(children, folder / "alertmanager", webhook=self.webhook)

    def start(self) -> None:
        """Start every service; returns when all are ready. ``stop`` ends them, whatever happened."""
        self.postgres.start()
        self.s3.start()
        self.s3.create_bucket("mlflow")
        self.mlflow = Mlflow(
            self.children,
            self.folder / "mlflow",
            backend=self.postgres.create("mlflow"),
            artifacts="s3://mlflow/artifacts",
            environment=self.s3.client_environment,
        )
        self.postgres.create("driftd")
        self.kafka.start()
        self.kafka.create_topics({name: TOPICS[name] for name in TOPICS if name != TRAFFIC})
        # A server that starts needs the newest routing, however old it is.
        self.kafka.create_topics({TRAFFIC: TOPICS[TRAFFIC]}, {"cleanup.policy": "compact"})
        self.mlflow.start()
        self.alertmanager.start()

    def stop(self) -> None:
        """End everything that was started, the newest first."""
        self.children.stop_all()

    @property
    def services(self) -> dict[str, Service]:
        """name -> service, those that an outage may hit."""
        found = (self.kafka, self.postgres, self.s3, self.mlflow, self.alertmanager)
        return {one.name: one for one in found}

    @property
    def store(self) -> str:
        """The address of the workers' store."""
        return self.postgres.url("driftd")

    def put_policy(self, name: str, text: str) -> None:
        """Write a file of the directory that all workers watch, in one piece as an editor does."""
        folder = self.folder / "policies"
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{name}.partial"
        partial.write_text(text)
        partial.replace(folder / name)

    def settings_file(self, worker: str) -> Path:
        """The settings of a worker, written anew: its own port and work folder, the shared rest."""
        port = self.ports.setdefault(worker, free_port())
        known: dict[str, Any] = {
            "store": self.store,
            "kafka": {"bootstrap": self.kafka.bootstrap, "session_timeout": "6s"},
            "topics": {"control_partitions": TOPICS["driftd.control"]},
            "mlflow": {"tracking_uri": self.mlflow.url},
            "policies": "policies",
            "archive": "archive",
            "work": f"work-{worker}",
            "http": {"host": "127.0.0.1", "port": port},
            "clock": self.clock,
            "ingest": {"flush": "200ms", "flush_canary": "200ms", "sample": "100%"},
            "alertmanager": {"urls": [self.alertmanager.url]},
            "trainers": {
                "tabular": {
                    "command": [sys.executable, str(EXAMPLES / "flights_trainer.py")],
                    "env": {"OMP_NUM_THREADS": "1", "DRIFTD_SEED": "0"},
                }
            },
        }
        file = self.folder / f"{worker}.yaml"
        # What is JSON is YAML.
        file.write_text(json.dumps({**known, **self.settings}, indent=2) + "\n")
        return file

    def start_worker(self, worker: str, *arguments: str, wait: bool = True) -> None:
        """``driftd run`` under this name; ``wait`` until it takes part."""
        command = driftd_command("run", "--settings", str(self.settings_file(worker)), *arguments)
        self.children.start(worker, command)
        if wait:
            self.wait_for_worker(worker)

    def wait_for_worker(self, worker: str) -> None:
        """Return when it takes part."""
        self.children.wait_until(worker, lambda: self.is_ready(worker), READY_S)

    def is_ready(self, worker: str) -> bool:
        """Whether it takes part."""
        return answers(f"http://127.0.0.1:{self.ports[worker]}/ready")

    def start_server(
        self, model: str, name: str = "server", *arguments: str, wait: bool = True
    ) -> Path:
        """``driftd serve``; the file that names its port once it answers requests."""
        ready = self.folder / f"{name}.ready"
        ready.unlink(missing_ok=True)
        command = driftd_command(
            *("serve", model, "--settings", str(self.settings_file(name))),
            *("--port", "0", "--ready", str(ready), "--log-level", "warning", *arguments),
        )
        self.children.start(name, command)
        if wait:
            self.children.wait_until(name, ready.exists, READY_S)
        return ready
