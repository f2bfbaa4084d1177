"""The whole loop on a month of flights: the demo's own parts, with a policy of short spans."""

import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from driftd_recorder.recorder import Recorder

from driftd.demo.broker import EmbeddedBroker, start_broker
from driftd.demo.children import ChildError, Children, free_port
from driftd.demo.client import DaemonClient, PredictClient
from driftd.demo.files import EXAMPLES, write_files
from driftd.demo.flights import MODEL, STREAM_FROM, load_flights
from driftd.demo.options import DAY_S, TOPICS
from driftd.demo.replayer import Progress, Replayer, Status
from driftd.demo.schedule import Schedule
from driftd.demo.setup import (
    Ports,
    start_daemon,
    start_mlflow,
    start_server,
    train_champion,
    wait_for_mlflow,
    wait_until_served,
    write_january,
)
from driftd.errors import DriftdError
from tests.support.loop_kills import Kill, Killer
from tests.support.loop_outcome import Outcome, read_topics

UNTIL = datetime(2013, 2, 15, tzinfo=UTC).timestamp()
HAND_IN_FROM = STREAM_FROM + 2 * DAY_S
RETRAIN_FROM = STREAM_FROM + 9 * DAY_S
CHAMPION, BROKEN = "1", "2"
ATTEMPTS = 2
TRAIN_S = 300.0
STANDSTILL_S, RUN_S = 200.0, 600.0
"""A run that does not move (the replayer is told), or does not end, for so long has failed."""

POLICY = f"""\
model: {MODEL}
mode: auto
labels: {{arrive_within: 36h, maturity: 12h, positive: late}}
clock: {{pane: 1d, lateness: 5m}}
watch: {{drift: {{ignore: [weekday]}}}}
retrain:
  limits: {{cooldown: 2d, budget: 3 per 30d, attempts: {ATTEMPTS}}}
  data: {{window: 60d, holdout: 20%}}
  trainer: tabular
canary:
  steps: [{{weight: 10%, shadow: 100%, for: 3d}}, {{weight: 50%, shadow: 100%, for: 1d}}]
  judge: [{{metric: brier, worse_by_at_most: 0.05}}]
  give_up_after: 8d
promote: {{probation: 2d, reverse_shadow: 100%}}
"""


def prepare(folder: Path) -> Path:
    """A registry with January's champion (version 1) and a broken version 2, to be copied."""
    children = Children(folder)
    ports = Ports(mlflow=free_port(), daemon=0)
    try:
        start_mlflow(children, ports.mlflow)
        flights = load_flights(folder / "flights.feather")
        write_january(folder / "january", flights[flights["hour_ts"] < STREAM_FROM])
        wait_for_mlflow(children, ports.mlflow)
        train_champion(children, folder / "january", ports.tracking_uri, seed=0)
        script = Path(__file__).with_name("inverted_version.py")
        command = [sys.executable, str(script), str(EXAMPLES), str(folder / "january")]
        environment = {"MLFLOW_TRACKING_URI": ports.tracking_uri, "DRIFTD_REGISTRY_NAME": MODEL}
        children.start("broken", command, environment)
        children.finish("broken", TRAIN_S)
    finally:
        children.stop_all()
    return folder


@dataclass(slots=True)
class Script:
    """What people and pipelines ask for; told the days at which the replay stands still."""

    daemon: DaemonClient
    children: Children
    began: float = field(default_factory=time.monotonic)
    asked: set[str] = field(default_factory=set)
    retrain_from: float = RETRAIN_FROM

    def on_day(self, at: float) -> bool:
        """Whether the daemon was asked something on this day."""
        if at >= HAND_IN_FROM and "canary" not in self.asked:
            return self._ask("canary", {"version": BROKEN, "gate": "external"})
        if at >= self.retrain_from and "retrain" not in self.asked:
            return self._ask("retrain", {})
        return False

    def on_status(self, status: Status | None, progress: Progress) -> None:
        """Ends a run that takes too long, or whose daemon ended without being killed."""
        code = self.children.running["daemon"].poll()
        if code not in {None, -signal.SIGKILL}:
            raise ChildError(f"the daemon ended by itself with {code}")
        if time.monotonic() - self.began > RUN_S:
            raise ChildError(f"the run did not end in {RUN_S:.0f} s: {progress}, {status}")

    def _ask(self, verb: str, arguments: dict[str, str]) -> bool:
        pulse = self.daemon.pulse()
        if pulse is None or pulse["stage"] != "watching" or pulse["rollout"]:
            return False
        if self.daemon.ask(verb, "a test", arguments, f"test-{verb}"):
            self.asked.add(verb)
            return True
        return False


def play(prepared: Path, directory: Path, kills: Sequence[Kill] = ()) -> Outcome | str:
    """Replay the month; everything that was started is ended, whatever happens. Where it fails:
    why, with the ends of all logs."""
    children = Children(directory)
    brokers: list[EmbeddedBroker] = []
    try:
        return _play(prepared, children, brokers, kills)
    except DriftdError as error:
        tails = "\n".join(
            f"--- {file.stem}\n{children.log_tail(file.stem)}"
            for file in sorted(directory.glob("*.log"))
        )
        return f"{error}\n{tails}"
    finally:
        children.stop_all()
        for broker in brokers:
            broker.stop()


def _play(
    prepared: Path, children: Children, brokers: list[EmbeddedBroker], kills: Sequence[Kill]
) -> Outcome:
    directory = children.directory
    ports = Ports(mlflow=free_port(), daemon=free_port())
    shutil.copytree(prepared / "mlflow", directory / "mlflow")
    start_mlflow(children, ports.mlflow)
    broker = start_broker(TOPICS, directory)
    brokers.append(broker)
    settings = write_files(
        directory,
        bootstrap=broker.bootstrap,
        tracking_uri=ports.tracking_uri,
        port=ports.daemon,
        seed=0,
    )
    (directory / "policies" / f"{MODEL}.yaml").write_text(POLICY)
    schedule = Schedule(load_flights(prepared / "flights.feather"), STREAM_FROM, UNTIL, seed=0)
    wait_for_mlflow(children, ports.mlflow)
    start_daemon(children, settings)
    ready = start_server(children, settings)
    daemon = DaemonClient(ports.daemon, MODEL)
    server = PredictClient(wait_until_served(children, ready, daemon))
    killer = Killer(children, settings, kills)
    killer.start()
    try:
        progress = _replay(schedule, server, Script(daemon, children), broker)
    finally:
        killer.stop()
        server.close()
    ends, records = read_topics(broker.bootstrap)
    return Outcome(
        folder=directory,
        ends=ends,
        predictions=records["predictions"],
        labels=records["labels"],
        traffic=records["driftd.traffic"],
        failed_requests=progress.failed_requests,
        asked=len(schedule.scores),
        unanswered=int(np.isnan(schedule.scores).sum()),
        killed=tuple(killer.done),
        missed=tuple(killer.missed),
    )


def _replay(
    schedule: Schedule, server: PredictClient, script: Script, broker: EmbeddedBroker
) -> Progress:
    recorder = Recorder(broker.bootstrap)
    replayer = Replayer(
        schedule,
        server,
        script.daemon,
        recorder,
        model=MODEL,
        since=STREAM_FROM,
        on_status=script.on_status,
        on_day=script.on_day,
    )
    try:
        replayer.run(UNTIL)
    finally:
        recorder.close()
    return replayer.progress
