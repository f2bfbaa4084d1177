"""Builds the parts from the settings and connects them: the only module that knows them all."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any

from driftd.clients.alertmanager import AlertmanagerClient
from driftd.clients.registry import open_registry
from driftd.control.alerts import Alerts, links_of
from driftd.control.doorbell import Bell, Doorbell, Ownership, make_app
from driftd.control.executor import Executor
from driftd.control.handlers import World, handlers
from driftd.control.limits import FleetLimits
from driftd.control.link import KafkaLink
from driftd.control.policies import PolicyBook
from driftd.control.policy_watch import PolicyWatch
from driftd.control.queries import Queries
from driftd.control.reconcile import Reconcile
from driftd.control.retention import Retention
from driftd.control.service import Control
from driftd.control.stepper import Stepper
from driftd.control.training import training_handlers
from driftd.daemon import Daemon
from driftd.data.archive import Archive
from driftd.heartbeat import Heartbeat
from driftd.ingest.service import Ingest
from driftd.kafka import faust_options
from driftd.roles import Role
from driftd.routers.catalog import build_routers
from driftd.services import api_service, leaving, until
from driftd.settings import Settings
from driftd.store.database import Database
from driftd.store.store import Store
from driftd.telemetry import Metrics
from driftd.topics_watch import TopicsWatch
from driftd.trainers.catalog import build_trainers


def build(settings: Settings, role: Role, listening: socket.socket) -> Daemon:
    """All parts of one worker, connected; the store and the broker are not asked yet. Call it inside
    the event loop that runs them.

    ``listening``: where the API answers.
    """
    metrics, doorbell, worker = Metrics(), Doorbell(), worker_name()
    topics = settings.topics
    ownership = Ownership(topics.control, topics.control_partitions)
    store = Store(Database(settings.store))
    link = KafkaLink(settings.kafka, topics.control)
    bell = _bell(settings, doorbell, ownership, link)
    # Publications come from worker threads.
    book = PolicyBook(store, settings.platform(), on_published=_threadsafe(bell))
    ingest = _ingest(settings, store, book, metrics, bell) if role.ingests else None
    told = settings.alertmanager
    daemon = Daemon(
        settings=settings,
        role=role,
        worker=worker,
        store=store,
        book=book,
        policies=_policy_watch(settings, book, metrics),
        metrics=metrics,
        bell=bell,
        link=link,
        topics=TopicsWatch(settings),
        ownership=ownership,
        ingest=ingest,
        control=None,
        app=None,
        alertmanager=AlertmanagerClient(told.urls, access=told),
        api="http://{}:{}".format(*listening.getsockname()[:2]),
    )
    daemon.early = {
        "api": api_service(daemon, listening, _threadsafe(bell)),
        "heartbeat": Heartbeat(daemon).run,
        # Where a topic is missing the group is never joined, and that must be told.
        "topics": until(daemon.topics.run),
    }
    daemon.services = {
        "kafka": link.pulse,
        "policies": until(daemon.policies.run),
    }
    if ingest is not None:
        daemon.services["ingest"] = ingest.run
    if role.controls:
        _add_control(daemon, doorbell, listening.getsockname()[1])
    return daemon


def _add_control(daemon: Daemon, doorbell: Doorbell, port: int) -> None:
    """What steps models and makes their commands true."""
    settings, store, metrics = daemon.settings, daemon.store, daemon.metrics
    book, ownership = daemon.book, daemon.ownership
    alerts = Alerts(daemon.alertmanager, metrics, owns=ownership.owns)
    world = _world(settings, store, book, daemon.link)
    executor = _executor(daemon, world)
    daemon.control = Control(
        _stepper(settings, world, book, metrics, port),
        executor,
        doorbell,
        ownership,
        models=lambda: tuple(book.specs()),
        on_alerts=alerts.put,
        metrics=metrics,
    )
    daemon.app = _app(settings, ownership, daemon.control)
    reconcile = Reconcile(
        store, world.registry, world.routers, book.specs, ownership, doorbell, metrics
    )
    daemon.services |= {
        "faust": leaving(daemon.app),
        "control": daemon.control.run,
        "executor": executor.run,
        "reconcile": until(reconcile.run),
        "alerts": alerts.run,
        "queries": until(_queries(daemon).run),
        "retention": until(_retention(daemon, world).run),
    }


def _ingest(
    settings: Settings, store: Store, book: PolicyBook, metrics: Metrics, bell: Bell
) -> Ingest:
    def flushed(models: Iterable[str]) -> None:
        bell.ring(*models)

    return Ingest(settings, store, book.specs, metrics, on_flushed=flushed)


def _app(settings: Settings, ownership: Ownership, control: Control) -> Any:
    kafka, folder = faust_options(settings.kafka), str(settings.work / "faust")
    return make_app(settings, ownership, control.look, kafka, folder)


def _executor(daemon: Daemon, world: World) -> Executor:
    def ended(model: str) -> None:
        if daemon.ingest is not None:
            # A new profile or an open rollout changes how events are counted.
            daemon.ingest.refresh_policies()
        daemon.bell.ring(model)

    known = {**handlers(world), **training_handlers(world)}
    bar = FleetLimits(world.store, daemon.settings.limits).bar
    return Executor(world.store, known, daemon.worker, daemon.metrics, ended, bar=bar)


def _policy_watch(settings: Settings, book: PolicyBook, metrics: Metrics) -> PolicyWatch:
    def refused(file: str) -> None:
        metrics.policy_refused.labels(file=file).inc()

    return PolicyWatch(settings.policies, book, on_refused=refused, platform=settings.platform())


def _world(settings: Settings, store: Store, book: PolicyBook, link: KafkaLink) -> World:
    async def publish(key: bytes, value: bytes) -> None:
        await link.send_and_wait(settings.topics.decisions, value, key=key)

    return World(
        store=store,
        archive=Archive(settings.archive),
        registry=open_registry(settings.mlflow),
        trainers=build_trainers(settings),
        routers=build_routers(settings),
        work=settings.work,
        spec=book.spec,
        publish=publish,
        mlflow=settings.mlflow,
    )


def _retention(daemon: Daemon, world: World) -> Retention:
    return Retention(
        daemon.store, world.archive, daemon.settings.retention, daemon.metrics,
        specs=daemon.book.specs, worker=daemon.worker,
    )  # fmt: skip


def _queries(daemon: Daemon) -> Queries:
    settings = daemon.settings
    return Queries(
        settings.prometheus, daemon.store, daemon.metrics, specs=daemon.book.specs,
        owns=daemon.ownership.owns, ring=daemon.bell.ring, event_clock=settings.clock == "event",
    )  # fmt: skip


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
        worker=worker_name(),
    )


def _bell(settings: Settings, doorbell: Doorbell, ownership: Ownership, link: KafkaLink) -> Bell:
    async def send(partition: int, key: bytes) -> None:
        await link.send(settings.topics.control, b"look", key=key, partition=partition)

    return Bell(doorbell, ownership, send)


def _threadsafe(bell: Bell) -> Callable[[str], None]:
    loop = asyncio.get_running_loop()

    def ring(model: str) -> None:
        loop.call_soon_threadsafe(bell.ring, model)

    return ring


def worker_name() -> str:
    """This process among all workers of the store."""
    return f"{os.uname().nodename}-{os.getpid()}"
