"""Builds the parts from the settings and connects them: the only module that knows them all."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog
import uvicorn
from aiokafka import AIOKafkaProducer
from prometheus_client import generate_latest

from driftd.clients.alertmanager import AlertmanagerClient
from driftd.clients.registry import Registry
from driftd.clock import steady_now
from driftd.console.api import Desk, make_api
from driftd.console.collector import StoreCollector
from driftd.console.listening import token_of
from driftd.control.alerts import Alerts, links_of
from driftd.control.doorbell import Bell, Doorbell, Ownership, make_app
from driftd.control.executor import Executor
from driftd.control.handlers import World, handlers
from driftd.control.limits import FleetLimits
from driftd.control.policies import PolicyBook
from driftd.control.policy_watch import PolicyWatch
from driftd.control.reconcile import Reconcile
from driftd.control.service import Control
from driftd.control.stepper import Stepper
from driftd.control.training import training_handlers
from driftd.data.archive import Archive
from driftd.ingest.service import Ingest
from driftd.kafka import aiokafka_options, faust_options
from driftd.routers.catalog import build_routers
from driftd.settings import Settings
from driftd.store.store import Store, open_store
from driftd.telemetry import Metrics
from driftd.trainers.catalog import build_trainers
from driftd.yamlfile import Located

log = structlog.get_logger()

# Runs until its argument is set.
Service = Callable[[asyncio.Event], Coroutine[Any, Any, None]]

STALLED_AFTER_S = 120.0
STOP_S = 3


@dataclass(slots=True, kw_only=True)
class Daemon:
    """The parts of one worker process. ``services`` run until the first of them ends or a signal
    comes; one that ends by itself has failed and takes the process with it."""

    settings: Settings
    api: str
    store: Store
    book: PolicyBook
    metrics: Metrics
    bell: Bell
    ownership: Ownership
    control: Control
    ingest: Ingest
    app: Any
    producer: AIOKafkaProducer
    alertmanager: AlertmanagerClient
    services: dict[str, Service] = field(default_factory=dict)

    def wrong(self) -> tuple[str, ...]:
        """What keeps this worker from doing its work; empty when nothing does."""
        wrong = []
        silent = steady_now() - self.control.last_step
        if silent > STALLED_AFTER_S:
            wrong.append(f"the control loop has not come round for {silent:.0f} s")
        if self.ingest.stalled_s > STALLED_AFTER_S:
            wrong.append(f"ingest has made no progress for {self.ingest.stalled_s:.0f} s")
        if self.app.crashed:
            # What it owned others may own by now; only its group knows.
            wrong.append("the Faust app has crashed")
        return tuple(wrong)

    def not_ready(self) -> tuple[str, ...]:
        """What is missing before this worker takes part."""
        wrong = list(self.wrong())
        if not self.ownership.changed.is_set():
            wrong.append("no partitions of the control topic are assigned yet")
        if not self.ingest.owning:
            wrong.append("no source partitions are owned yet")
        return tuple(wrong)


def build(settings: Settings, listening: socket.socket) -> Daemon:
    """All parts of one worker, connected. Call it inside the event loop that runs them.

    ``listening``: where the API answers.
    """
    metrics, doorbell = Metrics(), Doorbell()
    ownership = Ownership(settings.topics.control, settings.topics.control_partitions)
    store = open_store(settings.store)
    producer = AIOKafkaProducer(
        **aiokafka_options(settings.kafka), enable_idempotence=True, acks="all"
    )
    bell = _bell(settings, doorbell, ownership, producer)
    # Publications come from worker threads.
    book = PolicyBook(store, settings.platform(), on_published=_threadsafe(bell))
    told = settings.alertmanager
    alertmanager = AlertmanagerClient(told.urls, access=told)
    alerts = Alerts(alertmanager, metrics, owns=ownership.owns)
    world = _world(settings, store, book, producer)
    ingest = Ingest(
        settings, store, book.specs, metrics, on_flushed=lambda models: bell.ring(*models)
    )
    executor = _executor(settings, world, metrics, bell, ingest)
    control = Control(
        _stepper(settings, world, book, metrics, listening.getsockname()[1]),
        executor,
        doorbell,
        ownership,
        models=lambda: tuple(book.specs()),
        on_alerts=alerts.put,
        metrics=metrics,
    )
    reconcile = Reconcile(store, world.registry, world.routers, book.specs, ownership, doorbell)
    daemon = Daemon(
        settings=settings,
        store=store,
        book=book,
        metrics=metrics,
        bell=bell,
        ownership=ownership,
        control=control,
        ingest=ingest,
        api="http://{}:{}".format(*listening.getsockname()[:2]),
        app=_app(settings, ownership, control),
        producer=producer,
        alertmanager=alertmanager,
    )
    daemon.services = {
        "policies": _until(_policy_watch(settings, book, metrics).run),
        "ingest": ingest.run,
        "control": control.run,
        "executor": executor.run,
        "reconcile": _until(reconcile.run),
        "alerts": alerts.run,
        "api": _api(daemon, listening),
    }
    return daemon


def _app(settings: Settings, ownership: Ownership, control: Control) -> Any:
    kafka, folder = faust_options(settings.kafka), str(settings.work / "faust")
    return make_app(settings, ownership, control.look, kafka, folder)


def _executor(
    settings: Settings, world: World, metrics: Metrics, bell: Bell, ingest: Ingest
) -> Executor:
    def ended(model: str) -> None:
        # A new profile or an open rollout changes how events are counted.
        ingest.refresh_policies()
        bell.ring(model)

    known = {**handlers(world), **training_handlers(world)}
    bar = FleetLimits(world.store, settings.limits).bar
    return Executor(world.store, known, _worker(), metrics, ended, bar=bar)


def _policy_watch(settings: Settings, book: PolicyBook, metrics: Metrics) -> PolicyWatch:
    def refused(file: str, mistakes: tuple[Located, ...]) -> None:
        book.refuse(file, mistakes)
        metrics.policy_refused.labels(file=file).inc()

    return PolicyWatch(
        settings.policies,
        publish=book.publish,
        on_refused=refused,
        platform=settings.platform(),
    )


def _world(settings: Settings, store: Store, book: PolicyBook, producer: AIOKafkaProducer) -> World:
    async def publish(key: bytes, value: bytes) -> None:
        await producer.send_and_wait(settings.topics.decisions, value, key=key)

    return World(
        store=store,
        archive=Archive(settings.archive),
        registry=Registry(settings.mlflow.tracking_uri, settings.mlflow.deadline_s),
        trainers=build_trainers(settings),
        routers=build_routers(settings),
        work=settings.work,
        spec=book.spec,
        publish=publish,
    )


def _stepper(
    settings: Settings, world: World, book: PolicyBook, metrics: Metrics, port: int
) -> Stepper:
    return Stepper(
        world.store,
        book,
        world.archive,
        metrics,
        event_clock=settings.clock == "event",
        links=links_of(settings.http, settings.alertmanager, port),
        resend_s=settings.alertmanager.resend_s,
        worker=_worker(),
    )


def _bell(
    settings: Settings, doorbell: Doorbell, ownership: Ownership, producer: AIOKafkaProducer
) -> Bell:
    async def send(partition: int, key: bytes) -> None:
        await producer.send(settings.topics.control, b"look", key=key, partition=partition)

    return Bell(doorbell, ownership, send)


def _threadsafe(bell: Bell) -> Callable[[str], None]:
    loop = asyncio.get_running_loop()

    def ring(model: str) -> None:
        loop.call_soon_threadsafe(bell.ring, model)

    return ring


def _until(run: Callable[[], Coroutine[Any, Any, None]]) -> Service:
    """A service that knows no stop of its own: it is cancelled."""

    async def until(stop: asyncio.Event) -> None:
        running = asyncio.ensure_future(run())
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not running.done():
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            return
        await running

    return until


def _worker() -> str:
    return f"{os.uname().nodename}-{os.getpid()}"


def _api(daemon: Daemon, listening: socket.socket) -> Service:
    collector = StoreCollector(daemon.store, daemon.book.specs, daemon.ownership.owns)
    daemon.metrics.registry.register(collector)
    desk = Desk(
        store=daemon.store,
        specs=daemon.book.specs,
        publish=daemon.book.publish_text,
        ring=_threadsafe(daemon.bell),
        health=daemon.wrong,
        ready=daemon.not_ready,
        scrape=lambda: generate_latest(daemon.metrics.registry),
        token=token_of(daemon.settings.http),
    )
    server = uvicorn.Server(
        uvicorn.Config(
            make_api(desk), log_config=None, access_log=False, timeout_graceful_shutdown=STOP_S
        )
    )
    # Signals are the daemon's: it stops all services together.
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]

    async def run(stop: asyncio.Event) -> None:
        serving = asyncio.create_task(server._serve([listening]))  # noqa: SLF001 - serve() takes the signals
        await asyncio.wait(
            [serving, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        server.should_exit = True
        await serving

    return run
