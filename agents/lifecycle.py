"""The lifecycle of one model: an event in; a new state, commands and decisions out.

The roads stand in ``agents.stages.roads``, what each stage decides in the files beside it. Three
things are done here, once for all roads: what the table does not know leaves the state untouched;
traffic follows from the stage; and a pause lets only a way back through.
"""

from hashlib import sha256

import msgspec

from agents.commands import SetTraffic
from agents.contract import Step
from agents.events import (
    CommandDone,
    OperatorAsked,
    PaneClosed,
    Ticked,
)
from agents.ids import op_id
from agents.stages.contract import VERBS, LifecycleEvent, Trigger
from agents.stages.evidence import judge_specs
from agents.stages.moves import awaiting, changed, due, ignored, op_of, refused, step
from agents.stages.registry import want_profile
from agents.stages.roads import ROADS
from agents.stages.routing import desired_routing, pairing, rollout_open, routing_of
from agents.stages.state import OPEN_ROLLOUT, LifecycleState, Stage
from agents.stages.view import stage_view
from policies.specs import ModelSpec

__all__ = [
    "ROADS",
    "Lifecycle",
    "LifecycleState",
    "desired_routing",
    "pairing",
    "rollout_open",
    "stage_view",
]

# While a model is paused, a person can still do this.
VERBS_IN_PAUSE = frozenset({"pause", "resume", "rollback", "refuse"})
OPS_IN_PAUSE = frozenset({"traffic", "profile"})


class Lifecycle:
    """Pure: the same state, event and time give the same step, and so the same op_ids."""

    def __init__(self, spec: ModelSpec) -> None:
        """ValueError for a judge that nobody can judge."""
        if spec.canary is not None:
            judge_specs(spec.canary)
        self._spec = spec

    def handle(
        self, state: LifecycleState, event: LifecycleEvent, now: float
    ) -> Step[LifecycleState]:
        """What follows from ``event``. ``now``: the clock of cool-downs, budgets and schedules."""
        taken = self._taken(state, event, now)
        # What ended during a pause is heard when it is over, or when a way back needs to know.
        while taken.state.deferred and not _is_braked(taken.state):
            first, *rest = taken.state.deferred
            after = changed(taken.state, deferred=tuple(rest))
            taken = _both(taken, self._taken(after, first, now))
        return taken

    def _taken(
        self, state: LifecycleState, event: LifecycleEvent, now: float
    ) -> Step[LifecycleState]:
        trigger = _trigger(state, event)
        if trigger is None:
            return step(state)
        if isinstance(event, CommandDone) and not trigger:
            why = "nobody waits for it any more"
            return ignored(state, now, f"the end of {event.kind} {event.op_id}", why)
        if _is_braked(state) and (held := _braked(state, event, now)) is not None:
            return held
        road = ROADS.get((state.stage, trigger))
        if road is None:
            return self._no_road(state, event, trigger, now)
        taken = road.decide(self._spec, state, event, now)
        if taken.state.stage not in road.to:
            raise AssertionError(f"no road from {state.stage} by {trigger} to {taken.state.stage}")
        if isinstance(event, Ticked) and taken.state.stage in {Stage.WATCHING, Stage.PROBATION}:
            taken = _both(taken, want_profile(self._spec, taken.state, now))
        return self._with_traffic(taken, now)

    def _no_road(
        self, state: LifecycleState, event: LifecycleEvent, trigger: Trigger, now: float
    ) -> Step[LifecycleState]:
        why = f"a model that is {state.stage} has no road for it"
        if isinstance(event, OperatorAsked):
            return ignored(state, now, event.verb, why, by=event.by)
        if isinstance(event, CommandDone):
            return ignored(state, now, str(trigger), why)
        return step(state)  # an observation that nobody waits for is no news

    def _with_traffic(self, taken: Step[LifecycleState], now: float) -> Step[LifecycleState]:
        """Send the routing first, whenever what the stage means differs from what was sent."""
        spec, state = self._spec, taken.state
        directs = state.epoch > 0 or state.stage in OPEN_ROLLOUT
        router = spec.canary.router if spec.canary is not None else state.router
        if not router or not state.champion or not directs:
            return taken
        routing = routing_of(state, spec)
        meant = _digest(msgspec.structs.replace(routing, epoch=0))
        attempt = due(state, "traffic", now)
        if meant == state.routed and not attempt:
            return taken
        if _is_braked(state) and len(routing.routes) > 1:
            return taken
        state = changed(state, epoch=state.epoch + 1, routed=meant, router=router)
        command = SetTraffic(
            op_id=op_id(spec.model, "traffic", state.epoch),
            model=spec.model,
            router=router,
            routing=routing_of(state, spec),
        )
        state = awaiting(state, command, "traffic", attempt or 1)
        return Step(state=state, commands=(command, *taken.commands), decisions=taken.decisions)


def _trigger(state: LifecycleState, event: LifecycleEvent) -> Trigger | None:
    """The column of the table; None for what others hear; empty for an end nobody waits for."""
    if isinstance(event, OperatorAsked):
        return event.verb if event.verb in VERBS else None
    if isinstance(event, CommandDone):
        op = op_of(state, event)
        return f"{op.kind} ended" if op is not None else ""
    return None if isinstance(event, PaneClosed) else type(event)


def _is_braked(state: LifecycleState) -> bool:
    return state.paused and state.stage is not Stage.ROLLING_BACK


def _braked(
    state: LifecycleState, event: LifecycleEvent, now: float
) -> Step[LifecycleState] | None:
    """What a pause makes of an event; None: it is handled as ever."""
    if isinstance(event, Ticked):
        return step(state)
    if isinstance(event, OperatorAsked) and event.verb not in VERBS_IN_PAUSE:
        return refused(state, event, now, "the model is paused; resume it first")
    if isinstance(event, CommandDone):
        op = op_of(state, event)
        if op is not None and op.kind not in OPS_IN_PAUSE:
            return step(changed(state, deferred=(*state.deferred, event)))
    return None


def _both(one: Step[LifecycleState], two: Step[LifecycleState]) -> Step[LifecycleState]:
    return Step(
        state=two.state,
        commands=(*one.commands, *two.commands),
        decisions=(*one.decisions, *two.decisions),
    )


def _digest(value: msgspec.Struct) -> str:
    return sha256(msgspec.msgpack.encode(value)).hexdigest()[:16]
