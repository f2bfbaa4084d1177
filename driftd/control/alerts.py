"""Alerts that are due, sent to Alertmanager where there is one, and always told in the log."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from agents.alerter import Alert, Links
from driftd.clients.alertmanager import AlertmanagerClient, Delivery
from driftd.clock import steady_now, wall_now
from driftd.errors import OutsideError
from driftd.sections import AlertmanagerSettings, HttpSettings
from driftd.telemetry import Complaints, Metrics

log = structlog.get_logger()

WAITING_MAX = 1_000
TOLD_MAX = 1_000
TOLD = {"firing": "alert fires", "resolved": "alert ends"}
# How soon an end that no Alertmanager took is said again.
AGAIN_S = 15.0
POLL_S = 1.0
RUNBOOKS = "docs/runbooks"
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


class Alerts:
    """A bounded queue in front of Alertmanager: a slow one must not hold up the control loop.

    What burns is repeated each minute by the control loop, so that a beginning that was missed is
    not kept here. An end is repeated for a quarter of an hour only: one that no Alertmanager took
    is kept until one does, else whoever was woken would wait for it for ever. ``owns``: whether a
    model is still ours; of another worker's model nothing may be said, since an old end that comes
    late would put out that worker's new alert.
    """

    def __init__(
        self,
        client: AlertmanagerClient,
        metrics: Metrics,
        *,
        owns: Callable[[str], bool] = lambda _model: True,
        again_s: float = AGAIN_S,
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._owns = owns
        self._again_s = again_s
        self._complaints = Complaints(log)
        self._queue: asyncio.Queue[Alert] = asyncio.Queue(WAITING_MAX)
        self._told: dict[str, str] = {}
        self._missed: dict[tuple[str, ...], Alert] = {}
        self._tried = 0.0
        self._away: set[str] = set()

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
            batch = []
            with contextlib.suppress(TimeoutError):
                batch.append(await asyncio.wait_for(self._queue.get(), POLL_S))
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            batch = [*self._again({_identity(alert) for alert in batch}), *batch]
            if batch:
                await self._send(batch)

    def _again(self, said_anew: set[tuple[str, ...]]) -> list[Alert]:
        """The ends that nobody took, once in a while; what is ``said_anew`` replaces the old."""
        kept = self._missed.items()
        self._missed = {
            key: one for key, one in kept if key not in said_anew and self._is_ours(one)
        }
        if steady_now() - self._tried < self._again_s:
            return []
        return list(self._missed.values())

    def _is_ours(self, alert: Alert) -> bool:
        return self._owns(alert.labels["model"])

    async def _send(self, batch: list[Alert]) -> None:
        self._tried = steady_now()
        try:
            delivery = await self._client.send(batch)
        except OutsideError as error:
            self._metrics.alerts_sent.labels(outcome="failed").inc(len(batch))
            self._metrics.missed("alertmanager")
            self._complaints.say("all", "miss alerts", alerts=len(batch), why=str(error))
            self._keep_ends(batch)
            return
        for alert in batch:
            self._missed.pop(_identity(alert), None)
        self._complaints.over("all")
        self._count(delivery, len(batch))

    def _keep_ends(self, batch: list[Alert]) -> None:
        for alert in batch:
            # The newest word on these labels is the one that counts.
            self._missed.pop(_identity(alert), None)
            if _has_ended(alert) and self._is_ours(alert):
                self._missed[_identity(alert)] = alert
        while len(self._missed) > WAITING_MAX:
            self._missed.pop(next(iter(self._missed)))

    def _count(self, delivery: Delivery, alerts: int) -> None:
        if delivery.taken:
            outcome = "partial" if delivery.failures else "sent"
            self._metrics.alerts_sent.labels(outcome=outcome).inc(alerts)
            self._metrics.reached("alertmanager")
        away = {failure.url for failure in delivery.failures}
        for failure in delivery.failures:
            self._complaints.say(
                failure.url, "miss one alertmanager", url=failure.url, why=str(failure.error)
            )
        for url in sorted(self._away - away):
            self._complaints.over(url)
            log.info("find alertmanager again", url=url)
        self._away = away

    def _tell(self, alert: Alert) -> None:
        # Each beginning and each end is told once in the log; Alertmanager hears of it every minute.
        incident = alert.annotations.get("incident_id", "")
        state = "resolved" if _has_ended(alert) else "firing"
        if self._told.get(incident) == state:
            return
        self._told[incident] = state
        while len(self._told) > TOLD_MAX:
            self._told.pop(next(iter(self._told)))
        log.warning(TOLD[state], **alert.labels, summary=alert.annotations.get("summary", ""))


def links_of(http: HttpSettings, alertmanager: AlertmanagerSettings, port: int) -> Links:
    """Where an alert's links lead. ``port``: where the API really listens.

    Without ``http.public_url`` they lead to the address that is listened on, and nowhere where
    that is every address of the machine. Runbooks without a URL are named by their file.
    """
    host = f"[{http.host}]" if ":" in http.host else http.host
    listening = "" if http.host in EVERYWHERE else f"http://{host}:{port}"
    base = (http.public_url or listening).rstrip("/")
    runbooks = (alertmanager.runbook_url or RUNBOOKS).rstrip("/")
    return Links(
        report=f"{base}/api/models/{{model}}/report#incident-{{incident}}" if base else "",
        runbook=runbooks if "{kind}" in runbooks else f"{runbooks}/{{kind}}.md",
    )


def _has_ended(alert: Alert) -> bool:
    return alert.ends_at <= wall_now()


def _identity(alert: Alert) -> tuple[str, ...]:
    return tuple(text for pair in sorted(alert.labels.items()) for text in pair)
