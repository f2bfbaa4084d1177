"""The daemon in front of a real Alertmanager and a real Prometheus: one incident, one beginning and
one end at the webhook, whatever is killed in between."""

import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from driftd.clock import wall_now
from driftd.demo.children import Children
from stack.hook import Hook
from stack.prometheus import Prometheus
from tests.support.alerting import Told
from tests.support.daemon import RunningDaemon, running_daemon
from tests.support.gauge import Gauge, scraping, serving
from tests.support.ingesting import MODEL, prediction, produce

TOPICS = {"predictions": 1, "labels": 1}
ROOT = Path(__file__).parents[2]
ASKED, FORGOTTEN = "gpu-model", "other-gpu"
CLOCK = "clock: {pane: 2s, lateness: 1s, idle: 1s}\n"
POLICIES = {
    "a.yaml": (
        f"model: {MODEL}\nowner: ml-delays\n{CLOCK}watch:\n"
        "  drift: {enabled: false}\n  rules:\n"
        "    - {metric: error_rate, above: 50%, over: 2s, min_events: 1}\n"
        "    - {metric: latency_p99, above: 100ms, over: 2s, min_events: 1}\n"
    ),
    **{
        f"{model}.yaml": (
            f"model: {model}\n{CLOCK}watch:\n  drift: {{enabled: false}}\n  rules:\n"
            "    - {query: gpu_busy, above: 90%, over: 2s, severity: critical}\n"
            "    - {query: every_gpu, above: 1%, over: 2s}\n"
        )
        for model in (ASKED, FORGOTTEN)
    },
}
RULE = "query gpu_busy above 90% over 2s"
QUERIES = """{gpu_busy: 'max(gpu_busy{model="$model"})', every_gpu: 'gpu_busy{model="$model"}'}"""


