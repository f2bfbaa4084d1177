"""The policy document as people write it: one file a model, every section strict.

Attributes are named as the keys of the file; where a key is a word of Python's, the attribute ends
with an underscore. What the values mean together is checked in ``policies.combinations``.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from policies.fields import (
    Count,
    Document,
    Duration,
    Name,
    Quantity,
    Ratio,
    Share,
    Span,
    Times,
    Word,
)
from policies.specs import Confidence, Mode, Reference, Severity
from policies.units import Rate, said


def _label(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"must be a label as text, not {said(value)}; put it in quotes")
    return str(value)


Label = Annotated[str, BeforeValidator(_label)]


class RegistryDocument(Document):
    """``registry``: names in the model registry; the model's own name if ``name`` is left out."""

    name: Word | None = None
    champion: Name = "champion"
    challenger: Name = "challenger"
    previous: Name = "previous"


class EventsDocument(Document):
    """``events``: topics, sources of feature events, foreign field names mapped to ours, and features
    whose texts are watched as vectors, each with the encoder of the settings that makes them."""

    predictions: Word = "predictions"
    labels: Word = "labels"
    sources: list[Name] = Field(default_factory=list)
    map: dict[Word, Word] = Field(default_factory=dict)
    encode: dict[Word, Name] = Field(default_factory=dict)


class LabelsDocument(Document):
    """``labels``: the longest wait for one, the age at which predictions are judged (the longest
    wait if left out), and which label counts as 1."""

    arrive_within: Span = 86_400.0
    maturity: Span | None = None
    depend_on_prediction: bool = False
    positive: Label | None = None


class ClockDocument(Document):
    """``clock``: lengths of event time."""

    pane: Span = 600.0
    lateness: Duration = 120.0
    idle: Span = 60.0


class PrivacyDocument(Document):
    """``privacy``: fields that are removed or replaced by their HMAC before anything is kept."""

    drop: list[Word] = Field(default_factory=list)
    hash: list[Word] = Field(default_factory=list)


class TolerateDocument(Document):
    """``watch.drift.tolerate``: effects up to these are no drift; in each distance's own unit."""

    ks: Annotated[float, Field(ge=0, lt=1)] = 0.10
    psi: Annotated[float, Field(ge=0)] = 0.10
    mmd: Annotated[float, Field(ge=0)] = 0.05
    share: Share = 0.05
    loss: Annotated[float, Field(gt=0, lt=1)] = 0.01
    calibration: Annotated[float, Field(gt=0, lt=1)] = 0.02


class DriftDocument(Document):
    """``watch.drift``: the streams that are compared with their baseline."""

    enabled: bool = True
    ignore: list[Word] = Field(default_factory=list)
    tolerate: TolerateDocument = Field(default_factory=TolerateDocument)


class RuleDocument(Document):
    """One of ``watch.rules``: a metric (or a named query) and one comparison."""

    metric: Word | None = None
    query: Name | None = None
    of: Word | None = None
    above: Quantity | None = None
    below: Quantity | None = None
    worse_by: Quantity | None = None
    falling_for: Span | None = None
    by: Quantity | None = None
    than: Reference | None = None
    over: Span | None = None
    confidence: Confidence = "point"
    min_events: Count | None = None
    severity: Severity = "warning"


class WatchDocument(Document):
    """``watch``: the budget of false alarms, drift streams, second opinions and threshold rules."""

    false_alarms: Times = Rate(count=1.0, per_s=30 * 86_400.0)
    drift: DriftDocument = Field(default_factory=DriftDocument)
    advisors: list[Literal["adwin", "ddm"]] = Field(default_factory=list)
    rules: Annotated[list[RuleDocument], Field(max_length=200)] = Field(default_factory=list)


class ScheduleDocument(Document):
    """One of ``retrain.on``: a cron expression in a time zone."""

    schedule: Word
    timezone: Word = "UTC"


def _kind_of_trigger(value: Any) -> str:
    return "<schedule>" if isinstance(value, dict | ScheduleDocument) else "<word>"


