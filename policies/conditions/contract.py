"""What a condition of a retraining is: it looks at the evidence and answers with a reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from policies.specs import RetrainSpec

# "Not yet" is not "no": waiting alone can change it.
Answer = Literal["yes", "no", "not_yet"]
IncidentKind = Literal["data_fault", "input_drift", "quality", "operational", "upstream"]
REQUEST = "request"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIncident:
    """An incident that is open; ``onset`` is event time."""

    incident_id: str
    kind: IncidentKind
    onset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that the question "train now?" depends on. A *cause* is named by its key: an
    incident's id, ``slot:<seconds>`` of a schedule, or ``request``.

    ``labels_since``: incident id -> labels of predictions made at or after its onset.
    ``trainings``: when they started, by the clock of ``now``; at least all of the last budget span.
    ``trainings_total``: all of them ever. ``attempts``: cause -> trainings it has started.
    ``settled``: causes that need no other training (a slot that was used, an incident that led to
    a promotion). ``rested``: when the last rollout ended. ``since``: when the model was first
    looked at; schedule slots before it are not made up for.
    """

    since: float
    incidents: tuple[OpenIncident, ...] = ()
    labels_since: Mapping[str, int] = field(default_factory=dict)
    trainings: tuple[float, ...] = ()
    trainings_total: int = 0
    attempts: Mapping[str, int] = field(default_factory=dict)
    settled: frozenset[str] = frozenset()
    rested: float | None = None
    requested: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a training is wanted. ``key`` names the one effect that it may have."""

    key: str
    why: str
    incident: OpenIncident | None = None
    slot: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One condition's answer and its reason.

    Of a *want*: yes = a training is wanted. Of a *bar*: no = nothing in the way; not_yet = time or
    labels will clear it; yes = people have to.
    """

    name: str
    answer: Answer
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A want's finding and, if it is a yes, the cause that a training would have."""

    finding: Finding
    cause: Cause | None = None


class Want(Protocol):
    """A reason to train. Pure: the same evidence, the same wish."""

    @property
    def name(self) -> str:
        """What findings call it."""
        ...

    def find(self, spec: RetrainSpec, evidence: Evidence, now: float) -> Wish:
        """Whether a training is wanted at ``now``, the clock of schedules."""
        ...


class Bar(Protocol):
    """A reason not to train now. Pure: the same evidence, the same finding."""

    @property
    def name(self) -> str:
        """What findings call it."""
        ...

    def find(
        self, spec: RetrainSpec, evidence: Evidence, cause: Cause | None, now: float
    ) -> Finding:
        """Whether something stands in the way of ``cause``; None asks what is in everyone's way."""
        ...
