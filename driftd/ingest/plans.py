"""What ingest needs to know of the policies: who wants which topic, and how values are counted."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from agents.codec import layout_marks
from agents.watching.streams import layouts_of
from detectors.contract import Layout
from detectors.profile import Profile
from driftd.errors import DriftdError, MistakeError
from driftd.ingest.decoders import DECODERS, MappedDecoder
from driftd.ingest.events import Decoder
from driftd.ingest.privacy import Privacy
from driftd.store.store import Store
from policies.specs import ModelSpec

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one model's events are treated. ``layouts``: stream -> layout; ``features``: those of
    its predictions; ``sources``: source -> feature -> layout. ``privacy`` is None where nothing is
    private."""

    spec: ModelSpec
    profile_id: int
    layouts: Mapping[str, Layout]
    marks: Mapping[str, int]
    features: tuple[str, ...]
    sources: Mapping[str, Mapping[str, Layout]]
    privacy: Privacy | None
    encode: Mapping[str, str] = field(default_factory=dict)
    """Stream -> the encoder that makes its vectors of the texts of that feature."""
    texts: frozenset[str] = frozenset()
    """Features whose texts are for an encoder only: they may be long, and are never kept."""
    rollout_open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """All plans, found by topic: an event counts for a model only where its watermark is kept."""

    models: Mapping[str, Plan] = field(default_factory=dict)
    by_topic: Mapping[str, Mapping[str, Plan]] = field(default_factory=dict)
    subscribers: Mapping[str, Mapping[str, tuple[Plan, ...]]] = field(default_factory=dict)
    """topic -> source -> the plans of the models that subscribe to it."""
    decoders: Mapping[str, Decoder] = field(default_factory=dict)
    idle_s: Mapping[str, float] = field(default_factory=dict)
    texts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """topic -> features whose texts are for an encoder."""

    @property
    def topics(self) -> frozenset[str]:
        """Every topic that some policy names."""
        return frozenset(self.by_topic)

    @property
    def rollout_open(self) -> bool:
        """Whether any model has two versions on trial: flushes then come more often."""
        return any(plan.rollout_open for plan in self.models.values())


def topics_of(spec: ModelSpec) -> tuple[str, ...]:
    """The topics on which a model's events come; a source's topic bears its name."""
    events = spec.events
    return tuple(dict.fromkeys((events.predictions, events.labels, *events.sources)))


class PlanMaker:
    """Makes plans from published policies and profiles; keeps what has not changed."""

    def __init__(
        self, store: Store, policies: Callable[[], Mapping[str, ModelSpec]], key_env: str
    ) -> None:
        self._store = store
        self._policies = policies
        self._key = os.environ.get(key_env, "").encode() or None
        self._profiles: dict[str, tuple[int, Profile | None]] = {}
        self._refused: dict[str, tuple[int, str]] = {}
        self._last = Plans()

    def make(self) -> Plans:
        """Plans as of now; blocks on the store. The last ones where nothing changed."""
        open_rollouts = self._store.ingest.rollouts_open()
        profile_ids = self._store.profiles.current_ids()
        models = {}
        for name, spec in sorted(self._policies().items()):
            plan = self._plan(spec, profile_ids.get(name, 0), name in open_rollouts)
            if plan is not None:
                models[name] = plan
        if models != self._last.models:
            self._last = index_plans(models)
        return self._last

    def _plan(self, spec: ModelSpec, profile_id: int, rollout_open: bool) -> Plan | None:
        known = self._last.models.get(spec.model)
        state = (spec, profile_id, rollout_open)
        if known is not None and state == (known.spec, known.profile_id, known.rollout_open):
            return known
        try:
            return make_plan(
                spec,
                self._profile(spec.model, profile_id),
                profile_id=profile_id,
                key=self._key,
                rollout_open=rollout_open,
            )
        except (DriftdError, ValueError) as error:
            self._refuse(spec, profile_id, error)
            return known

    def _profile(self, model: str, profile_id: int) -> Profile | None:
        if self._profiles.get(model, (0, None))[0] != profile_id:
            row = self._store.profiles.current(model)
            found = (0, None) if row is None else (row.profile_id, Profile.from_bytes(row.blob))
            self._profiles[model] = found
        return self._profiles.get(model, (0, None))[1]

    def _refuse(self, spec: ModelSpec, profile_id: int, error: Exception) -> None:
        # Rather not counted than counted with private fields in clear; the last good plan goes on.
        state = (profile_id, spec.digest)
        if self._refused.get(spec.model) != state:
            self._refused[spec.model] = state
            log.error("refuse plan", model=spec.model, why=str(error))


def make_plan(
    spec: ModelSpec,
    profile: Profile | None,
    *,
    profile_id: int = 0,
    key: bytes | None = None,
    rollout_open: bool = False,
) -> Plan:
    """One model's plan. Raises ``MistakeError`` when a field is to be hashed and there is no key."""
    layouts = layouts_of(spec, profile)
    sources: dict[str, dict[str, Layout]] = {name: {} for name in spec.events.sources}
    features = []
    for stream in sorted(layouts):
        source, dot, feature = stream.partition(".")
        if dot and source in sources:
            sources[source][feature] = layouts[stream]
        elif not stream.startswith("@"):
            features.append(stream)
    private = spec.privacy.drop | spec.privacy.hash
    encode = dict(spec.events.encode)
    return Plan(
        spec=spec,
        profile_id=profile_id,
        layouts=layouts,
        marks=layout_marks(layouts),
        features=tuple(features),
        sources=sources,
        privacy=Privacy(spec.privacy, key) if private else None,
        encode={
            stream: encode[stream]
            for stream in features
            if stream in encode and stream not in private and layouts[stream].kind == "vector"
        },
        texts=frozenset(encode),
        rollout_open=rollout_open,
    )


def index_plans(models: Mapping[str, Plan]) -> Plans:
    """The plans of all models, found by topic."""
    by_topic: dict[str, dict[str, Plan]] = {}
    subscribers: dict[str, dict[str, list[Plan]]] = {}
    idle: dict[str, float] = {}
    for plan in models.values():
        for topic in topics_of(plan.spec):
            by_topic.setdefault(topic, {})[plan.spec.model] = plan
            idle[topic] = max(idle.get(topic, 0.0), plan.spec.clock.idle_s)
            for source in plan.sources:
                subscribers.setdefault(topic, {}).setdefault(source, []).append(plan)
    return Plans(
        models=models,
        by_topic=by_topic,
        subscribers={
            topic: {source: tuple(plans) for source, plans in found.items()}
            for topic, found in subscribers.items()
        },
        decoders={topic: _decoder(found.values()) for topic, found in by_topic.items()},
        idle_s=idle,
        texts={
            topic: frozenset(name for plan in found.values() for name in plan.texts)
            for topic, found in by_topic.items()
        },
    )


def _decoder(plans: Iterable[Plan]) -> Decoder:
    """The decoder of a topic. Foreign names are moved before anyone can see whose event it is, so
    the policies of one topic share their maps."""
    fields: dict[str, str] = {}
    for plan in plans:
        for theirs, ours in plan.spec.events.field_map:
            if fields.setdefault(theirs, ours) != ours:
                raise MistakeError(f"two policies of one topic map {theirs} to different fields")
    return MappedDecoder(fields) if fields else DECODERS["json"]
