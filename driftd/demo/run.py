"""`driftd demo`: a year of real flights against a real broker, store, registry, daemon and server."""

import json
import shutil
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from driftd_recorder.recorder import Recorder
from rich.console import Console

from driftd.demo.broker import RETENTION_BYTES, EmbeddedBroker, start_broker
from driftd.demo.children import Children, free_port
from driftd.demo.client import DaemonClient, PredictClient
from driftd.demo.director import Director
from driftd.demo.files import write_files
from driftd.demo.flights import MODEL, load_flights, shuffled_labels
from driftd.demo.frozen import NAME as FROZEN
from driftd.demo.frozen import compare, start_frozen
from driftd.demo.killer import Killer
from driftd.demo.naive import naive_alerts
from driftd.demo.options import SOURCES, TOPICS, DemoOptions
from driftd.demo.pace import STRIDE_S, fits_retention
from driftd.demo.replayer import Replayer
from driftd.demo.report import write_report
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
from driftd.demo.summary import figures, records_in_topics, story
from driftd.demo.view import View
from driftd.errors import DriftdError, MistakeError
from driftd.store.store import open_store

__all__ = ["DemoOptions", "run_demo"]

EXIT_GOOD, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130
FROZEN_S = 120.0
MARKER = ".driftd-demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """Everything that runs while the flights are replayed."""

    children: Children
    schedule: Schedule
    january: pd.DataFrame
    broker: EmbeddedBroker
    ports: Ports
    daemon: DaemonClient
    server: PredictClient
    director: Director
    settings: Path


def run_demo(options: DemoOptions) -> int:
    """Run the whole demo; the process's exit code. Whatever happens, all it started is ended."""
    began = time.monotonic()
    # With --json the last line on standard output is the object; people read the other stream.
    view = View(Console(stderr=options.as_json))
    children = Children(options.directory)
    brokers: list[EmbeddedBroker] = []
    try:
        _clear(options.directory)
        stage = _set(options, children, brokers, view)
        result = _play(options, stage, view, began)
    except KeyboardInterrupt:
        view.say("stopped")
        return EXIT_INTERRUPTED
    except DriftdError as error:
        view.say(f"the demo failed: {error}")
        return EXIT_FAILED
    finally:
        children.stop_all()
        for broker in brokers:
            broker.stop()
    if options.as_json:
        sys.stdout.write(json.dumps(result) + "\n")
    return EXIT_GOOD


def _set(
    options: DemoOptions, children: Children, brokers: list[EmbeddedBroker], view: View
) -> _Stage:
    directory = options.directory
    ports = Ports(mlflow=free_port(), daemon=free_port())
    view.say("starting a broker, a registry and a store; training the champion of January")
    start_mlflow(children, ports.mlflow)
    broker = start_broker(TOPICS, directory)
    brokers.append(broker)
    settings = write_files(
        directory,
        bootstrap=broker.bootstrap,
        tracking_uri=ports.tracking_uri,
        port=ports.daemon,
        seed=options.seed,
    )
    flights_file = directory / "flights.feather"
    flights = load_flights(flights_file)
    if options.shuffle_labels:
        flights = shuffled_labels(flights, options.seed)
        flights.to_feather(flights_file)
    january = flights[flights["hour_ts"] < options.stream_from]
    write_january(directory / "january", january)
    schedule = Schedule(flights, options.stream_from, options.stream_until, options.seed)
    _check_retention(schedule)
    wait_for_mlflow(children, ports.mlflow)
    train_champion(children, directory / "january", ports.tracking_uri, options.seed)
    start_daemon(children, settings)
    ready = start_server(children, settings)
    daemon = DaemonClient(ports.daemon, MODEL)
    server = PredictClient(wait_until_served(children, ready, daemon))
    director = Director(
        options,
        children,
        schedule,
        daemon,
        flights=flights_file.absolute(),
        ports=ports,
    )
    return _Stage(
        children=children,
        schedule=schedule,
        january=january,
        broker=broker,
        ports=ports,
        daemon=daemon,
        server=server,
        director=director,
        settings=settings,
    )


def _play(options: DemoOptions, stage: _Stage, view: View, began: float) -> dict[str, Any]:
    recorder = Recorder(stage.broker.bootstrap)
    killer = Killer(options, stage.children, stage.settings)
    with view:
        replayer = Replayer(
            stage.schedule,
            stage.server,
            stage.daemon,
            recorder,
            model=MODEL,
            since=options.stream_from,
            on_status=view.show,
            on_day=stage.director.on_day,
        )
        killer.start()
        try:
            replayer.run(options.stream_until)
        finally:
            killer.finish()
    recorder.close()
    stage.server.close()
    view.say("scoring every flight, as received, with the frozen version 1")
    output = start_frozen(stage.children, stage.schedule, stage.ports.tracking_uri)
    naive: list[int] = []
    counting = threading.Thread(target=lambda: naive.append(_naive(stage)))
    counting.start()
    status = stage.daemon.status() or {}
    health = stage.server.health() or {}
    store = open_store(f"sqlite:///{(options.directory / 'driftd.db').absolute()}")
    told = story(store, health)
    counting.join()
    stage.children.finish(FROZEN, FROZEN_S)
    result = figures(
        told,
        compare(stage.schedule, output),
        in_topics=records_in_topics(stage.broker.bootstrap),
        naive_alerts=naive[0],
        failed_requests=replayer.progress.failed_requests,
        champion_version=str(status.get("champion", "")),
        seconds=time.monotonic() - began,
    )
    page = write_report(store, stage.settings, options, result, stage.director, stage.schedule)
    store.close()
    (options.directory / "figures.json").write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result.items():
        if name != "incidents":
            view.say(f"{name:>20}  {value}")
    view.say(f"{'report':>20}  {page}")
    return result


def _naive(stage: _Stage) -> int:
    received = stage.schedule.as_received()
    return naive_alerts(stage.january, received, stage.schedule.hour_ts)


def _check_retention(schedule: Schedule) -> None:
    # The embedded broker forgets what is older than 5 MB a partition: what the replay may be ahead
    # of the control loop has to fit well, and then no lag needs to be watched.
    days = int(STRIDE_S // 86_400) + 1
    records = schedule.largest_window(days)
    partitions = min(TOPICS[topic] for topic in SOURCES)
    if not fits_retention(records, partitions, RETENTION_BYTES):
        raise MistakeError(f"{days} days hold {records} records, too many for the embedded broker")


def _clear(directory: Path) -> None:
    if directory.exists() and any(directory.iterdir()) and not (directory / MARKER).exists():
        raise MistakeError(f"{directory} is not empty and no earlier demo's: name another --dir")
    flights = directory / "flights.feather"
    shutil.rmtree(directory, ignore_errors=True)
    flights.parent.mkdir(parents=True)
    (directory / MARKER).touch()
