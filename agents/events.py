"""What happened: the facts that agents are told, in the past tense. Times are seconds since 1970."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from detectors.contract import FloatArray, IntArray
from detectors.quality import QualitySketch

Variant = Literal["champion", "challenger", "shadow"]
# Streams that are no features carry a sign that no feature name may begin with.
SCORE, PREDICTION, LATENCY = "@score", "@prediction", "@latency_ms"
Outcome = Literal["done", "failed", "refused"]


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """Which version answered, in which role."""

    version: str
    variant: Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmCounts:
    """What one arm did in a span of event time. ``counts``: stream -> cells of its layout.

    ``n`` counts prediction events, ``errors`` those whose ``error`` is not null. Feature streams
    stand only at live arms (champion, challenger); every arm has ``@score``, ``@prediction`` and
    ``@latency_ms``.
    """

    n: int = 0
    errors: int = 0
    counts: Mapping[str, IntArray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaneClosed:
    """A bucket of event time [start, end) is complete: nothing on time can still arrive for it.

    ``sources``: source -> stream -> counts, for feature events of subscribed sources.
    ``complete`` is False when the bucket had to be closed before its partitions were read to its
    end: it is shown and gives no evidence.
    """

    start: float
    end: float
    arms: Mapping[Arm, ArmCounts] = field(default_factory=dict)
    sources: Mapping[str, ArmCounts] = field(default_factory=dict)
    late: int = 0
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmQuality:
    """Joined labels of one arm: ``predictions`` sampled, of which ``sketch.n`` have a label."""

    predictions: int
    sketch: QualitySketch


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityMatured:
    """The predictions of bucket [start, end) have reached their maturity age; labels that come
    later are counted as late and change nothing here."""

    start: float
    end: float
    arms: Mapping[Arm, ArmQuality] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsJoined:
    """Requests that both versions answered and whose label arrived in [start, end).

    One entry a pair, arrays of equal shape (pairs,): ``subject`` a 64-bit hash of the unit of
    random assignment, scores as probabilities of the positive class, ``label`` 0 or 1.
    ``champion`` and ``challenger`` name versions; in probation the old champion stands as
    ``challenger`` side's opponent: ``champion`` is always the version that holds the alias.
    """

    start: float
    end: float
    champion: str
    challenger: str
    subject: IntArray
    champion_score: FloatArray
    challenger_score: FloatArray
    label: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmsObserved:
    """What the live arms did since the last increment, in arrival order, both from one flush; it
    never waits for a watermark. ``at`` is the newest event time in it."""

    at: float
    arms: Mapping[Arm, ArmCounts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandDone:
    """An outbox command ended. ``done``: its effect holds. ``failed``: it may be tried again under
    another attempt. ``refused``: never again (the reason is for people)."""

    op_id: str
    kind: str
    outcome: Outcome
    result: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAsked:
    """A person or pipeline asked through the API. ``verb``: retrain, rollback, approve, refuse,
    pause, resume, accept, ignore, false_alarm, canary, promote."""

    verb: str
    by: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRead:
    """What Prometheus said of a named query in the bucket [start, end) of wall time: its lowest and
    its highest value at the steps in between. Both are None where one of them had no value."""

    query: str
    start: float
    end: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """Time passed. ``now``: the clock of cool-downs, budgets and schedules (event time under
    ``--clock event``); ``watermark``: event time up to which everything is known."""

    now: float
    watermark: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryObserved:
    """What the registry's aliases say: version or None where an alias is not set. ``gone``: versions
    that the lifecycle relies on and that the registry does not have any more."""

    champion: str | None
    challenger: str | None
    previous: str | None
    gone: tuple[str, ...] = ()