@dataclass(frozen=True, kw_only=True)
class World:
    """The daemon, whom it asks and tells, and who is told in the end."""

    daemon: RunningDaemon
    alertmanager: Told
    prometheus: Prometheus
    gauge: Gauge
    hook: Hook

    def told(self, model: str) -> list[str]:
        """The notifications of one model, in order."""
        return [one.status for one in self.hook.alerts() if one.labels["model"] == model]

    def burning(self, model: str) -> dict[str, Any] | None:
        """What Alertmanager knows of the model."""
        found = [a for a in self.alertmanager.alerts() if a["labels"]["model"] == model]
        return found[0] if found else None

    def streams(self, model: str) -> str:
        """The streams that the alert names; empty where none burns."""
        found = self.burning(model)
        return str(found["annotations"]["streams"]) if found else ""

    def fail(self, number: int, **more: Any) -> None:
        """Predictions of this moment that all failed."""
        wrong = {"error": "no such model", **more}
        events = (prediction(number + i, ts=wall_now(), **wrong) for i in range(20))
        produce(self.daemon.broker, "predictions", events)

    def restart(self) -> None:
        """Kill the daemon with -9, start it again, and wait until it has told what burns."""
        self.daemon.kill_and_start()
        self.daemon.until(lambda: self.daemon.get("/ready") is not None, "it is ready again")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One daemon for the stories below; each has its model."""
    folder: Path = tmp_path_factory.mktemp("alerting")
    children = Children(folder)
    busy = {f'gpu_busy{{model="{m}",gpu="{n}"}}': 0.1 for m in (ASKED, FORGOTTEN) for n in (0, 1)}
    with Hook() as hook, serving(busy) as gauge:
        try:
            alertmanager = Told(children, folder / "am", webhook=hook.url)
            alertmanager.start()
            prometheus = scraping(children, folder / "prometheus", gauge.address)
            more = (
                f'alertmanager: {{urls: ["{alertmanager.url}"], resend: 2s}}\n'
                f'prometheus: {{url: "{prometheus.url}", queries: {QUERIES}}}\n'
            )
            with running_daemon(folder / "daemon", TOPICS, POLICIES, more=more) as daemon:
                yield World(
                    daemon=daemon,
                    alertmanager=alertmanager,
                    prometheus=prometheus,
                    gauge=gauge,
                    hook=hook,
                )
        finally:
            children.stop_all()


def test_one_beginning_and_one_end_whatever_is_killed(world: World) -> None:
    daemon = world.daemon
    world.fail(0)
    daemon.until(lambda: world.told(MODEL) == ["firing"], "the errors are told")
    first = world.burning(MODEL)
    assert first is not None
    assert first["labels"] == {
        "alertname": "DriftdOperational",
        "model": MODEL,
        "kind": "operational",
        "severity": "warning",
        "owner": "ml-delays",
    }

    world.restart()
    world.fail(100, error=None, latency_ms=900.0)
    daemon.until(lambda: world.streams(MODEL) == "error_rate, latency_p99", "it is updated")
    after = world.burning(MODEL)
    assert after is not None
    assert after["startsAt"] == first["startsAt"]
    assert after["endsAt"] > first["endsAt"]
    assert world.told(MODEL) == ["firing"]

    opens(world, after)
    incident = after["annotations"]["incident_id"]
    answered = daemon.run("false-alarm", MODEL, incident, "--api", daemon.api)
    assert answered.returncode == 0, answered.stderr
    daemon.until(lambda: world.told(MODEL) == ["firing", "resolved"], "the answer ends it")
    said = [one.annotations for one in world.hook.alerts() if one.labels["model"] == MODEL][-1]
    assert said["description"].startswith("Answered: a false alarm.")

    world.restart()
    daemon.until(lambda: daemon.metric("driftd_alerts_total", outcome="sent") >= 1, "it repeats")
    assert world.burning(MODEL) is None
    assert world.told(MODEL) == ["firing", "resolved"]


def opens(world: World, alert: dict[str, Any]) -> None:
    """Every link of an alert leads somewhere."""
    report, runbook = alert["annotations"]["report_url"], alert["annotations"]["runbook_url"]
    assert alert["generatorURL"] == report
    assert report.startswith(f"{world.daemon.api}/api/models/{MODEL}/report#")
    address, _, anchor = report.partition("#")
    with urllib.request.urlopen(address, timeout=60) as answer:
        page = answer.read().decode()
    assert f'id="{anchor}"' in page
    assert (ROOT / runbook).read_text().startswith("# ")


def test_a_query_fires_outlives_prometheus_and_ends(world: World) -> None:
    daemon = world.daemon
    busy = f'gpu_busy{{model="{ASKED}",gpu="1"}}'
    daemon.until(
        lambda: daemon.metric("driftd_queries_total", query="gpu_busy", outcome="answered") >= 4,
        "Prometheus is asked",
    )
    assert world.told(ASKED) == []
    world.gauge.values[busy] = 0.99
    daemon.until(lambda: world.told(ASKED) == ["firing"], "the rule fires")
    alert = world.burning(ASKED)
    assert alert is not None
    assert (alert["labels"]["kind"], alert["labels"]["severity"]) == ("operational", "critical")
    assert alert["annotations"]["streams"] == "gpu_busy"
    # Two series are no value of a rule: told, and never a firing.
    mistakes = {line["why"] for line in daemon.logged("miss query")}
    assert any("2 series that differ in gpu" in why for why in mistakes)

    world.prometheus.stop()
    failed = daemon.metric("driftd_queries_total", query="gpu_busy", outcome="failed")
    daemon.until(
        lambda: daemon.metric("driftd_queries_total", outcome="failed") > failed, "it is told"
    )
    assert world.told(ASKED) == ["firing"]
    world.prometheus.start()
    world.gauge.values[busy] = 0.1
    daemon.until(lambda: world.told(ASKED) == ["firing", "resolved"], "it ends")
    assert world.told(FORGOTTEN) == []


def test_ignoring_a_rule_ends_its_alert_at_once(world: World) -> None:
    daemon = world.daemon
    for gpu in (0, 1):
        world.gauge.values[f'gpu_busy{{model="{FORGOTTEN}",gpu="{gpu}"}}'] = 0.99
    daemon.until(lambda: world.told(FORGOTTEN) == ["firing"], "the rule fires")
    asked = daemon.run("ignore", FORGOTTEN, RULE, "--until", "1h", "--api", daemon.api)
    assert asked.returncode == 0, asked.stderr
    daemon.until(lambda: world.told(FORGOTTEN) == ["firing", "resolved"], "it ends")
    seen = daemon.metric("driftd_queries_total", query="gpu_busy", outcome="answered")
    daemon.until(
        lambda: daemon.metric("driftd_queries_total", query="gpu_busy", outcome="answered") > seen,
        "it burns on",
    )

    assert world.told(FORGOTTEN) == ["firing", "resolved"]
