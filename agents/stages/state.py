"""Where a model's lifecycle stands: one value that says everything, and never changes."""

from enum import StrEnum
from typing import Any, Literal

import msgspec

from agents.events import CommandDone
from agents.incidents import Kind

INCIDENTS_KEPT_MAX = 64
TRAININGS_KEPT_MAX = 256
FAULTS_KEPT_MAX = 64
LABEL_MARKS_MAX = 256
DAYS_KEPT_MAX = 64
BATCHES_KEPT_MAX = 128
SETTLED_KEPT_MAX = 256


class Stage(StrEnum):
    """The stages of a model; the roads between them stand in ``agents.lifecycle.ROADS``."""

    WATCHING = "watching"
    TRAINING = "training"
    EVALUATING = "evaluating"
    REFITTING = "refitting"
    REGISTERING = "registering"
    CANARY = "canary"
    AWAITING_APPROVAL = "awaiting approval"
    PROMOTING = "promoting"
    PROBATION = "probation"
    ROLLING_BACK = "rolling back"
    HELD = "held"


# Stages in which a second version answers requests, and those in which its evidence counts.
LIVE = frozenset({Stage.CANARY, Stage.AWAITING_APPROVAL, Stage.PROMOTING, Stage.PROBATION})
OPEN_ROLLOUT = LIVE | {Stage.ROLLING_BACK}
# Stages in which a candidate is being made.
PREPARING = frozenset({Stage.TRAINING, Stage.EVALUATING, Stage.REFITTING, Stage.REGISTERING})

OpKind = Literal["train", "evaluate", "refit", "challenger", "traffic", "alias", "tag", "profile"]
RetreatKind = Literal["harmful", "inconclusive", "operator", "refused", "expired", "held"]


class Op(msgspec.Struct, frozen=True, kw_only=True):
    """A command in flight. The lifecycle believes only the end of commands that it waits for."""

    op_id: str
    kind: OpKind
    attempt: int = 1


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """A command that failed and is tried again, as ``attempt``, at ``at`` on the clock of
    cool-downs."""

    kind: OpKind
    attempt: int
    at: float


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Event time [start, end); ``end`` None means that it still lasts."""

    start: float
    end: float | None = None
    incident_id: str = ""


class OpenIncident(msgspec.Struct, frozen=True, kw_only=True):
    """What the lifecycle needs to know about an open incident; ``onset`` is event time."""

    incident_id: str
    kind: Kind
    onset: float
    metrics: tuple[str, ...] = ()
    """What fell: the metrics (quality) or streams of its alarms."""


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """A training that was started, whatever became of it. ``started`` is on the clock of budgets;
    ``cause`` an incident, a schedule slot or a person's request."""

    cause: str
    attempt: int
    started: float
    incident_id: str = ""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """The training that is under way: its cause, its data [since, until), and how far it came."""

    cause: str
    number: int
    since: float
    until: float
    without: tuple[tuple[float, float], ...] = ()
    """Spans of faulty input inside the window: broken input never trains a model."""
    incident_id: str = ""
    onset: float = 0.0
    must_improve: str = ""
    by: str = ""
    why: str = ""
    ref: str = ""
    version: str = ""
    """The version that the training with a hold-out made; only the evaluation sees it."""
    asks: int = 0
    """How often the evaluation answered that it cannot tell."""
    unclear_at: float | None = None
    """Event time at which it last did."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A person's wish for a training; the next tick knows the event time that it needs."""

    cause: str
    by: str
    ref: str = ""


class LabelMark(msgspec.Struct, frozen=True, kw_only=True):
    """``before`` labels had matured for predictions made before ``start`` (event time)."""

    start: float
    before: int


class DayDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One event day of paired differences: ``clusters`` subjects, sums of their means."""

    day: int
    clusters: int
    total: float
    squares: float


class Judge(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence of one judge. ``engine`` is the plain form of its engine's state.

    A latency judge first learns the opponent's quantile from ``reference``, its answers by cell;
    then ``cell`` is frozen and answers in later cells count as slow.
    """

    name: str
    metric: str
    engine: dict[str, Any] = {}
    harm: float = 0.0
    proof: float = 0.0
    """Evidence of harm and for the promotion: log e-value / log threshold, 1 is enough. Harm is
    the largest that ever was; proof is what holds now."""
    seen: int = 0
    """Subjects or answers that were judged."""
    step: int = -1
    """The newest step from which something was judged."""
    batches: tuple[tuple[int, int], ...] = ()
    """(bad answers, answers) of the opponent a batch, for the design effect."""
    cell: int = -1
    reference: tuple[tuple[int, int], ...] = ()
    days: tuple[DayDifference, ...] = ()


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate on its way. Times are event time; None until it has begun. ``cause`` and
    ``number`` name its effects: no two rollouts of a model have both in common."""

    candidate: str
    cause: str
    number: int
    incident_id: str = ""
    gate: Literal["own", "external"] = "own"
    by: str = ""
    step: int = 0
    began: float | None = None
    step_began: float | None = None
    judges: tuple[Judge, ...] = ()
    promoted_by: str = ""


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is asked to approve: exactly this version, policy and evidence."""

    version: str
    revision: int
    evidence: str
    """Digest of the judges at the time of asking."""
    expires: float


class Retreat(msgspec.Struct, frozen=True, kw_only=True):
    """Why traffic goes back, and what is left to do: the alias, a tag, then ``then``."""

    kind: RetreatKind
    version: str
    why: str
    alias: bool = False
    """Whether the champion alias has to be moved back as well."""
    after: str = ""
    """An alias move that was in flight when the retreat began; its end decides ``alias``."""
    then: Stage = Stage.WATCHING


class LifecycleState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the lifecycle knows about one model. ``since`` is on the clock of cool-downs."""

    stage: Stage = Stage.WATCHING
    since: float = 0.0
    champion: str = ""
    previous: str = ""
    barred: tuple[str, ...] = ()
    serial: int = 0
    """Counts external challengers and ways back, so that their effects have names of their own."""
    epoch: int = 0
    """Of the newest routing; 0 until driftd sets traffic for the first time."""
    attempt: Attempt | None = None
    rollout: Rollout | None = None
    approval: Approval | None = None
    retreat: Retreat | None = None
    ops: tuple[Op, ...] = ()
    retries: tuple[Retry, ...] = ()
    paused: bool = False
    deferred: tuple[CommandDone, ...] = ()
    """Ends of commands that came while the model was paused."""
    held: str = ""
    registry: str | None = None
    """The version that the champion alias was last seen at."""
    gone: tuple[str, ...] = ()
    """Versions that it relies on and that were deleted in the registry; told once."""
    profile: str = ""
    """The version whose reference profile is in the store."""
    profile_refused: str | None = None
    profile_asked: str = ""
    profiles_asked: int = 0
    router: str = ""
    """The router that took the newest routing: the way back, even if the policy forgets it."""
    routed: str = ""
    """Digest of the newest routing, its epoch aside."""
    trainings: tuple[Training, ...] = ()
    trainings_total: int = 0
    settled: tuple[str, ...] = ()
    """Causes that need no other training: slots that were used, incidents that led to a
    promotion."""
    rested: float | None = None
    """When evidence or a person last said no to one of our own candidates, on the clock of
    cool-downs."""
    request: Request | None = None
    waits: str = ""
    """What stood in the way of a training when the journal last said so."""
    started: float | None = None
    """The first tick: schedule slots before it are not made up for."""
    incidents: tuple[OpenIncident, ...] = ()
    faults: tuple[Span, ...] = ()
    fault_from: float | None = None
    """Since when (event time) a data fault stops the clock of the rollout."""
    labels: tuple[LabelMark, ...] = ()
    labels_total: int = 0

    @classmethod
    def new(cls) -> "LifecycleState":
        """A model that nobody has looked at yet."""
        return cls()
