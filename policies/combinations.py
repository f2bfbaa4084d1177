"""Which combinations of a policy's sections mean something; every clash is told, none is repaired."""

from collections.abc import Iterator

from policies.clashes import Clash, Platform, clash, unnamed
from policies.conditions.cron import cron_problem
from policies.document import PolicyDocument, RetrainDocument, ScheduleDocument
from policies.mistakes import Path, listed, nearest
from policies.rollout_checks import canary_clashes, gate_clashes
from policies.rule_checks import rule_clashes
from policies.units import duration_text, share_text

# What an event consists of; foreign names are mapped to these or to `features.NAME`.
EVENT_FIELDS = (
    "error",
    "features",
    "id",
    "label",
    "latency_ms",
    "model",
    "prediction",
    "score",
    "segment",
    "shadow_of",
    "source",
    "subject",
    "ts",
    "variant",
    "vectors",
    "version",
)
HOLDOUT_MAX = 0.5


def clashes(document: PolicyDocument, platform: Platform | None) -> Iterator[Clash]:
    """Everything that cannot be together, whatever else is wrong."""
    yield from _modes(document)
    yield from _names(document)
    yield from _times(document)
    yield from _encoders(document, platform)
    yield from _rules(document, platform)
    if document.retrain is not None:
        yield from _retrain(document, document.retrain, platform)
    for place, gate in enumerate(document.gate):
        yield from gate_clashes(gate, ("gate", place))
    if document.canary is not None:
        yield from canary_clashes(document, document.canary, platform)


def _rules(document: PolicyDocument, platform: Platform | None) -> Iterator[Clash]:
    seen: dict[str, int] = {}
    for place, rule in enumerate(document.watch.rules):
        path: Path = ("watch", "rules", place)
        yield from rule_clashes(rule, path, platform)
        # Alerts and decisions know a rule by what it asks, not by how loud it is.
        over = rule.over or (None if rule.falling_for else document.clock.pane)
        asks = rule.model_copy(update={"over": over})
        key = asks.model_dump_json(exclude={"severity", "min_events"})
        if key in seen:
            first = ("watch", "rules", seen[key])
            yield clash(path, f"asks the same as rules[{seen[key]}]; one of them is enough", first)
        seen.setdefault(key, place)


def _modes(document: PolicyDocument) -> Iterator[Clash]:
    if document.mode in ("retrain", "auto") and document.retrain is None:
        why = f"{document.mode} needs a section retrain that names a trainer"
        yield clash(("mode",), why, ("retrain",))
    if document.mode == "auto" and document.canary is None:
        why = "auto needs a section canary; canary: {} takes every default"
        yield clash(("mode",), why, ("canary",))
    promote = document.promote
    if promote.probation == 0 and promote.reverse_shadow > 0 and document.canary is not None:
        why = "there is no probation in which the old version could answer; write 0% or a probation"
        if "reverse_shadow" in promote.model_fields_set:
            yield clash(("promote", "reverse_shadow"), why, ("promote", "probation"))


def _names(document: PolicyDocument) -> Iterator[Clash]:
    registry = document.registry
    aliases = {"champion": registry.champion, "challenger": registry.challenger}
    for role, alias in aliases.items():
        if alias == registry.previous:
            why = f"is {alias}, the alias of the {role} too; the way back needs its own"
            yield clash(("registry", "previous"), why, ("registry", role))
    if registry.champion == registry.challenger:
        why = f"is {registry.champion}, the champion's alias too; each role needs its own"
        yield clash(("registry", "challenger"), why, ("registry", "champion"))
    privacy = document.privacy
    for place, name in enumerate(privacy.hash):
        if name in privacy.drop:
            why = f"{name} is dropped already; nothing is left to hash"
            yield clash(("privacy", "hash", place), why, ("privacy", "drop"))
    for place, name in enumerate(privacy.drop):
        if name == "id":
            why = "labels find their predictions by id; hash it instead"
            yield clash(("privacy", "drop", place), why)
    yield from _field_map(document.events.map)


