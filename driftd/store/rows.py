"""What goes into the store and what comes out of it: frozen values, one a row or a transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SampleKind = Literal["prediction", "label"]
OutboxState = Literal["new", "running", "done", "failed", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialRow:
    """What one flush saw of an arm in the bucket that starts at ``bucket``; ``blob`` is an encoded
    ``ArmCounts``. A source's features stand under version '' and variant 'source:<name>'."""

    model: str
    version: str
    variant: str
    bucket: float
    n: int
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRow:
    """Sampled predictions or labels of one bucket, encoded by ``driftd.data.samples``."""

    model: str
    bucket: float
    kind: SampleKind
    n: int
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class IncrementRow:
    """What an arm did in one flush while a rollout is open; rows of one flush share ``at``."""

    model: str
    at: float
    version: str
    variant: str
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """The guarded state of a model. Buckets that end at or before ``closed`` are closed."""

    model: str
    revision: int
    closed: float | None
    snapshot: bytes
    snapshot_format: int
    policy_revision: int
    rollout_open: bool
    readings: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """Something that a model's agents are told: an operator's wish or a command's result."""

    id: int
    model: str
    kind: str
    payload: bytes
    request_id: str
    wall_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What waits for a model's control step. The watermark was read before the partials.

    The step may close the buckets in [start, upto). ``partials`` lie in them, in order of bucket;
    ``late`` ones lie before ``start``. ``more`` says that a bound cut this step short.
    """

    watermark: float
    start: float
    upto: float
    more: bool
    partials: tuple[tuple[int, PartialRow], ...] = ()
    late: tuple[tuple[int, PartialRow], ...] = ()
    samples: tuple[tuple[int, SampleRow], ...] = ()
    increments: tuple[tuple[int, IncrementRow], ...] = ()
    inbox: tuple[InboxRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PaneRow:
    """The counts of one arm in the closed bucket [start, end); with n = 0 the bucket was empty."""

    model: str
    version: str
    variant: str
    start: float
    end: float
    n: int
    errors: int
    late: int = 0
    complete: bool = True
    blob: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateRow:
    """``n`` events came after their bucket [start, end) was closed: counted, shown, not judged."""

    version: str
    variant: str
    start: float
    end: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRow:
    """Joined labels of one arm and bucket; ``blob`` is an encoded quality sketch."""

    model: str
    bucket: float
    version: str
    variant: str
    predictions: int
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingRow:
    """Consolidated predictions of one bucket that wait for labels."""

    model: str
    bucket: float
    n: int
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """One line of the append-only journal. ``evidence`` is JSON; ``id`` and ``wall_at`` are given
    by the store."""

    at: float
    what: str
    why: str
    by: str
    incident_id: str = ""
    op_id: str = ""
    evidence: bytes = b"{}"
    policy_revision: int = 0
    model: str = ""
    id: int = 0
    wall_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRow:
    """An incident as views show it; ``body`` is the whole of it as JSON."""

    incident_id: str
    model: str
    kind: str
    severity: str
    state: str
    onset: float
    opened: float
    closed: float | None = None
    body: bytes = b"{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One command to the world. A writer gives op_id, model, kind, payload (JSON) and not_before
    (wall time); the rest is the store's."""

    op_id: str
    model: str
    kind: str
    payload: bytes
    not_before: float = 0.0
    seq: int = 0
    state: OutboxState = "new"
    attempt: int = 0
    owner: str = ""
    lease_until: float = 0.0
    result: bytes = b"{}"
    reason: str = ""
    wall_created: float = 0.0
    wall_finished: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """The reference profile of a model; the newest row is the current one."""

    profile_id: int
    model: str
    version: str
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileWrite:
    """A profile that becomes the model's current one."""

    version: str
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRow:
    """One published revision of a model's policy."""

    model: str
    revision: int
    digest: str
    text: str
    by: str
    spec_json: bytes
    wall_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWrite:
    """One control step: all of it, or nothing when the model's revision is no longer ``revision``
    or when a row that it read (``*_read``) is gone."""

    model: str
    revision: int
    snapshot: bytes
    closed: float | None
    snapshot_format: int = 1
    policy_revision: int = 0
    rollout_open: bool = False
    readings: bytes | None = None
    """JSON for display; None keeps what is there."""
    panes: tuple[PaneRow, ...] = ()
    late: tuple[LateRow, ...] = ()
    decisions: tuple[DecisionRow, ...] = ()
    incidents: tuple[IncidentRow, ...] = ()
    outbox: tuple[OutboxRow, ...] = ()
    quality_replace: tuple[QualityRow, ...] = ()
    pending_replace: tuple[PendingRow, ...] = ()
    pending_delete: tuple[float, ...] = ()
    """Buckets whose pending parts are dropped."""
    profile: ProfileWrite | None = None
    baseline: bytes | None = None
    partials_read: tuple[int, ...] = ()
    samples_read: tuple[int, ...] = ()
    increments_read: tuple[int, ...] = ()
    inbox_read: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """``commands``: kinds of those in flight; ``inbox``: rows that wait to be handled."""

    closed: float | None
    commands: tuple[str, ...]
    inbox: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One model at a glance."""

    model: ModelRow
    policy: PolicyRow | None
    incidents: tuple[IncidentRow, ...]
    outbox: tuple[OutboxRow, ...]
    decisions: tuple[DecisionRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was counted, by SQL: ``records`` by topic (equal to the sum of its end offsets),
    ``rejected`` by (topic, reason), ``panes`` as (model, version, variant, start, n, errors, late)."""

    records: Mapping[str, int]
    rejected: Mapping[tuple[str, str], int]
    panes: tuple[tuple[str, str, str, float, int, int, int], ...]
