"""Alarms become incidents: one open at a time of each kind, which others join and quiet ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from agents.commands import Decided
from agents.ids import op_id
from agents.incidents import Change, Incident, IncidentChanged, Kind, State, StreamMoved
from agents.watching.streams import ARRIVAL
from policies.specs import Severity

# A stream is quiet below this share of its tolerance, and an incident ends after so many panes.
QUIET_BELOW = 0.8
QUIET_PANES = 6
BY = "watcher"

_RANK: Mapping[Severity, int] = {"info": 0, "warning": 1, "critical": 2}
_TITLES: Mapping[Kind, str] = {
    "data_fault": "Data fault",
    "input_drift": "Input drift",
    "operational": "Operational fault",
    "quality": "Quality fell",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One stream's evidence reached 1, or a rule was broken; what it belongs to and why."""

    moved: StreamMoved
    kind: Kind
    severity: Severity
    cause: str = ""


@dataclass(slots=True, kw_only=True)
class Journal:
    """The open incidents of a model while one event is handled, and what is told about them."""

    model: str
    at: float
    open: list[Incident]
    changes: list[IncidentChanged] = field(default_factory=list)
    decisions: list[Decided] = field(default_factory=list)

    def of(self, kind: Kind) -> Incident | None:
        """The open incident of a kind."""
        return next((incident for incident in self.open if incident.kind == kind), None)

    def holds(self, kind: Kind, stream: str, rule: str = "") -> bool:
        """Whether a stream or rule is a member of the open incident of a kind."""
        incident = self.of(kind)
        return incident is not None and any(
            (moved.stream, moved.rule) == (stream, rule) for moved in incident.streams
        )

    def members(self, kind: Kind) -> frozenset[str]:
        """The streams in the open incident of a kind."""
        incident = self.of(kind)
        return frozenset(moved.stream for moved in incident.streams) if incident else frozenset()

    def take(self, alarms: Sequence[Alarm]) -> None:
        """Group alarms: data faults first, since what they explain is no drift."""
        for alarm in sorted(map(self._weighed, alarms), key=lambda alarm: alarm.kind):
            moved = alarm.moved
            if self.holds(alarm.kind, moved.stream, moved.rule):
                continue
            if alarm.kind == "data_fault":
                self._leave("input_drift", moved.stream)
            elif alarm.kind == "input_drift" and self.holds("data_fault", moved.stream):
                continue
            incident = self.of(alarm.kind)
            if incident is None:
                self._begin(alarm)
            else:
                self._join(incident, alarm)

    def broken_inputs(self) -> list[tuple[float, float]]:
        """The spans of data faults that ended now by themselves: [onset, end). Labels that come
        late leave the inputs whole, and what people accepted is no fault."""
        return [
            (changed.incident.onset, self.at)
            for changed in self.changes
            if changed.incident.kind == "data_fault"
            and changed.incident.state == "resolved"
            and any(moved.stream != ARRIVAL for moved in changed.incident.streams)
        ]

    def raise_severity(self, kind: Kind, severity: Severity, why: str) -> None:
        """Make the open incident of a kind at least this severe, and tell it."""
        incident = self.of(kind)
        if incident is None or _RANK[incident.severity] >= _RANK[severity]:
            return
        self._replace(msgspec.structs.replace(incident, severity=severity), "raised", why)

    def age(self, levels: Mapping[tuple[str, str], float]) -> None:
        """A pane has passed. ``levels``: (stream, rule) -> effect / tolerance; NaN = not known.

        An unknown member neither ends the quiet nor adds to it.
        """
        for incident in tuple(self.open):
            known = [levels.get((moved.stream, moved.rule)) for moved in incident.streams]
            if any(level is not None and level >= QUIET_BELOW for level in known):
                quiet = 0
            elif any(level is None or level != level for level in known):  # noqa: PLR0124 - NaN
                continue
            else:
                quiet = incident.quiet + 1
            incident = self._keep(msgspec.structs.replace(incident, quiet=quiet))  # noqa: PLW2901
            if quiet >= QUIET_PANES:
                why = f"every stream stayed below {QUIET_BELOW:g} x its tolerance for {quiet} panes"
                self.close(incident, "resolved", why)

    def close(self, incident: Incident, state: State, why: str, by: str = BY) -> None:
        """End an incident and say why."""
        closed = msgspec.structs.replace(incident, state=state, closed=self.at)
        self.open = [i for i in self.open if i.incident_id != incident.incident_id]
        self._tell(closed, "closed", why, by)

    def note(self, what: str, why: str, evidence: Mapping[str, object], by: str = BY) -> None:
        """Write down a decision that concerns no single incident."""
        self.decisions.append(
            Decided(at=self.at, what=what, why=why, by=by, evidence=dict(evidence))
        )

    def _weighed(self, alarm: Alarm) -> Alarm:
        # Severity follows harm: drift is worth more than a note only while quality suffers.
        harmed = alarm.kind == "input_drift" and self.of("quality") is not None
        return replace(alarm, severity="warning") if harmed else alarm

    def _begin(self, alarm: Alarm) -> None:
        incident = Incident(
            incident_id=op_id(self.model, "incident", alarm.kind, self.at),
            model=self.model,
            kind=alarm.kind,
            severity=alarm.severity,
            onset=alarm.moved.since,
            opened=self.at,
            summary=_summary(self.model, alarm.kind, (alarm.moved,), alarm.cause),
            streams=(alarm.moved,),
            cause=alarm.cause,
        )
        self.open = sorted([*self.open, incident], key=lambda incident: incident.kind)
        self._tell(incident, "opened", _why(alarm))

    def _join(self, incident: Incident, alarm: Alarm) -> None:
        streams = (*incident.streams, alarm.moved)
        cause = "; ".join(filter(None, (incident.cause, alarm.cause)))
        joined = msgspec.structs.replace(
            incident,
            streams=streams,
            cause=cause,
            quiet=0,
            severity=max(incident.severity, alarm.severity, key=lambda severity: _RANK[severity]),
            summary=_summary(self.model, incident.kind, streams, cause),
        )
        self._replace(joined, "joined", _why(alarm))

    def _leave(self, kind: Kind, stream: str) -> None:
        incident = self.of(kind)
        if incident is None or not self.holds(kind, stream):
            return
        streams = tuple(moved for moved in incident.streams if moved.stream != stream)
        if not streams:
            self.close(incident, "resolved", f"{stream}, its only stream, is a data fault")
            return
        summary = _summary(self.model, kind, streams, incident.cause)
        left = msgspec.structs.replace(incident, streams=streams, summary=summary)
        self._replace(left, "left", f"{stream} is a data fault")

    def _keep(self, incident: Incident) -> Incident:
        self.open = [
            incident if old.incident_id == incident.incident_id else old for old in self.open
        ]
        return incident

    def _replace(self, incident: Incident, change: Change, why: str) -> None:
        self._tell(self._keep(incident), change, why)

    def _tell(self, incident: Incident, change: Change, why: str, by: str = BY) -> None:
        self.changes.append(IncidentChanged(change=change, incident=incident, at=self.at))
        newest = incident.streams[-1]
        self.decisions.append(
            Decided(
                at=self.at,
                # One of few words: what is decided is counted by it.
                what=f"incident {change}",
                why=f"{incident.summary}. {why}",
                by=by,
                incident_id=incident.incident_id,
                evidence={
                    "kind": incident.kind,
                    "severity": incident.severity,
                    "state": incident.state,
                    "onset": incident.onset,
                    "streams": [moved.stream for moved in incident.streams],
                    "effect": newest.effect,
                    "tolerance": newest.tolerance,
                    "evidence": newest.evidence,
                },
            )
        )


def _why(alarm: Alarm) -> str:
    return f"{alarm.moved.how}; {alarm.cause}" if alarm.cause else alarm.moved.how


def _summary(model: str, kind: Kind, streams: Sequence[StreamMoved], cause: str) -> str:
    names = list(dict.fromkeys(moved.stream for moved in streams))
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{_TITLES[kind]} in {model}: {cause or shown}"