def _field_map(fields: dict[str, str]) -> Iterator[Clash]:
    seen: dict[str, str] = {}
    for foreign, ours in fields.items():
        path = ("events", "map", foreign)
        if ours in seen:
            yield clash(path, f"{seen[ours]} is mapped to {ours} already", ("events", "map"))
        seen.setdefault(ours, foreign)
        if ours.split(".")[0] not in EVENT_FIELDS:
            meant = nearest(ours, EVENT_FIELDS)
            why = f"an event has no field {ours!r}"
            if not meant:
                why += f"; it has {listed(EVENT_FIELDS, 'and')}; features are features.NAME"
            yield clash(path, why, suggestion=meant)


def _encoders(document: PolicyDocument, platform: Platform | None) -> Iterator[Clash]:
    events, privacy = document.events, document.privacy
    for feature, encoder in events.encode.items():
        path = ("events", "encode", feature)
        if platform is not None and encoder not in platform.encoders:
            yield unnamed("encoder", encoder, platform.encoders, path)
        for key in ("drop", "hash"):
            if feature in getattr(privacy, key):
                why = f"privacy.{key} takes {feature} away first; nothing is left to encode"
                yield clash(path, why, ("privacy", key), about="key")
        source, dot, _ = feature.partition(".")
        if dot and source in events.sources:
            why = f"is a feature of the source {source}; only those of predictions are encoded"
            yield clash(path, why, ("events", "sources"), about="key")


def _times(document: PolicyDocument) -> Iterator[Clash]:
    labels = document.labels
    if labels.maturity is not None and labels.maturity > labels.arrive_within:
        longest = duration_text(labels.arrive_within)
        why = f"is later than arrive_within ({longest}); nothing would wait for those labels"
        yield clash(("labels", "maturity"), why, ("labels", "arrive_within"))
    # The bucket divides the pane and every window; one second is the finest that is kept.
    why = "must be whole seconds; counters are kept by the second at the finest"
    if document.clock.pane % 1:
        yield clash(("clock", "pane"), why)
    for place, rule in enumerate(document.watch.rules):
        if rule.over is not None and rule.over % 1:
            yield clash(("watch", "rules", place, "over"), why)
    if document.watch.false_alarms.count <= 0:
        why = "a budget of no false alarms finds nothing; write a small one, such as 1 per 365d"
        yield clash(("watch", "false_alarms"), why)


def _retrain(
    document: PolicyDocument, retrain: RetrainDocument, platform: Platform | None
) -> Iterator[Clash]:
    here: Path = ("retrain",)
    for place, item in enumerate(retrain.on):
        where = (*here, "on", place)
        if item in retrain.on[:place]:
            yield clash(where, "stands here twice")
        if item == "input_drift" and not document.watch.drift.enabled:
            why = "nothing raises it: watch.drift.enabled is false"
            yield clash(where, why, ("watch", "drift", "enabled"))
        if isinstance(item, ScheduleDocument):
            key, problem = cron_problem(item.schedule, item.timezone)
            if problem:
                yield clash((*where, key), problem)
    data, limits = retrain.data, retrain.limits
    if not 0 < data.holdout <= HOLDOUT_MAX:
        why = f"must be more than 0% and at most {share_text(HOLDOUT_MAX)}: something to train on,"
        yield clash((*here, "data", "holdout"), f"{why} something to judge by")
    if data.window <= document.labels.arrive_within:
        wait = duration_text(document.labels.arrive_within)
        why = f"is not longer than the wait for labels ({wait}); it would hold none"
        yield clash((*here, "data", "window"), why, ("labels", "arrive_within"))
    if limits.budget.count < 1 or limits.budget.count % 1:
        why = "must allow a whole number of trainings, at least 1; mode: alert trains never"
        yield clash((*here, "limits", "budget"), why)
    if platform is not None and retrain.trainer not in platform.trainers:
        yield unnamed("trainer", retrain.trainer, platform.trainers, (*here, "trainer"))
