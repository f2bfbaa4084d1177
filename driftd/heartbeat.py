"""Signs of life: what a worker tells of itself, to the store for the others and to Prometheus."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import structlog
from prometheus_client import Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from driftd.clock import wall_now
from driftd.daemon import Daemon
from driftd.errors import DriftdError, OutsideError
from driftd.telemetry import Complaints

log = structlog.get_logger()

BEAT_S = 5.0
# Killed workers stay visible for a while, then nobody asks for them any more.
REMEMBERED_S = 24 * 3600.0
LEAVE_S = 2.0


class Heartbeat:
    """Beats every few seconds until stopped, then takes its row away: who is missing was killed.

    It is also how the daemon knows whether the store answers, without asking at every look.
    """

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._started = wall_now()
        self._version = _version()
        self._complaints = Complaints(log)
        self._beating: asyncio.Task[None] | None = None
        self._tidied = False
        registry = daemon.metrics.registry
        info = Gauge(
            "driftd_worker_info", "1 for each worker", ["role", "version"], registry=registry
        )
        info.labels(daemon.role.value, self._version).set(1)
        self._models = Gauge(
            "driftd_owned_models", "Models that this worker steps", registry=registry
        )
        sources = Gauge(
            "driftd_source_partitions_owned",
            "Partitions of events that it reads",
            registry=registry,
        )
        sources.set_function(self._source_partitions)
        registry.register(_StaleFiles(lambda: daemon.policies.stale))

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; a store that is away is told and asked again. An empty one is left to the
        migration, which tells by itself what keeps it."""
        while not stop.is_set():
            if self._daemon.has_schema:
                await self._beat()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), BEAT_S)
        if not self._daemon.has_schema:
            return
        with contextlib.suppress(TimeoutError, OutsideError):
            async with asyncio.timeout(LEAVE_S):
                await asyncio.to_thread(self._daemon.store.workers.leave, self._daemon.worker)

    async def _beat(self) -> None:
        # A store that neither answers nor refuses holds the thread: one of them is enough.
        beating = self._beating or asyncio.create_task(asyncio.to_thread(self._tell))
        done, _ = await asyncio.wait([beating], timeout=BEAT_S)
        self._beating = None if done else beating
        if not done:
            self._is_away(f"it has said nothing for {BEAT_S:g} s")
            return
        try:
            beating.result()
        except DriftdError as error:
            self._is_away(str(error))
        else:
            self._daemon.store_trouble = ""
            self._complaints.over("store")

    def _is_away(self, why: str) -> None:
        self._daemon.store_is_away(why)
        self._complaints.say("store", "wait for store", why=why)

    def _tell(self) -> None:
        daemon, store = self._daemon, self._daemon.store
        models = self._owned_models()
        self._models.set(len(models))
        daemon.clock_ahead_s = store.workers.ahead_s()
        body: dict[str, Any] = {
            "version": self._version,
            "api": daemon.api,
            "models": models,
            "control_partitions": sorted(daemon.ownership.owned),
            "source_partitions": self._source_partitions(),
            "lag": daemon.ingest.lag if daemon.ingest is not None else 0,
            "missing": daemon.missing(),
            "notices": daemon.notices(),
        }
        store.workers.beat(daemon.worker, daemon.role.value, self._started, body)
        if not self._tidied:
            store.workers.forget(wall_now() - REMEMBERED_S)
            self._tidied = True
        self._look_for_others()

    def _source_partitions(self) -> int:
        return self._daemon.ingest.owned if self._daemon.ingest is not None else 0

    def _owned_models(self) -> list[str]:
        owned = self._daemon.ownership.owns
        return [model for model in sorted(self._daemon.book.heads()) if owned(model)]

    def _look_for_others(self) -> None:
        daemon = self._daemon
        if not daemon.settings.store.startswith("sqlite"):
            return
        others = set(daemon.store.workers.alive(self._started)) - {daemon.worker}
        if others:
            self._complaints.say(
                "shared", "share SQLite", with_workers=sorted(others),
                todo="SQLite is for one machine; for workers on several use PostgreSQL",
            )  # fmt: skip


class _StaleFiles(Collector):
    """One series for each file that is old; gone as soon as it is not."""

    def __init__(self, files: Callable[[], Iterable[str]]) -> None:
        self._files = files

    def collect(self) -> Iterable[Metric]:
        """As of now."""
        family = GaugeMetricFamily(
            "driftd_policy_stale", "1 for a file that says something else than what is in force",
            labels=["file"],
        )  # fmt: skip
        for file in sorted(self._files()):
            family.add_metric([file], 1)
        return [family]


def _version() -> str:
    try:
        return version("driftd")
    except PackageNotFoundError:
        # Run from a checkout that is not installed.
        return "source"
