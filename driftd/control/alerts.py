"""Alerts that are due, sent to Alertmanager where there is one, and always told in the log."""

import asyncio

import structlog

from agents.alerter import Alert
from driftd.clients.alertmanager import AlertmanagerClient
from driftd.clock import wall_now
from driftd.errors import OutsideError
from driftd.telemetry import Metrics

log = structlog.get_logger()

WAITING_MAX = 1_000
TOLD_MAX = 1_000
TOLD = {"firing": "alert fires", "resolved": "alert ends"}


class Alerts:
    """A bounded queue in front of Alertmanager: a slow one must not hold up the control loop.

    What is dropped or fails is sent again with the next minute's repetition, so nothing is kept.
    """

    def __init__(self, client: AlertmanagerClient, metrics: Metrics) -> None:
        self._client = client
        self._metrics = metrics
        self._queue: asyncio.Queue[Alert] = asyncio.Queue(WAITING_MAX)
        self._told: dict[str, str] = {}

    def put(self, alerts: tuple[Alert, ...]) -> None:
        """Take alerts that are due now."""
        for alert in alerts:
            self._tell(alert)
            try:
                self._queue.put_nowait(alert)
            except asyncio.QueueFull:
                self._metrics.alerts_sent.labels(outcome="dropped").inc()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until ``stop``; an Alertmanager that is away is told and tried again later."""
        while not stop.is_set():
            try:
                first = await asyncio.wait_for(self._queue.get(), 1.0)
            except TimeoutError:
                continue
            batch = [first]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._send(batch)

    async def _send(self, batch: list[Alert]) -> None:
        try:
            delivery = await self._client.send(batch)
        except OutsideError as error:
            self._metrics.alerts_sent.labels(outcome="failed").inc(len(batch))
            log.warning("miss alerts", alerts=len(batch), why=str(error))
            return
        if delivery.taken:
            self._metrics.alerts_sent.labels(outcome="sent").inc(len(batch))
        for failure in delivery.failures:
            log.warning("miss one alertmanager", url=failure.url, why=str(failure.error))

    def _tell(self, alert: Alert) -> None:
        # Each beginning and each end is told once in the log; Alertmanager hears of it every minute.
        incident = alert.annotations.get("incident_id", "")
        state = "firing" if alert.ends_at > wall_now() else "resolved"
        if self._told.get(incident) == state:
            return
        self._told[incident] = state
        while len(self._told) > TOLD_MAX:
            self._told.pop(next(iter(self._told)))
        log.warning(TOLD[state], **alert.labels, summary=alert.annotations.get("summary", ""))
