"""A running daemon process beside an embedded broker, looked at only as an outsider can."""

import json
import sqlite3
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from driftd.demo.broker import EmbeddedBroker, start_broker
from driftd.demo.children import ChildError, Children, driftd_command, free_port
from driftd.demo.setup import start_daemon

WAIT_S = 240.0
COMMAND_S = 300.0
OWN_TOPICS = {
    "driftd.control": 2,
    "driftd.traffic": 1,
    "driftd.decisions": 1,
    "driftd.dead_letters": 1,
}


@dataclass(frozen=True, kw_only=True)
class RunningDaemon:
    """``driftd run``, its folder, its broker and the port of its API."""

    children: Children
    broker: EmbeddedBroker
    settings: Path
    port: int

    @property
    def api(self) -> str:
        """The address of the API."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> Any:
        """The JSON behind a path; None while nobody answers well."""
        try:
            with urllib.request.urlopen(f"{self.api}{path}", timeout=30) as answer:
                return json.loads(answer.read())
        except (urllib.error.URLError, OSError):
            return None

    def metric(self, name: str, **labels: str) -> float:
        """A sample of ``/metrics``; 0 where there is none."""
        with urllib.request.urlopen(f"{self.api}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait for what must come true; the failure carries the end of the daemon's log."""
        try:
            self.children.wait_until("daemon", is_so, WAIT_S)
        except ChildError as error:
            raise AssertionError(f"{what}: not so; {error}") from error

    def put_policy(self, name: str, text: str) -> None:
        """Write a file of the watched directory, in one piece as an editor does."""
        file = self.settings.parent / "policies" / name
        partial = file.with_suffix(".partial")
        partial.write_text(text)
        partial.replace(file)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log of one kind."""
        lines = self.children.log("daemon").read_text().splitlines()
        found = [json.loads(line) for line in lines if f'"event": "{event}"' in line]
        return [line for line in found if line["event"] == event]

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of its store."""
        file = self.settings.parent / "driftd.db"
        store = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)
        try:
            return store.execute(query).fetchall()
        finally:
            store.close()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another ``driftd …`` command, as a person types it."""
        return subprocess.run(
            driftd_command(*arguments),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )

    def kill_and_start(self) -> None:
        """Kill it with -9 and start it again."""
        self.children.kill("daemon")
        start_daemon(self.children, self.settings)


@contextmanager
def running_daemon(
    directory: Path,
    topics: Mapping[str, int],
    policies: Mapping[str, str],
    ingest: str = "",
    more: str = "",
) -> Iterator[RunningDaemon]:
    """A daemon that is ready; everything ends with the block. Its registry is away all the time:
    nothing here needs one. ``ingest``: more of that part of the settings, ``more``: other parts."""
    children = Children(directory)
    broker = start_broker({**topics, **OWN_TOPICS}, directory / "broker")
    port = free_port()
    settings = directory / "settings.yaml"
    settings.write_text(
        f"""\
store: sqlite:///driftd.db
kafka: {{bootstrap: "{broker.bootstrap}"}}
topics: {{control_partitions: {OWN_TOPICS["driftd.control"]}}}
mlflow: {{tracking_uri: "http://127.0.0.1:{free_port()}", deadline: 2s}}
http: {{port: {port}}}
ingest: {{flush: 200ms, flush_canary: 200ms, sample: 100%{ingest}}}
{more}"""
    )
    daemon = RunningDaemon(children=children, broker=broker, settings=settings, port=port)
    (directory / "policies").mkdir()
    for name, text in policies.items():
        daemon.put_policy(name, text)
    try:
        start_daemon(children, settings)
        daemon.until(lambda: daemon.get("/ready") is not None, "the daemon is ready")
        yield daemon
    finally:
        children.stop_all()
        broker.stop()
