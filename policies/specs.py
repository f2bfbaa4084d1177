"""The small, frozen specs that agents see; ``policies.compile`` makes them from a document."""

from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["observe", "alert", "retrain", "auto"]
Severity = Literal["info", "warning", "critical"]
Confidence = Literal["point", "sequential"]
# What a threshold rule asks of its metric. `worse_by` knows from the metric's catalog entry which
# direction is worse; `falling_for` looks at consecutive days.
Comparison = Literal["above", "below", "worse_by", "falling_for"]
Reference = Literal["training", "baseline", "champion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSpec:
    """Lengths of event time, in seconds. ``bucket_s`` divides ``pane_s`` and every rule's span."""

    pane_s: float = 600.0
    bucket_s: float = 600.0
    lateness_s: float = 120.0
    idle_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSpec:
    """How labels come: the longest wait, the age at which a pane is judged, what counts as 1."""

    arrive_within_s: float = 86_400.0
    maturity_s: float = 86_400.0
    depend_on_prediction: bool = False
    positive: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftSpec:
    """The drift streams and the one budget of false alarms that they share."""

    false_alarms: float = 1.0
    budget_s: float = 30 * 86_400.0
    ignore: frozenset[str] = frozenset()
    tolerate_ks: float = 0.10
    tolerate_psi: float = 0.10
    tolerate_mmd: float = 0.05
    tolerate_share: float = 0.05
    """Absolute tolerance of share streams (missing, label arrival, wrong answers)."""
    tolerate_loss: float = 0.01
    tolerate_calibration: float = 0.02
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A number with its unit: ``5%`` is relative, ``5pp`` are points, ``1.2x`` a ratio.

    ``value`` is as written: 5.0 in all of ``5%``, ``5pp`` and ``5ms``.
    """

    value: float
    unit: Literal["", "%", "pp", "x", "ms", "s"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSpec:
    """One threshold rule. ``name`` is its text in the policy and names its alert and decisions."""

    name: str
    comparison: Comparison
    amount: Amount
    metric: str = ""
    query: str = ""
    """The name of a PromQL query in the settings, instead of a metric."""
    of: str | None = None
    """The stream: a feature, ``source.feature``, ``@score`` or ``@prediction``."""
    than: Reference | None = None
    over_s: float
    """The window; for ``falling_for`` the days in a row, with ``amount`` the fall over them."""
    confidence: Confidence = "point"
    min_events: int = 0
    severity: Severity = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A cron expression in a time zone; ``policies.decide`` turns it into slots."""

    cron: str
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainSpec:
    """When to train, on what, and how often at most."""

    on_quality: bool = True
    on_input_drift: bool = False
    schedules: tuple[Schedule, ...] = ()
    labels_since_onset: int = 0
    cooldown_s: float = 6 * 3_600.0
    budget_count: int = 3
    budget_per_s: float = 7 * 86_400.0
    attempts: int = 2
    window_s: float = 60 * 86_400.0
    holdout: float = 0.2
    trainer: str = ""
    trainings_max: int = 0
    """A ceiling on all trainings ever, refused ones included; 0 means none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSpec:
    """One offline condition: against the champion (``better_by``, ``worse_by_at_most``) or absolute
    (``below``, ``above``)."""

    name: str
    metric: str
    comparison: Literal["better_by", "worse_by_at_most", "below", "above"]
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """One step of a rollout: ``weight`` of live traffic, ``shadow`` share of requests answered by
    the other arm as well, both 0..1, for at least ``for_s`` seconds of event time."""

    weight: float = 0.0
    shadow: float = 0.0
    for_s: float = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSpec:
    """One online condition. Quality: ``worse_by_at_most`` (a margin on the paired mean difference).
    Operational (error_rate, latency_pNN): ratios of the challenger's rate to the champion's."""

    name: str
    metric: str
    worse_by_at_most: float | None = None
    roll_back_above: float | None = None
    promote_below: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CanarySpec:
    """The online proof. Alphas are split over the judges by the stage that uses them."""

    steps: tuple[StepSpec, ...] = (StepSpec(weight=0.1, shadow=1.0),)
    judge: tuple[JudgeSpec, ...] = ()
    give_up_after_s: float = 7 * 86_400.0
    alpha_roll_back: float = 0.01
    alpha_promote: float = 0.05
    router: str = "driftd"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteSpec:
    """What follows a won canary."""

    approval_required: bool = False
    probation_s: float = 3 * 86_400.0
    reverse_shadow: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySpec:
    """Names in the MLflow registry. Aliases are configurable, stages are never used."""

    name: str
    champion: str = "champion"
    challenger: str = "challenger"
    previous: str = "previous"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSpec:
    """Topics, and the sources whose feature events this model's streams include."""

    predictions: str = "predictions"
    labels: str = "labels"
    sources: tuple[str, ...] = ()
    field_map: tuple[tuple[str, str], ...] = ()
    """(foreign field, our field) pairs."""
    encode: tuple[tuple[str, str], ...] = ()
    """(feature, encoder of the settings) pairs: texts that become vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacySpec:
    """Fields removed or replaced by their HMAC before anything is stored, told or dead-lettered."""

    drop: frozenset[str] = frozenset()
    hash: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Everything the daemon knows about one model's policy."""

    model: str
    owner: str = ""
    mode: Mode = "alert"
    registry: RegistrySpec
    events: EventsSpec = EventsSpec()
    labels: LabelSpec = LabelSpec()
    clock: ClockSpec = ClockSpec()
    privacy: PrivacySpec = PrivacySpec()
    drift: DriftSpec = DriftSpec()
    advisors: tuple[str, ...] = ()
    """Second opinions on the share of wrong answers: shown, never acted on."""
    rules: tuple[RuleSpec, ...] = ()
    retrain: RetrainSpec | None = None
    gate: tuple[GateSpec, ...] = ()
    canary: CanarySpec | None = None
    promote: PromoteSpec = field(default_factory=PromoteSpec)
    revision: int = 0
    digest: str = ""
