"""One model as series: what its state, its commands and its incidents say at a scrape."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import msgspec

from agents.incidents import State
from agents.lifecycle import rollout_open, stage_view
from agents.snapshot import Snapshot
from agents.stages.state import LifecycleState
from agents.watching.state import ReadingState
from driftd.console.families import Families
from driftd.console.quality_window import QualityWindow
from driftd.metrics import COMMANDS, INCIDENTS
from driftd.store.rows import ModelRow
from driftd.store.scrapes import OpenCommand, Scraped
from policies.specs import ModelSpec, Severity

# A series for every feature of every model would drown Prometheus; the strongest are looked at.
STREAMS_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is kept of a model between two scrapes, as of ``revision``."""

    revision: int
    policy_revision: int
    lifecycle: LifecycleState
    learned: bool
    states: Mapping[str, int]
    strongest: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, row: ModelRow) -> "Known":
        """Raises ``SnapshotError`` for the state of a newer driftd."""
        snapshot = Snapshot.from_bytes(row.snapshot, row.snapshot_format)
        readings = msgspec.json.decode(row.readings or b"[]")
        return cls(
            revision=row.revision,
            policy_revision=row.policy_revision,
            lifecycle=snapshot.lifecycle,
            learned=snapshot.watch.learned,
            states=Counter(reading["state"] for reading in readings),
            strongest=strongest(readings, STREAMS_MAX),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """One owned model at one scrape; ``now`` is wall time."""

    spec: ModelSpec
    known: Known
    window: QualityWindow
    scraped: Scraped
    now: float


def add_model(families: Families, view: ModelView) -> None:
    """Add all series of one model."""
    stage = stage_view(view.known.lifecycle, view.spec)
    _add_state(families, view, stage)
    _add_canary(families, view.spec.model, stage)
    _add_streams(families, view)
    _add_incidents(families, view)
    _add_commands(families, view)
    _add_quality(families, view, stage)


def strongest(readings: Iterable[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """The readings with the most evidence, the strongest first."""
    ranked = sorted(readings, key=lambda r: (-(r["evidence"] or 0.0), r["stream"]))
    return ranked[:count]


def _add_state(families: Families, view: ModelView, stage: Mapping[str, Any]) -> None:
    spec, known, scraped = view.spec, view.known, view.scraped
    name = spec.model
    families.add(
        "model_info", 1.0, name, spec.owner, spec.mode, stage["champion"], stage["candidate"]
    )
    families.add("stage", 1.0, name, stage["stage"])
    families.add("paused", float(stage["paused"]), name)
    families.add("learning", float(not known.learned), name)
    families.add("policy_revision", known.policy_revision, name)
    families.add("policy_published_revision", scraped.published.get(name, 0), name)
    families.add("rollout_open", float(rollout_open(known.lifecycle)), name)
    families.add("traffic_epoch", stage["epoch"], name)
    families.add("trainings", stage["trainings"], name)
    topics = (spec.events.predictions, spec.events.labels, *spec.events.sources)
    marks = [scraped.watermarks[topic] for topic in topics if topic in scraped.watermarks]
    families.add("watermark_timestamp_seconds", min(marks, default=0.0), name)
    families.add("closed_timestamp_seconds", scraped.closed[name] or 0.0, name)


def _add_canary(families: Families, name: str, stage: Mapping[str, Any]) -> None:
    families.add("canary_step", stage["step"] or 0, name)
    families.add("canary_weight_ratio", stage["weight"], name)
    families.add("canary_shadow_ratio", stage["shadow"], name)
    for judge in stage["judges"]:
        families.add("judge_evidence", judge["harm"], name, judge["name"], "harm")
        families.add("judge_evidence", judge["proof"], name, judge["name"], "proof")
        families.add("judge_seen", judge["seen"], name, judge["name"])


def _add_streams(families: Families, view: ModelView) -> None:
    name = view.spec.model
    for state in get_args(ReadingState):
        families.add("streams", view.known.states.get(state, 0), name, state)
    for reading in view.known.strongest:
        families.add("stream_evidence", reading["evidence"] or 0.0, name, reading["stream"])
        if reading["effect"] is not None:
            labels = (name, reading["stream"], reading["distance"])
            families.add("stream_effect", reading["effect"], *labels)


def _add_incidents(families: Families, view: ModelView) -> None:
    name, incidents = view.spec.model, view.scraped.incidents
    for kind in INCIDENTS:
        for severity in get_args(Severity):
            count = incidents.get((name, kind, severity, "open"), 0)
            families.add("incidents_open", count, name, kind, severity)
    by_state: Counter[str] = Counter()
    for (model, _, _, state), count in incidents.items():
        if model == name:
            by_state[state] += count
    for state in get_args(State):
        families.add("incidents", by_state[state], name, state)


def _add_commands(families: Families, view: ModelView) -> None:
    name = view.spec.model
    commands = view.scraped.commands.get(name, [])
    by_kind: dict[str, list[OpenCommand]] = {kind: [] for kind in COMMANDS}
    for command in commands:
        by_kind.setdefault(command.kind, []).append(command)
    for kind, found in sorted(by_kind.items()):
        oldest = min((one.wall_created for one in found), default=view.now)
        families.add("commands_open", len(found), name, kind)
        families.add("command_oldest_age_seconds", max(0.0, view.now - oldest), name, kind)
    families.add("command_attempts", max((one.attempt for one in commands), default=0), name)
    running = [one for one in by_kind["train"] if one.state == "running"]
    families.add("trainings_running", len(running), name)
    families.add("inbox_messages", view.scraped.inbox.get(name, 0), name)


def _add_quality(families: Families, view: ModelView, stage: Mapping[str, Any]) -> None:
    name = view.spec.model
    arms = {arm: stage[arm] for arm in ("champion", "candidate") if stage[arm]}
    # A model that nobody has looked at yet has a champion of which nothing is known.
    for arm, version in (arms or {"champion": ""}).items():
        pooled = view.window.pooled(version)
        families.add("quality_labels", pooled.sketch.n, name, arm)
        for metric, value in pooled.scores().items():
            families.add("quality_score", value, name, arm, metric)
    families.add("label_arrival_ratio", view.window.arrival(arms.values()), name)
