"""`make stack`: all real services, two workers, a server and live traffic, until Ctrl-C."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from driftd_recorder.recorder import Recorder
from rich.console import Console
from rich.table import Table

from driftd.demo.flights import MODEL
from driftd.demo.live import LiveTraffic, live_schedule, prepare_champion
from driftd.errors import DriftdError
from stack.hook import Hook
from stack.prometheus import Prometheus
from stack.world import World

RULES = Path(__file__).parents[1] / "configs" / "prometheus" / "rules"
MARKER = ".driftd-stack"
WORKERS = ("worker-1", "worker-2")
DAY_S = 60.0
SCRAPES = "prometheus.json"

# A day of flights goes by in a minute, so what takes days elsewhere takes minutes here.
POLICY = f"""\
model: {MODEL}
owner: delays
mode: auto
labels: {{arrive_within: 2m, maturity: 45s, positive: late}}
clock: {{pane: 1m, lateness: 5s, idle: 5s}}
watch:
  drift: {{ignore: [weekday]}}
  rules:
    - {{metric: brier_skill, below: 0, over: 14m}}
    - {{metric: label_arrival, below: 70%, over: 2m}}
    - {{metric: error_rate, above: 5%, over: 1m, severity: critical}}
retrain:
  on: [quality]
  needs: {{labels_since_onset: 500}}
  limits: {{cooldown: 30m, budget: 2 per 2h}}
  data: {{window: 30d, holdout: 20%}}
  trainer: tabular
canary:
  steps: [{{weight: 10%, shadow: 100%, for: 3m}}, {{weight: 50%, shadow: 100%, for: 2m}}]
  judge:
    - {{metric: brier, worse_by_at_most: 0.01}}
    - {{metric: error_rate, roll_back_above: 1.2x, promote_below: 3x}}
  give_up_after: 1h
promote: {{probation: 5m, reverse_shadow: 100%}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """Everything that runs. ``server`` is where requests are answered."""

    world: World
    hook: Hook
    prometheus: Prometheus
    traffic: LiveTraffic
    traffic_stop: threading.Event
    server: str

    def addresses(self) -> dict[str, str]:
        """What can be looked at."""
        world = self.world
        apis = {name: f"http://127.0.0.1:{world.ports[name]}" for name in WORKERS}
        return {
            "server": self.server,
            **apis,
            "report": f"{apis[WORKERS[0]]}/api/models/{MODEL}/report",
            "kafka": world.kafka.bootstrap,
            "postgres": world.store,
            "mlflow": world.mlflow.url,
            "alertmanager": world.alertmanager.url,
            "prometheus": self.prometheus.url,
        }


@contextmanager
def playing(folder: Path, *, day_s: float = DAY_S, policy: str = POLICY) -> Iterator[Play]:
    """The whole stack under live traffic; everything ends with the block."""
    with ExitStack() as stack:
        hook = stack.enter_context(Hook())
        world = World(folder, webhook=hook.url)
        stack.callback(world.stop)
        prometheus = prometheus_of(world)
        queries = {"answering": 'max(up{job="driftd-serve"})'}
        world.settings = {"prometheus": {"url": prometheus.url, "queries": queries}}
        world.start()
        world.put_policy(f"{MODEL}.yaml", policy)
        prepare_champion(folder / "live", world.mlflow.url)
        for worker in WORKERS:
            world.start_worker(worker, wait=False)
        for worker in WORKERS:
            world.wait_for_worker(worker)
        port = json.loads(world.start_server(MODEL).read_text())["port"]
        server = f"http://127.0.0.1:{port}"
        write_scrapes(world, server)
        prometheus.start()
        recorder = Recorder(world.kafka.bootstrap)
        stack.callback(recorder.close)
        schedule = live_schedule(folder / "live")
        traffic = LiveTraffic(schedule, server, recorder, day_s=day_s)
        stack.callback(traffic.close)
        stop = threading.Event()
        thread = threading.Thread(target=traffic.run, args=(stop,), name="traffic")
        thread.start()
        stack.callback(thread.join)
        stack.callback(stop.set)
        yield Play(
            world=world,
            hook=hook,
            prometheus=prometheus,
            traffic=traffic,
            traffic_stop=stop,
            server=server,
        )


def prometheus_of(world: World) -> Prometheus:
    """A Prometheus that has its address and is not started: first it has to know what to scrape."""
    return Prometheus(world.children, world.folder / "prometheus", world.folder / SCRAPES)


def write_scrapes(world: World, server: str) -> None:
    """Prometheus' configuration: driftd's own rules, every worker and the server each second."""
    workers = [f"127.0.0.1:{world.ports[name]}" for name in WORKERS]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES / "*.yml")],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [_host(world.alertmanager.url)]}]}]
        },
        "scrape_configs": [
            {"job_name": "driftd", "static_configs": [{"targets": workers}]},
            {"job_name": "driftd-serve", "static_configs": [{"targets": [_host(server)]}]},
        ],
    }
    (world.folder / SCRAPES).write_text(json.dumps(config))


def main(
    folder: Annotated[
        Path, typer.Option("--dir", help="Everything that runs keeps its files here.")
    ] = Path("stack-run"),
    day: Annotated[float, typer.Option(help="Seconds in which a day of flights goes by.")] = DAY_S,
    seconds: Annotated[float, typer.Option(help="End after so long; 0: with Ctrl-C.")] = 0.0,
) -> None:
    """Start every real service on this machine, with live traffic, and print where they are."""
    console = Console()
    _clear(folder)
    console.print("starting Kafka, PostgreSQL, S3, MLflow, Alertmanager, Prometheus, two workers")
    try:
        with playing(folder.absolute(), day_s=day) as play:
            console.print(_table(play.addresses()))
            console.print(f"A day of flights goes by in {day:g} s. Ctrl-C ends it all.")
            _watch(play, console, seconds)
    except KeyboardInterrupt:
        console.print("stopped")
    except DriftdError as error:
        console.print(f"the stack failed: {error}", style="red")
        raise typer.Exit(1) from error


def _watch(play: Play, console: Console, seconds: float) -> None:
    """Print what Alertmanager says, until the time is over or Ctrl-C."""
    told, over = 0, threading.Event()
    timer = threading.Timer(seconds, over.set) if seconds else None
    if timer is not None:
        timer.start()
    while not over.wait(1.0):
        for alert in play.hook.alerts()[told:]:
            told += 1
            summary = alert.annotations.get("summary", "")
            console.print(f"{alert.status}: {alert.labels.get('alertname')} {summary}")


def _table(addresses: dict[str, str]) -> Table:
    table = Table(show_header=False)
    for name, address in addresses.items():
        table.add_row(name, address)
    return table


def _clear(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise typer.BadParameter(
            f"{folder} is not empty and no earlier stack's: name another --dir"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()


def _host(url: str) -> str:
    return url.removeprefix("http://")


if __name__ == "__main__":
    typer.run(main)
