"""Incidents in, the alerts that are due now out: first at once, then again until they have ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from agents.incidents import Incident, Kind, State
from agents.watching.why.catalog import CAUSES
from policies.specs import ModelSpec

RESEND_S = 60.0
# How long an alert outlives its last sending, and how long its end is repeated: Alertmanager
# forgets a firing alert whose endsAt has passed, and a peer may have missed the first "resolved".
LIFE_S = 15 * 60.0

ALERT_NAMES: Mapping[Kind, str] = {
    "data_fault": "DriftdDataFault",
    "input_drift": "DriftdInputDrift",
    "operational": "DriftdOperational",
    "quality": "DriftdQuality",
}


# What people answered stands first in the notification of the end.
_ANSWERED: Mapping[State, str] = {
    "accepted": "Answered: accepted as the new normal.",
    "false_alarm": "Answered: a false alarm.",
}


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as Alertmanager's API v2 knows it; times are wall seconds. Identity = ``labels``."""

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: float
    ends_at: float
    link: str = ""


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What Alertmanager was last told under one set of labels; times are wall seconds."""

    incident: Incident
    started: float
    sent: float
    ended: float | None = None


class AlerterState(msgspec.Struct, frozen=True, kw_only=True):
    """``sendings``: ``kind/severity`` -> what is being said. One key is one set of labels, so that
    an old "resolved" can never put out a newer alert of the same labels."""

    format: int = 1
    sendings: dict[str, Sending] = {}

    @classmethod
    def new(cls) -> "AlerterState":
        """Nothing said yet."""
        return cls()

    def to_bytes(self) -> bytes:
        """As msgpack, with the format's number in it."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "AlerterState":
        """The same state again; raises ``msgspec.ValidationError`` on anything else."""
        return msgspec.msgpack.decode(data, type=cls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where people read on. ``{model}``, ``{incident}`` and ``{kind}`` are filled in."""

    report: str = ""
    runbook: str = ""

    def filled(self, template: str, incident: Incident) -> str:
        """The link for one incident; an empty template gives no link."""
        return (
            template.replace("{model}", incident.model)
            .replace("{incident}", incident.incident_id)
            .replace("{kind}", incident.kind)
        )


class Alerter:
    """Says what is due. Pure: the same incidents, state and time, the same alerts."""

    def __init__(
        self, spec: ModelSpec, *, resend_s: float = RESEND_S, links: Links | None = None
    ) -> None:
        self._spec = spec
        self._resend_s = resend_s
        self._links = links or Links()

    def alerts(
        self,
        incidents: Sequence[Incident],
        state: AlerterState,
        now_wall: float,
        opened_wall: Mapping[str, float] | None = None,
    ) -> tuple[AlerterState, tuple[Alert, ...]]:
        """The alerts to send now; the returned state must be stored before the next call.

        ``incidents``: all open ones; recently ended ones may stand among them. ``opened_wall``:
        incident id -> wall time of its opening where known, else the first call that saw it counts.
        """
        if self._spec.mode == "observe":
            incidents = ()
        started = {s.incident.incident_id: s.started for s in state.sendings.values()}
        started.update(opened_wall or {})
        newest = {incident.incident_id: incident for incident in incidents}
        firing = {_key(i): i for i in incidents if i.state == "open"}

        sendings: dict[str, Sending] = {}
        due: list[Alert] = []
        for key in sorted(state.sendings.keys() | firing.keys()):
            before = state.sendings.get(key)
            if key in firing:
                incident = firing[key]
                began = started.get(incident.incident_id)
                after: Sending | None = _fire(incident, before, began, now_wall)
            else:
                after = _end(before, newest, now_wall)
            if after is None:
                continue
            if self._is_due(before, after, now_wall):
                after = msgspec.structs.replace(after, sent=now_wall)
                due.append(self._alert(after, now_wall))
            sendings[key] = after
        return AlerterState(sendings=sendings), tuple(due)

    def _is_due(self, before: Sending | None, after: Sending, now_wall: float) -> bool:
        if before is None or before.incident.incident_id != after.incident.incident_id:
            return True
        if (before.ended is None) != (after.ended is None):
            return True
        if after.ended is None and self._annotations(before) != self._annotations(after):
            return True  # More streams, another cause: people should not read last minute's news.
        # A wall clock that was set back must not silence an alert until it has caught up.
        return not 0 <= now_wall - before.sent < self._resend_s

    def _annotations(self, sending: Sending) -> dict[str, str]:
        incident = sending.incident
        annotations = {
            "summary": incident.summary,
            "description": describe(incident),
            "onset": _iso(incident.onset),
            "streams": ", ".join(moved.stream for moved in incident.streams),
            "incident_id": incident.incident_id,
            "report_url": self._links.filled(self._links.report, incident),
            "runbook_url": self._links.filled(self._links.runbook, incident),
        }
        return {name: text for name, text in annotations.items() if text}

    def _alert(self, sending: Sending, now_wall: float) -> Alert:
        incident = sending.incident
        return Alert(
            labels={
                "alertname": ALERT_NAMES[incident.kind],
                "model": incident.model,
                "kind": incident.kind,
                "severity": _severity(sending),
                "owner": self._spec.owner or "none",
            },
            annotations=self._annotations(sending),
            starts_at=sending.started,
            ends_at=now_wall + LIFE_S if sending.ended is None else sending.ended,
            link=self._links.filled(self._links.report, incident),
        )


def describe(incident: Incident) -> str:
    """What moved, how, since when, and what it probably is: one sentence a stream."""
    lines = [moved.how or moved.stream for moved in incident.streams]
    if incident.cause:
        sure = f" ({incident.sure:.0%} sure)" if incident.sure else ""
        lines.insert(0, f"Probable cause: {incident.cause}{sure}.")
    known = CAUSES.get(incident.cause_kind)
    if known is not None and incident.state == "open":
        lines.append(f"Next: {known.then}")
    if incident.state in _ANSWERED:
        lines.insert(0, _ANSWERED[incident.state])
    return "\n".join(lines)


def _key(incident: Incident) -> str:
    return f"{incident.kind}/{incident.severity}"


def _severity(sending: Sending) -> str:
    return sending.incident.severity


def _fire(
    incident: Incident, before: Sending | None, started: float | None, now_wall: float
) -> Sending:
    known = before is not None and before.incident.incident_id == incident.incident_id
    return Sending(
        incident=incident,
        # startsAt must not move while an alert fires, else every restart looks like a new one.
        started=now_wall if started is None else min(started, now_wall),
        sent=before.sent if known and before is not None else now_wall,
    )


def _end(
    before: Sending | None, incidents: Mapping[str, Incident], now_wall: float
) -> Sending | None:
    """The end of what is no longer open, or None once it has been repeated for long enough."""
    if before is None:
        return None
    if before.ended is not None:
        return before if now_wall - before.ended < LIFE_S else None
    incident = before.incident
    newest = incidents.get(incident.incident_id)
    if newest is not None and newest.severity == incident.severity:
        incident = newest
    return Sending(incident=incident, started=before.started, sent=before.sent, ended=now_wall)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
