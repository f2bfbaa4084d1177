"""A month of flights through every real service, with two workers that share one store."""

import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from driftd_recorder.recorder import Recorder

from driftd.demo.children import ChildError
from driftd.demo.client import PredictClient
from driftd.demo.files import EXAMPLES
from driftd.demo.flights import MODEL, STREAM_FROM, load_flights
from driftd.demo.options import DAY_S
from driftd.demo.replayer import Progress, Replayer, Status
from driftd.demo.schedule import Schedule
from driftd.demo.setup import Ports, train_champion, wait_for_mlflow, write_january
from driftd.errors import DriftdError
from stack.hook import Hook
from stack.world import TOPICS, World
from tests.support.loop_outcome import read_topics
from tests.support.loop_world import Script
from tests.support.real_clients import AnyWorker
from tests.support.real_kills import WORKERS, RealKill, RealKiller
from tests.support.real_outcome import RealOutcome, select

UNTIL = datetime(2013, 2, 18, tzinfo=UTC).timestamp()
CHAMPION, BROKEN = "1", "2"
RETRAIN_FROM = STREAM_FROM + 6 * DAY_S
TRAIN_S, READY_S, RUN_S = 300.0, 240.0, 1_200.0
TOLD_MAX_S, RESEND_S = 60.0, 2.0
OPEN_COMMANDS = "SELECT op_id FROM outbox WHERE state IN ('new', 'running')"

POLICY = f"""\
model: {MODEL}
owner: delays
mode: auto
labels: {{arrive_within: 36h, maturity: 12h, positive: late}}
clock: {{pane: 1d, lateness: 5m}}
watch:
  drift: {{ignore: [weekday]}}
  rules:
    - {{metric: request_rate, below: 0.009, over: 1d}}     # two weekends have too few flights
    - {{metric: label_arrival, below: 70%, over: 1d}}      # the blizzard of 8-9 February
retrain:
  limits: {{cooldown: 2d, budget: 3 per 30d, attempts: 2}}
  data: {{window: 60d, holdout: 20%}}
  trainer: tabular
canary:
  steps: [{{weight: 10%, shadow: 100%, for: 1d}}, {{weight: 50%, shadow: 100%, for: 1d}}]
  judge: [{{metric: brier, worse_by_at_most: 0.05}}]
  give_up_after: 8d
promote: {{probation: 2d, reverse_shadow: 100%}}
"""


@dataclass(slots=True)
class RealScript(Script):
    """The same wishes; ends a run whose workers ended without being killed."""

    retrain_from: float = RETRAIN_FROM

    def on_status(self, status: Status | None, progress: Progress) -> None:
        """Look at every worker."""
        for name in WORKERS:
            code = self.children.running[name].poll()
            if code not in {None, -signal.SIGKILL}:
                raise ChildError(f"{name} ended by itself with {code}")
        if time.monotonic() - self.began > RUN_S:
            raise ChildError(f"the run did not end in {RUN_S:.0f} s: {progress}, {status}")


def play(world: World, hook: Hook, kills: Sequence[RealKill]) -> RealOutcome | str:
    """Start everything, replay the month, end the workers and the server; the services still run.
    Where it fails: why, with the ends of all logs."""
    try:
        world.start()
        world.settings = {"alertmanager": {"urls": [world.alertmanager.url], "resend": "2s"}}
        _fill_registry(world)
        world.put_policy(f"{MODEL}.yaml", POLICY)
        return _play(world, hook, RealKiller(world, kills))
    except DriftdError as error:
        tails = "\n".join(
            f"--- {file.stem}\n{world.children.log_tail(file.stem)}"
            for file in sorted(world.folder.glob("*.log"))
        )
        return f"{error}\n{tails}"


