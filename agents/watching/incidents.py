"""Alarms become incidents: one open at a time of each kind, which others join and quiet ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from agents.commands import Decided
from agents.ids import op_id
from agents.incidents import Change, Incident, IncidentChanged, Kind, State, StreamMoved
from agents.watching.naming import LABELS, cause_of, caused, ruled, summary
from agents.watching.streams import ARRIVAL
from agents.watching.why.contract import Explained
from policies.specs import Severity

# A stream is quiet below this share of its tolerance, and an incident ends after so many panes.
QUIET_BELOW = 0.8
QUIET_PANES = 6
# A cause that was named gives way to one that is surer by this much.
SURER = 0.05
BY = "watcher"
# Faults of the labels leave the inputs whole.
ABOUT_LABELS = frozenset({ARRIVAL, LABELS})

_RANK: Mapping[Severity, int] = {"info": 0, "warning": 1, "critical": 2}
_SEVERITY: Mapping[str, Severity] = {"data_fault": "warning", "input_drift": "info"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One stream's evidence reached 1, or a rule was broken; what it belongs to and how it moved."""

    moved: StreamMoved
    kind: Kind
    severity: Severity


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

    def take(self, alarms: Sequence[Alarm], causes: Mapping[str, Explained] | None = None) -> None:
        """Group alarms: data faults first, since what they explain is no drift.

        ``causes``: stream -> what explains it; it decides the kind of a stream's alarm.
        """
        causes = causes or {}
        named = [_named(alarm, causes.get(alarm.moved.stream)) for alarm in alarms]
        for alarm in sorted(map(self._weighed, named), key=lambda alarm: alarm.kind):
            moved = alarm.moved
            if self.holds(alarm.kind, moved.stream, moved.rule):
                continue
            if alarm.kind == "data_fault":
                self._leave("input_drift", moved.stream, "is a data fault")
            elif alarm.kind == "input_drift" and self.holds("data_fault", moved.stream):
                continue
            incident = self.of(alarm.kind)
            if incident is None:
                self._begin(alarm)
            else:
                self._join(incident, alarm, causes.get(moved.stream))

    def revise(self, causes: Mapping[str, Explained], young_s: float) -> None:
        """Members whose cause is known only now, or better: tell it, once. ``young_s``: up to this
        age of an incident a cause that was named may still be replaced by a surer one."""
        for incident in tuple(self.open):
            young = self.at - incident.opened <= young_s
            for moved in incident.streams:
                found = causes.get(moved.stream)
                if found is None or moved.rule or found.cause == moved.cause:
                    continue
                if not moved.cause_kind or (young and found.sure > moved.sure + SURER):
                    self._revise(moved, incident.kind, found)

    def broken_inputs(self) -> list[tuple[float, float]]:
        """The spans of data faults that ended now by themselves: [onset, end). Labels that come
        late leave the inputs whole, and what people accepted is no fault."""
        return [
            (changed.incident.onset, self.at)
            for changed in self.changes
            if changed.incident.kind == "data_fault"
            and changed.incident.state == "resolved"
            and any(moved.stream not in ABOUT_LABELS for moved in changed.incident.streams)
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
            summary="",
        )
        incident = self._with(incident, (alarm.moved,))
        self.open = sorted([*self.open, incident], key=lambda incident: incident.kind)
        self._tell(incident, "opened", _why(alarm))

    def _join(self, incident: Incident, alarm: Alarm, found: Explained | None) -> None:
        # What explains several streams is told anew with each of them: of all in the same words.
        known = tuple(
            caused(moved, found)
            if found is not None
            and moved.stream in found.streams
            and moved.cause_kind == found.cause_kind
            else moved
            for moved in incident.streams
        )
        joined = msgspec.structs.replace(
            self._with(incident, (*known, alarm.moved)),
            quiet=0,
            severity=max(incident.severity, alarm.severity, key=lambda severity: _RANK[severity]),
        )
        self._replace(joined, "joined", _why(alarm))

    def _revise(self, moved: StreamMoved, kind: Kind, found: Explained) -> None:
        better = caused(moved, found)
        incident = self.of(kind)
        if incident is None:
            return
        if found.kind == kind:
            streams = tuple(better if old is moved else old for old in incident.streams)
            self._replace(self._with(incident, streams), "revised", f"{better.cause} is likelier")
            return
        self._leave(kind, moved.stream, f"is explained: {better.cause}")
        alarm = self._weighed(Alarm(moved=better, kind=found.kind, severity=_SEVERITY[found.kind]))
        other = self.of(found.kind)
        if other is None:
            self._begin(alarm)
        else:
            self._join(other, alarm, found)

    def _leave(self, kind: Kind, stream: str, why: str) -> None:
        incident = self.of(kind)
        if incident is None or not self.holds(kind, stream):
            return
        streams = tuple(moved for moved in incident.streams if moved.stream != stream)
        if not streams:
            self.close(incident, "resolved", f"{stream}, its only stream, {why}")
            return
        self._replace(self._with(incident, streams), "left", f"{stream} {why}")

    def _with(self, incident: Incident, streams: tuple[StreamMoved, ...]) -> Incident:
        """The incident with these members, told anew."""
        cause, cause_kind, sure = cause_of(streams)
        return msgspec.structs.replace(
            incident,
            streams=streams,
            cause=cause,
            cause_kind=cause_kind,
            sure=sure,
            summary=summary(self.model, incident.kind, streams, cause),
        )

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
                    "cause": incident.cause_kind,
                    "sure": incident.sure,
                },
            )
        )


def _named(alarm: Alarm, found: Explained | None) -> Alarm:
    """The alarm with its cause, and of the kind that the cause makes it."""
    if found is None or alarm.moved.rule:
        return replace(alarm, moved=ruled(alarm.moved))
    moved = caused(alarm.moved, found)
    return Alarm(moved=moved, kind=found.kind, severity=_SEVERITY[found.kind])


def _why(alarm: Alarm) -> str:
    moved = alarm.moved
    return f"{moved.how}; {moved.cause}" if moved.cause else moved.how
