"""Every expression of the dashboards, asked of a real Prometheus that scrapes the running stack.

make bench NAME=dashboards                      # about five minutes on two quiet cores

Flights are replayed through Kafka, PostgreSQL, MLflow on S3, Alertmanager, two workers and a server
until a baseline is learned and a canary is under way. One JSON line: how many expressions there
are, how many of them gave nothing (`empty`) or only NaN (`undefined`), and which; by how many workers a model
was shown at most, and which alerts about driftd itself fired, though nothing was wrong.
"""

import argparse
import json
import math
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from driftd_recorder.recorder import Recorder

from configs.grafana.expressions import Expression, expressions
from driftd.clock import wall_now
from driftd.demo.client import DaemonClient, PredictClient
from driftd.demo.flights import MODEL, STREAM_FROM, load_flights
from driftd.demo.live import prepare_champion
from driftd.demo.options import DAY_S
from driftd.demo.replayer import Replayer
from driftd.demo.schedule import Schedule
from stack.hook import Hook
from stack.play import WORKERS, prometheus_of, write_scrapes
from stack.prometheus import Prometheus
from stack.world import EXAMPLES, World

DASHBOARDS = Path(__file__).parents[1] / "configs" / "grafana" / "dashboards"
# A baseline needs 60 days; then another version of the same January enters a canary.
CANARY_FROM = datetime(2013, 4, 5, tzinfo=UTC).timestamp()
UNTIL = CANARY_FROM + 6 * DAY_S
TRAIN_S, SETTLE_S, STEP_S = 300.0, 20.0, 5
# What Grafana fills in: the interval is four scrapes at least, and here a scrape is a second.
VALUES = {"__rate_interval": "1m", "model": MODEL, "instance": ".*"}
POLICY = f"""\
model: {MODEL}
owner: delays
mode: auto
labels: {{arrive_within: 36h, maturity: 12h, positive: late}}
clock: {{pane: 1d, lateness: 5m}}
watch:
  drift: {{ignore: [weekday]}}
  rules:
    - {{metric: label_arrival, below: 70%, over: 1d}}
retrain: {{on: [{{schedule: "0 2 1 12 *"}}], trainer: tabular}}
canary:
  steps: [{{weight: 10%, shadow: 100%, for: 14d}}]
  judge:
    - {{metric: brier, worse_by_at_most: 0.01}}
    - {{metric: error_rate, roll_back_above: 1.2x, promote_below: 3x}}
  give_up_after: 30d
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one expression gave: ``series``, and how many of them have a number in them."""

    expression: Expression
    series: int
    numbers: int


class Asker:
    """Asks as Grafana does: over the time of the run, or as of its end."""

    def __init__(self, prometheus: Prometheus, began: float) -> None:
        self._url, self._began = prometheus.url, began

    def ask(self, expression: Expression) -> Answer:
        """Raises ``HTTPError`` with Prometheus' message for an expression that it refuses."""
        query = expression.filled(VALUES)
        if expression.instant:
            found = self._get("query", query=query)
            values = [[one["value"]] for one in found]
        else:
            found = self._get(
                "query_range",
                query=query,
                start=self._began,
                end=wall_now(),
                step=STEP_S,
            )
            values = [one["values"] for one in found]
        numbers = sum(any(not math.isnan(float(v)) for _, v in points) for points in values)
        return Answer(expression=expression, series=len(found), numbers=numbers)

    def most(self, query: str) -> float:
        """The largest value that any series of the query had during the run."""
        found = self._get("query", query=f"max(max_over_time(({query})[1h:1s]))")
        return float(found[0]["value"][1]) if found else 0.0

    def fired(self) -> list[str]:
        """The alerts about driftd itself that fired during the run."""
        query = 'group by (alertname) (last_over_time(ALERTS{alertstate="firing"}[1h]))'
        return sorted(one["metric"]["alertname"] for one in self._get("query", query=query))

    def _get(self, kind: str, **parameters: Any) -> list[dict[str, Any]]:
        asked = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._url}/api/v1/{kind}?{asked}", timeout=60) as answer:
            data = json.load(answer)["data"]
        found: list[dict[str, Any]] = data["result"]
        return [{"value": found}] if data["resultType"] == "scalar" else found


