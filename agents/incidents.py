"""An incident: the alarms of one model and kind, with their onset, their streams and their harm."""

from typing import Literal

import msgspec

from policies.specs import Severity

Kind = Literal["data_fault", "input_drift", "quality", "operational"]
Change = Literal["opened", "joined", "left", "raised", "revised", "closed"]
State = Literal["open", "resolved", "accepted", "false_alarm"]


class StreamMoved(msgspec.Struct, frozen=True, kw_only=True):
    """How one stream moved. ``effect`` and ``tolerance`` are in the unit of ``distance``; ``since``
    is where its evidence began; ``how`` is one sentence for people."""

    stream: str
    distance: str
    effect: float
    tolerance: float
    evidence: float
    since: float
    how: str = ""
    rule: str = ""
    cause: str = ""
    """What probably happened to it, in words; empty where nobody can tell."""
    cause_kind: str = ""
    """The cause's name in the catalog of ``agents.watching.why``."""
    sure: float = 0.0
    """How sure the cause is, 0..1: how much of what moved it explains, and how sharply."""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Times are seconds of event time. ``quiet`` counts consecutive panes below 0.8 x tolerance."""

    incident_id: str
    model: str
    kind: Kind
    severity: Severity
    onset: float
    opened: float
    summary: str
    streams: tuple[StreamMoved, ...] = ()
    state: State = "open"
    closed: float | None = None
    quiet: int = 0
    cause: str = ""
    """What it probably is, e.g. ``minute_of_day is shifted by +240 min (mod 1440)``."""
    cause_kind: str = ""
    """The name of the cause that explains most of its streams, as ``StreamMoved`` has it."""
    sure: float = 0.0


class IncidentChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An incident was opened, ``joined`` by a stream, ``left`` by one that turned out to be a data
    fault, ``raised`` in severity, ``revised`` because a stream's cause became known, or ended; ``at``
    is event time."""

    change: Change
    incident: Incident
    at: float