Trigger = Annotated[
    Annotated[Literal["quality", "input_drift"], Tag("<word>")]
    | Annotated[ScheduleDocument, Tag("<schedule>")],
    Discriminator(_kind_of_trigger),
]


def _on_quality() -> list[Literal["quality", "input_drift"] | ScheduleDocument]:
    return ["quality"]


class NeedsDocument(Document):
    """``retrain.needs``: what must be there before a training is worth its cost."""

    labels_since_onset: Count = 0


class LimitsDocument(Document):
    """``retrain.limits``: how often at most. ``trainings`` is a ceiling on all ever, refused ones
    included; 0 means none."""

    cooldown: Duration = 6 * 3_600.0
    budget: Times = Rate(count=3.0, per_s=7 * 86_400.0)
    attempts: Annotated[int, Field(ge=1, le=10)] = 2
    trainings: Count = 0


class DataDocument(Document):
    """``retrain.data``: what is trained on, and the newest share of it that is withheld."""

    window: Span = 60 * 86_400.0
    holdout: Share = 0.2


class RetrainDocument(Document):
    """``retrain``: when, on what, by whom, how often at most."""

    trainer: Name
    on: Annotated[list[Trigger], Field(min_length=1)] = Field(default_factory=_on_quality)
    needs: NeedsDocument = Field(default_factory=NeedsDocument)
    limits: LimitsDocument = Field(default_factory=LimitsDocument)
    data: DataDocument = Field(default_factory=DataDocument)


class GateDocument(Document):
    """One of ``gate``: what must hold offline, against the champion or absolutely."""

    metric: Word
    better_by: Quantity | None = None
    worse_by_at_most: Quantity | None = None
    below: Quantity | None = None
    above: Quantity | None = None
    than: Reference | None = None


class StepDocument(Document):
    """One of ``canary.steps``: shares of the traffic, for at least a time."""

    weight: Share = 0.0
    shadow: Share = 0.0
    for_: Span = Field(default=86_400.0, alias="for")


class JudgeDocument(Document):
    """One of ``canary.judge``: what the live evidence must show."""

    metric: Word
    worse_by_at_most: Quantity | None = None
    roll_back_above: Ratio | None = None
    promote_below: Ratio | None = None


class LevelsDocument(Document):
    """``canary.levels``: how often a good version may be taken back, a worse one promoted."""

    roll_back: Share = 0.01
    promote: Share = 0.05


class CanaryDocument(Document):
    """``canary``: the proof on live traffic."""

    steps: Annotated[list[StepDocument], Field(min_length=1, max_length=20)] = Field(
        default_factory=lambda: [StepDocument.model_validate({"weight": "10%", "shadow": "100%"})]
    )
    judge: Annotated[list[JudgeDocument], Field(min_length=1, max_length=10)] | None = None
    give_up_after: Span = 7 * 86_400.0
    levels: LevelsDocument = Field(default_factory=LevelsDocument)
    router: Name = "driftd"


class PromoteDocument(Document):
    """``promote``: what follows a won canary."""

    approval: Literal["required", "none"] = "none"
    probation: Duration = 3 * 86_400.0
    reverse_shadow: Share = 0.1


class PolicyDocument(Document):
    """What one model's policy file says."""

    model: Name
    owner: str = ""
    mode: Mode = "alert"
    registry: RegistryDocument = Field(default_factory=RegistryDocument)
    events: EventsDocument = Field(default_factory=EventsDocument)
    labels: LabelsDocument = Field(default_factory=LabelsDocument)
    clock: ClockDocument = Field(default_factory=ClockDocument)
    privacy: PrivacyDocument = Field(default_factory=PrivacyDocument)
    watch: WatchDocument = Field(default_factory=WatchDocument)
    retrain: RetrainDocument | None = None
    gate: Annotated[list[GateDocument], Field(max_length=20)] = Field(default_factory=list)
    canary: CanaryDocument | None = None
    promote: PromoteDocument = Field(default_factory=PromoteDocument)
