"""From a buffer of events to the rows of one flush. Runs in a thread: nothing here waits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from agents.codec import encode_arm, merge_arms
from agents.events import LATENCY, PREDICTION, SCORE, ArmCounts
from detectors.contract import IntArray, Layout
from driftd.data.samples import label_text
from driftd.ingest.buffer import Buffer
from driftd.ingest.events import Event
from driftd.ingest.plans import Plan, Plans
from driftd.ingest.sampling import Sampler, copy_for
from driftd.ingest.texts import Encoded
from driftd.store.moves import Flush, Move
from driftd.store.rows import IncrementRow, PartialRow, SampleRow

LIVE = frozenset({"champion", "challenger"})
SOURCE = "source:"
_NOTHING: Encoded = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A flush that is ready to be written, and the models that it touches."""

    flush: Flush
    models: frozenset[str]


def fold(
    buffer: Buffer,
    moves: tuple[Move, ...],
    plans: Plans,
    sample: float,
    encoded: Encoded = _NOTHING,
) -> Folded:
    """Fold all of ``buffer``; ``sample`` is the share of ids kept for their labels, 0..1; ``encoded``
    holds the vectors of the texts that were drawn.

    Private fields are cleaned first: nothing that follows, and nothing that is kept, sees them.
    Texts that are for an encoder are not kept either.
    """
    partials: list[PartialRow] = []
    increments = _Increments()
    sampler = Sampler(sample)
    for (model, version, variant, bucket), events in buffer.predictions.items():
        plan = plans.models.get(model)
        if plan is None:
            continue
        named = _storable(version)
        drawn = encoded.get((model, version, variant, bucket), {})
        arm = _fold_predictions(plan, variant, events, drawn)
        partials.append(_partial(model, named, variant, bucket, arm, plan.marks))
        _forget_texts(plan, events)
        sampler.predictions(model, named, variant, bucket, events)
        if plan.rollout_open and variant in LIVE:
            increments.add(model, named, variant, arm, max(event.ts for event in events))
    for (model, bucket), events in buffer.labels.items():
        if (plan := plans.models.get(model)) is not None:
            _clean(plan, events)
            sampler.labels(model, bucket, events)
    for (model, source, bucket), events in buffer.sources.items():
        # A policy may have changed since the events were read.
        if (plan := plans.models.get(model)) is not None and source in plan.sources:
            arm = _fold_source(plan, source, events)
            marks = {name: plan.marks[f"{source}.{name}"] for name in arm.counts}
            partials.append(_partial(model, "", f"{SOURCE}{source}", bucket, arm, marks))
    samples: tuple[SampleRow, ...] = sampler.rows()
    topics = {move.topic for move in moves}
    touched = (plans.by_topic[topic] for topic in topics if topic in plans.by_topic)
    return Folded(
        flush=Flush(
            moves=moves, partials=tuple(partials), samples=samples, increments=increments.rows()
        ),
        models=frozenset(model for models in touched for model in models),
    )


def _fold_predictions(
    plan: Plan, variant: str, events: Sequence[Event], drawn: Mapping[str, Sequence[Any]]
) -> ArmCounts:
    # Errors are counted before cleaning, which may take the text of the error away.
    failed = {id(event) for event in events if event.error is not None}
    _clean(plan, events)
    answered = [event for event in events if id(event) not in failed] if failed else events
    layouts = plan.layouts
    counts: dict[str, IntArray] = {
        SCORE: layouts[SCORE].fold([event.score for event in answered]),
        PREDICTION: layouts[PREDICTION].fold([label_text(event.prediction) for event in answered]),
        LATENCY: layouts[LATENCY].fold([event.latency_ms for event in events]),
    }
    if variant in LIVE:
        names = [name for name in plan.features if name not in plan.encode]
        counts |= _fold_features(names, layouts, events)
        counts |= {name: layouts[name].fold(rows) for name, rows in drawn.items()}
    return ArmCounts(n=len(events), errors=len(failed), counts=counts)


def _fold_source(plan: Plan, source: str, events: Sequence[Event]) -> ArmCounts:
    # One event may be read for several models, each with its own idea of what is private.
    own = [copy_for(event) for event in events] if plan.privacy else events
    _clean(plan, own)
    layouts = plan.sources[source]
    return ArmCounts(n=len(own), counts=_fold_features(tuple(layouts), layouts, own))


def _fold_features(
    names: Iterable[str], layouts: Mapping[str, Layout], events: Sequence[Event]
) -> dict[str, IntArray]:
    """Features and vectors. An event without any says nothing; one that lacks a name misses it."""
    features = [event.features for event in events if event.features is not None]
    vectors = [event.vectors for event in events if event.vectors is not None]
    counts = {}
    for name in names:
        layout = layouts[name]
        rows: Sequence[Mapping[str, Any]] = vectors if layout.kind == "vector" else features
        if rows:
            counts[name] = layout.fold([row.get(name) for row in rows])
    return counts


def _clean(plan: Plan, events: Iterable[Event]) -> None:
    if plan.privacy is not None:
        for event in events:
            plan.privacy.apply(event)


def _forget_texts(plan: Plan, events: Iterable[Event]) -> None:
    if plan.texts:
        for event in events:
            for name in plan.texts & (event.features or {}).keys():
                del (event.features or {})[name]


def _partial(
    model: str, version: str, variant: str, bucket: float, arm: ArmCounts, marks: Mapping[str, int]
) -> PartialRow:
    return PartialRow(
        model=model,
        version=version,
        variant=variant,
        bucket=bucket,
        n=arm.n,
        blob=encode_arm(arm, marks),
    )


def _storable(name: str) -> str:
    """A version as a database can keep it: half a surrogate pair and NUL are legal in JSON only."""
    return name.encode(errors="replace").decode().replace("\x00", "?")


class _Increments:
    """What the live arms did in this flush, for the models whose rollout is open."""

    def __init__(self) -> None:
        self._arms: dict[tuple[str, str, str], ArmCounts] = {}
        self._at: dict[str, float] = {}

    def add(self, model: str, version: str, variant: str, arm: ArmCounts, at: float) -> None:
        key = (model, version, variant)
        latency = ArmCounts(n=arm.n, errors=arm.errors, counts={LATENCY: arm.counts[LATENCY]})
        known = self._arms.get(key)
        self._arms[key] = latency if known is None else merge_arms(known, latency)
        self._at[model] = max(self._at.get(model, at), at)

    def rows(self) -> tuple[IncrementRow, ...]:
        return tuple(
            IncrementRow(
                model=model,
                at=self._at[model],
                version=version,
                variant=variant,
                blob=encode_arm(arm),
            )
            for (model, version, variant), arm in sorted(self._arms.items())
        )
