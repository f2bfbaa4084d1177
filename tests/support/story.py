"""A model, its lifecycle and a small world that executes its commands: whole stories by the day."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from agents.commands import (
    AnyCommand,
    Decided,
    Evaluate,
    LoadProfile,
    MarkChallenger,
    MoveAlias,
    Routing,
    SetTraffic,
    TagVersion,
    Train,
)
from agents.events import (
    LATENCY,
    Arm,
    ArmCounts,
    ArmQuality,
    ArmsObserved,
    CommandDone,
    OperatorAsked,
    PairsJoined,
    QualityMatured,
    RegistryObserved,
    Ticked,
)
from agents.incidents import Incident, IncidentChanged, Kind, State, StreamMoved
from agents.lifecycle import Lifecycle, LifecycleState, desired_routing, pairing
from agents.stages.contract import LifecycleEvent
from agents.stages.state import Stage
from detectors.quality import QualitySketch
from policies.specs import (
    CanarySpec,
    JudgeSpec,
    LabelSpec,
    ModelSpec,
    PromoteSpec,
    RegistrySpec,
    RetrainSpec,
    StepSpec,
)

DAY = 86_400.0
START = 1_000 * DAY
BRIER = JudgeSpec(name="brier", metric="brier", worse_by_at_most=0.0)
ERROR_RATE = JudgeSpec(
    name="error_rate", metric="error_rate", roll_back_above=1.2, promote_below=1.5
)
LATENCY_P99 = JudgeSpec(
    name="latency_p99", metric="latency_p99", roll_back_above=1.1, promote_below=1.3
)
CANARY = CanarySpec(
    steps=(
        StepSpec(weight=0.1, shadow=1.0, for_s=14 * DAY),
        StepSpec(weight=0.5, shadow=1.0, for_s=3 * DAY),
    ),
    judge=(BRIER,),
    give_up_after_s=21 * DAY,
)
RETRAIN = RetrainSpec(trainer="t", cooldown_s=10 * DAY, budget_count=9, budget_per_s=400 * DAY)


def policy(
    *,
    canary: CanarySpec | None = CANARY,
    retrain: RetrainSpec | None = RETRAIN,
    promote: PromoteSpec | None = None,
    **more: Any,
) -> ModelSpec:
    """The policy of the stories: promoted without asking, probation of 3 days."""
    values: dict[str, Any] = {
        "model": "flight-delay",
        "mode": "auto",
        "registry": RegistrySpec(name="flight_delay"),
        "labels": LabelSpec(arrive_within_s=DAY, maturity_s=DAY / 2),
        "retrain": retrain,
        "canary": canary,
        "promote": promote or PromoteSpec(probation_s=3 * DAY, reverse_shadow=0.1),
        **more,
    }
    return ModelSpec(**values)


def incident(
    kind: Kind = "quality",
    *,
    onset: float,
    name: str = "",
    state: State = "open",
    closed: float | None = None,
) -> Incident:
    """An incident with one stream."""
    moved = StreamMoved(
        stream="brier_skill",
        distance="brier_skill" if kind == "quality" else "ks",
        effect=-0.1,
        tolerance=0.0,
        evidence=1.0,
        since=onset,
    )
    return Incident(
        incident_id=name or f"{kind}-1",
        model="flight-delay",
        kind=kind,
        severity="warning",
        onset=onset,
        opened=onset,
        summary=f"{kind} since {onset:.0f}",
        streams=(moved,),
        state=state,
        closed=closed,
    )


@dataclass
class World:
    """What executes commands. ``refuses`` and ``fails``: kinds of commands that end so; ``slow``:
    kinds that stay in the outbox."""

    aliases: dict[str, str] = field(default_factory=lambda: {"champion": "1"})
    routing: Routing | None = None
    versions: int = 1
    verdict: str = "pass"
    refuses: set[type[AnyCommand]] = field(default_factory=set)
    fails: set[type[AnyCommand]] = field(default_factory=set)
    slow: set[type[AnyCommand]] = field(default_factory=set)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    done: dict[str, CommandDone] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    def delete(self, version: str) -> None:
        """Somebody deletes a version; the registry drops its aliases without a word."""
        self.deleted.add(version)
        self.aliases = {alias: v for alias, v in self.aliases.items() if v != version}

    def execute(self, command: AnyCommand) -> CommandDone:
        """To effect once by op_id; a repeated command has the same end."""
        if command.op_id not in self.done:
            self.done[command.op_id] = self._execute(command)
        return self.done[command.op_id]

    def _execute(self, command: AnyCommand) -> CommandDone:
        kind = str(command.__struct_config__.tag)

        def end(outcome: Any, reason: str = "", **result: Any) -> CommandDone:
            return CommandDone(
                op_id=command.op_id, kind=kind, outcome=outcome, result=result, reason=reason
            )

        if type(command) in self.refuses:
            return end("refused", "the world said no")
        if type(command) in self.fails:
            return end("failed", "the world broke")
        if self._touched(command) in self.deleted:
            return end("refused", "there is no such version")
        if isinstance(command, LoadProfile) and not (
            command.version or self.aliases.get("champion")
        ):
            return end("refused", "there is no alias champion")
        if isinstance(command, MoveAlias):
            held = self.aliases.get("champion", "")
            if held not in {command.expect, command.to} and not (command.fills and not held):
                return end("refused", "a foreign hand was there")
            if command.previous and command.previous not in self.deleted:
                self.aliases["previous"] = command.previous
            self.aliases["champion"] = command.to
        return end("done", **self._effect(command))

    def _touched(self, command: AnyCommand) -> str:
        match command:
            case MoveAlias():
                return command.to
            case MarkChallenger() | TagVersion():
                return command.version
        return ""

    def _effect(self, command: AnyCommand) -> Mapping[str, Any]:
        match command:
            case Train():
                self.versions += 1
                return {"version": str(self.versions), "run_id": "r"}
            case Evaluate():
                return {"verdict": self.verdict, "reasons": ["as the story says"], "n": 900}
            case SetTraffic():
                if self.routing is None or command.routing.epoch > self.routing.epoch:
                    self.routing = command.routing
                return {"epoch": command.routing.epoch}
            case MarkChallenger():
                self.aliases["challenger"] = command.version
            case TagVersion():
                self.tags.setdefault(command.version, {}).update(command.tags)
            case LoadProfile():
                return {"version": command.version or self.aliases["champion"], "profile_id": 1}
        return {}


@dataclass
class Story:
    """Tells events to a lifecycle and keeps all that follows."""

    spec: ModelSpec = field(default_factory=policy)
    world: World = field(default_factory=World)
    state: LifecycleState = field(default_factory=LifecycleState.new)
    at: float = START
    seed: int = 0
    commands: list[AnyCommand] = field(default_factory=list)
    decisions: list[Decided] = field(default_factory=list)
    outbox: list[AnyCommand] = field(default_factory=list)
    answers: Callable[["Story", str], ArmCounts] | None = None

    def tell(self, *events: LifecycleEvent, execute: bool = True) -> None:
        """Handle events; every step is taken twice, the second time from a stored snapshot, as
        after a crash: it must be the same step."""
        lifecycle = Lifecycle(self.spec)
        for event in events:
            step = lifecycle.handle(self.state, event, self.at)
            stored = msgspec.msgpack.encode(self.state)
            again = lifecycle.handle(
                msgspec.msgpack.decode(stored, type=LifecycleState), event, self.at
            )
            assert again == step
            self.state = step.state
            self.commands += step.commands
            self.decisions += step.decisions
            self.outbox += step.commands
        if execute:
            self.execute()

    def execute(self) -> None:
        """Let the world execute what is in the outbox, until nothing is."""
        while ready := [one for one in self.outbox if type(one) not in self.world.slow]:
            self.outbox.remove(ready[0])
            self.tell(self.world.execute(ready[0]), execute=False)

    def ask(self, verb: str, **arguments: Any) -> None:
        """A person asks."""
        name = f"{verb}-{self.at:.0f}"
        self.tell(OperatorAsked(verb=verb, by="ana", arguments=arguments, request_id=name))

    def tick(self) -> None:
        """Time is told."""
        self.tell(Ticked(now=self.at, watermark=self.at))

    def day(self, gain: float | None = 0.0, *, n: int = 60, labels: int = 300) -> None:
        """One event day of traffic, pairs and time. ``gain``: by how much the opponent's Brier
        score is smaller than the champion's; None: no pairs come."""
        start, self.at = self.at, self.at + DAY
        self.tell(ArmsObserved(at=self.at - 1.0, arms=self._traffic()))
        if labels:
            self.tell(self._matured(start, labels))
        couple = pairing(self.state)
        if couple is not None and gain is not None:
            self.tell(self._pairs(start, couple, gain, n))
        self.tick()

    def days(self, count: int, gain: float | None = 0.0) -> None:
        """Several such days."""
        for _ in range(count):
            self.day(gain)

    def until(self, stage: Stage, gain: float | None = 0.0, *, most: int = 60) -> int:
        """Days until the stage is reached."""
        for day in range(most):
            if self.state.stage is stage:
                return day
            self.day(gain)
        if self.state.stage is stage:
            return most
        raise AssertionError(f"still {self.state.stage} after {most} days, not {stage}")

    def open(self, kind: Kind = "quality", **about: Any) -> None:
        """An incident is opened."""
        opened = incident(kind, **{"onset": self.at - 5 * DAY, **about})
        self.tell(IncidentChanged(change="opened", incident=opened, at=self.at))

    def close(self, kind: Kind = "quality", **about: Any) -> None:
        """It is resolved."""
        closed = incident(
            kind, **{"onset": self.at - 5 * DAY, "state": "resolved", "closed": self.at, **about}
        )
        self.tell(IncidentChanged(change="closed", incident=closed, at=self.at))

    def known(self) -> "Story":
        """The champion, version 1, is known and has been watched for a while."""
        self.tick()
        self.days(10)
        assert self.state.champion == "1"
        return self

    def in_canary(self) -> "Story":
        """An incident led to a candidate, version 3 (2 saw only a part of the data)."""
        self.known().open()
        self.tick()
        assert self.stage() is Stage.CANARY
        return self

    def in_probation(self) -> "Story":
        """The candidate was better and became champion."""
        self.in_canary().until(Stage.PROBATION, 0.1)
        return self

    def observe(self) -> None:
        """The registry is looked at."""
        names = self.world.aliases
        self.tell(
            RegistryObserved(
                champion=names.get("champion"),
                challenger=names.get("challenger"),
                previous=names.get("previous"),
                gone=tuple(sorted(self.world.deleted & self._relied())),
            )
        )

    def _relied(self) -> set[str]:
        rollout = self.state.rollout
        candidate = rollout.candidate if rollout is not None else ""
        return {self.state.champion, self.state.previous, candidate}

    def of(self, kind: type[AnyCommand]) -> list[Any]:
        """All commands of a kind, oldest first."""
        return [command for command in self.commands if isinstance(command, kind)]

    def stage(self) -> Stage:
        """Where the model stands."""
        return self.state.stage

    def words(self) -> list[str]:
        """What was decided, oldest first."""
        return [one.what for one in self.decisions]

    def _traffic(self) -> dict[Arm, ArmCounts]:
        routing = desired_routing(self.state, self.spec)
        if routing is None:
            return {Arm("1", "champion"): ArmCounts(n=1_000)}
        arms: dict[Arm, ArmCounts] = {}
        for route in routing.routes:
            arm = Arm(route.version, route.variant)  # type: ignore[arg-type]
            arms[arm] = self._answered(route.version, round(1_000 * route.weight))
        for shadow in routing.shadows:
            arms[Arm(shadow.version, "shadow")] = self._answered(shadow.version, 100)
        return arms

    def _answered(self, version: str, n: int) -> ArmCounts:
        made = self.answers(self, version) if self.answers is not None else ArmCounts()
        counts = {LATENCY: made.counts[LATENCY] * n} if LATENCY in made.counts else {}
        return ArmCounts(n=n, errors=made.errors * n // 1_000, counts=counts)

    def _matured(self, start: float, labels: int) -> QualityMatured:
        zeros, ones = np.zeros(labels), np.zeros(labels, np.int64)
        sketch = QualitySketch.fold(zeros, ones, ones)
        quality = ArmQuality(predictions=labels, sketch=sketch)
        return QualityMatured(
            start=start, end=self.at, arms={Arm(self.state.champion, "champion"): quality}
        )

    def _pairs(self, start: float, couple: tuple[str, str], gain: float, n: int) -> PairsJoined:
        rng = np.random.default_rng([self.seed, int(self.at)])
        label = (rng.random(2 * n) < 0.5).astype(np.int64)
        # Champion at 0.5: Brier 1/4. An opponent nearer to the label by d gains d - d².
        near = gain + rng.normal(0.0, 0.1, 2 * n)
        opponent = np.clip(0.5 + np.where(label == 1, near, -near), 0.0, 1.0)
        return PairsJoined(
            start=start,
            end=self.at,
            champion=couple[0],
            challenger=couple[1],
            subject=np.arange(2 * n, dtype=np.int64) // 2,
            champion_score=np.full(2 * n, 0.5),
            challenger_score=opponent,
            label=label,
        )