def replay(world: World, server: str) -> None:
    """Flights until a canary has been under way for some days."""
    children = world.children
    schedule = Schedule(
        load_flights(world.folder / "live" / "flights.feather"), STREAM_FROM, UNTIL, 0
    )
    daemon = DaemonClient(world.ports[WORKERS[0]], MODEL)
    client = PredictClient(int(server.rpartition(":")[2]))
    recorder = Recorder(world.kafka.bootstrap)
    asked: list[float] = []

    def on_day(at: float) -> bool:
        if at < CANARY_FROM or asked:
            return False
        asked.append(at)
        arguments = {"version": "2", "gate": "external"}
        return daemon.ask("canary", "benchmark", arguments, "benchmark-canary")

    def on_status(_status: object, progress: Any) -> None:
        day = datetime.fromtimestamp(progress.at, UTC).strftime("%d %B")
        print(f"\r{day}: {progress.events} events  ", end="", file=sys.stderr, flush=True)

    replayer = Replayer(
        schedule, client, daemon, recorder, model=MODEL, since=STREAM_FROM,
        on_status=on_status, on_day=on_day,
    )  # fmt: skip
    try:
        replayer.run(UNTIL)
    finally:
        print(file=sys.stderr)
        recorder.close()
        client.close()
        children.stop("challenger")


def start_all(world: World) -> tuple[str, Prometheus]:
    """Every service, both workers and the server; its address, and Prometheus."""
    world.start()
    world.put_policy(f"{MODEL}.yaml", POLICY)
    prepare_champion(world.folder / "live", world.mlflow.url)
    another_version(world)
    for worker in WORKERS:
        world.start_worker(worker, wait=False)
    for worker in WORKERS:
        world.wait_for_worker(worker)
    port = json.loads(world.start_server(MODEL).read_text())["port"]
    server = f"http://127.0.0.1:{port}"
    write_scrapes(world, server)
    prometheus = prometheus_of(world)
    prometheus.start()
    return server, prometheus


def another_version(world: World) -> None:
    """Version 2: the same January, another seed."""
    environment = {
        "MLFLOW_TRACKING_URI": world.mlflow.url,
        "DRIFTD_REGISTRY_NAME": MODEL,
        "DRIFTD_OP_ID": "benchmark-2",
        "DRIFTD_DATA": str((world.folder / "live" / "january").absolute()),
        "DRIFTD_SEED": "1",
        "OMP_NUM_THREADS": "1",
        **world.s3.client_environment,
    }
    command = [sys.executable, str(EXAMPLES / "flights_trainer.py")]
    world.children.start("challenger", command, environment)
    world.children.finish("challenger", TRAIN_S)


def answers(asker: Asker) -> Iterator[Answer]:
    """Ask every expression of every dashboard."""
    for file in sorted(DASHBOARDS.glob("*.json")):
        for expression in expressions(json.loads(file.read_text())):
            try:
                yield asker.ask(expression)
            except urllib.error.HTTPError as error:
                print(f"{expression.where}: {error.read().decode()}", file=sys.stderr)
                yield Answer(expression=expression, series=0, numbers=0)


def main() -> int:
    """Run it; 1 when an expression gave nothing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--dir", type=Path, help="keep the files of the run here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, Hook() as hook:
        world = World((options.dir or Path(scratch)).absolute(), webhook=hook.url, clock="event")
        try:
            began = wall_now()
            server, prometheus = start_all(world)
            replay(world, server)
            time.sleep(SETTLE_S)
            asker = Asker(prometheus, began)
            found = list(answers(asker))
            checks = {
                "workers_a_model": asker.most("count by (model) (driftd_paused)"),
                "alerts": asker.fired(),
            }
        finally:
            world.stop()
    result = {
        "expressions": len(found),
        "empty": sum(one.series == 0 for one in found),
        "undefined": sum(one.series > 0 and one.numbers == 0 for one in found),
        "nothing": [
            f"{one.expression.where}: {one.expression.text}" for one in found if not one.numbers
        ],
        "series": sum(one.series for one in found),
        **checks,
        "seconds": round(wall_now() - began),
    }
    print(json.dumps(result))
    return 1 if result["nothing"] else 0


if __name__ == "__main__":
    sys.exit(main())