def _fill_registry(world: World) -> None:
    """January's champion is version 1; a broken one will be version 2."""
    children, folder = world.children, world.folder
    ports = Ports(mlflow=int(world.mlflow.url.rpartition(":")[2]), daemon=0)
    wait_for_mlflow(children, ports.mlflow)
    flights = load_flights(folder / "flights.feather")
    write_january(folder / "january", flights[flights["hour_ts"] < STREAM_FROM])
    train_champion(children, folder / "january", world.mlflow.url, seed=0)
    script = Path(__file__).with_name("inverted_version.py")
    command = [sys.executable, str(script), str(EXAMPLES), str(folder / "january")]
    environment = {"MLFLOW_TRACKING_URI": world.mlflow.url, "DRIFTD_REGISTRY_NAME": MODEL}
    # It is needed on the third day: until then the workers start beside it.
    children.start("broken", command, environment)


def _play(world: World, hook: Hook, killer: RealKiller) -> RealOutcome:
    schedule = Schedule(load_flights(world.folder / "flights.feather"), STREAM_FROM, UNTIL, seed=0)
    daemon, port = _start(world)
    world.children.finish("broken", TRAIN_S)
    world.children.stop("broken")
    server = PredictClient(port)
    killer.start()
    try:
        progress = _replay(world, schedule, server, daemon)
    finally:
        killer.stop()
        server.close()
    store_url = world.postgres.url("driftd", driver="")
    _wait_until_told(hook, store_url)
    exits = {name: _end(world, name) for name in (*WORKERS, "server")}
    ends, records = read_topics(world.kafka.bootstrap, TOPICS)
    return RealOutcome(
        folder=world.folder,
        ends=ends,
        predictions=records["predictions"],
        labels=records["labels"],
        traffic=records["driftd.traffic"],
        failed_requests=progress.failed_requests,
        asked=len(schedule.scores),
        unanswered=int(np.isnan(schedule.scores).sum()),
        killed=tuple(one.name for one in killer.done if one.hit),
        missed=tuple(one.name for one in killer.done if not one.hit),
        store_url=store_url,
        registry_url=world.postgres.url("mlflow", driver=""),
        told=hook.alerts(),
        kills=tuple(killer.done),
        exits=exits,
    )


def _start(world: World) -> tuple[AnyWorker, int]:
    """Both workers and the server; the client of the workers and the server's port."""
    for name in WORKERS:
        world.start_worker(name, wait=False)
    ready = world.start_server(MODEL, wait=False)
    daemon = AnyWorker([world.ports[name] for name in WORKERS], MODEL)

    def knows() -> bool:
        status = daemon.status()
        return status is not None and bool(status["champion"]) and not status["busy"]

    children = world.children
    for name in WORKERS:
        children.wait_until(name, lambda name=name: world.is_ready(name), READY_S)  # type: ignore[misc]
    children.wait_until("server", ready.exists, READY_S)
    children.wait_until(WORKERS[0], knows, READY_S)
    return daemon, int(msgspec.json.decode(ready.read_bytes())["port"])


def _replay(world: World, schedule: Schedule, server: PredictClient, daemon: AnyWorker) -> Progress:
    script = RealScript(daemon, world.children)
    recorder = Recorder(world.kafka.bootstrap)
    replayer = Replayer(
        schedule,
        server,
        daemon,
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


def _wait_until_told(hook: Hook, store_url: str) -> None:
    """Until each beginning and each end has come and no command is left, and then so long that a
    repetition would be seen."""
    rows = select(store_url, "SELECT incident_id, state FROM incident")
    wanted = {(incident, "firing") for incident, _ in rows}
    wanted |= {(incident, "resolved") for incident, state in rows if state != "open"}
    deadline = time.monotonic() + TOLD_MAX_S
    while time.monotonic() < deadline:
        told = {(one.annotations["incident_id"], one.status) for one in hook.alerts()}
        if wanted <= told and not select(store_url, OPEN_COMMANDS):
            break
        time.sleep(0.1)
    time.sleep(2 * RESEND_S)


def _end(world: World, name: str) -> int:
    process = world.children.running[name]
    world.children.stop(name)
    return process.returncode
