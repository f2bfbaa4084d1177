"""What people may ask in every stage: a pause, and its end. And the traffic of quiet stages."""

from agents.contract import Step
from agents.events import CommandDone, OperatorAsked
from agents.stages.moves import TRIES_MAX, changed, decided, heard, later, refused, step
from agents.stages.state import LifecycleState
from policies.specs import ModelSpec


def pause(
    _spec: ModelSpec, state: LifecycleState, asked: OperatorAsked, now: float
) -> Step[LifecycleState]:
    """Nothing new begins, no step ends; the way back stays open, by evidence and by hand."""
    if state.paused:
        return refused(state, asked, now, "it is paused already")
    why = f"{asked.by} paused it; only a way back still happens"
    return step(changed(state, paused=True), decided(now, "pause", why, by=asked.by))


def resume(
    _spec: ModelSpec, state: LifecycleState, asked: OperatorAsked, now: float
) -> Step[LifecycleState]:
    """What waited goes on where it stood."""
    if not state.paused:
        return refused(state, asked, now, "it is not paused")
    why = f"{asked.by} resumed it"
    return step(changed(state, paused=False), decided(now, "resume", why, by=asked.by))


def traffic_ended(
    _spec: ModelSpec, state: LifecycleState, done: CommandDone, now: float
) -> Step[LifecycleState]:
    """A router that does not answer is asked again; one that refuses is told to people."""
    state, op = heard(state, done)
    if done.outcome == "done":
        return step(state)
    if done.outcome == "failed" and op.attempt < TRIES_MAX:
        return step(later(state, op, now))
    why = f"the router did not take the traffic: {done.reason}"
    return step(state, decided(now, "tell", why, op_id=op.op_id))
