"""After the gate a refit on everything is the candidate: the hold-out is the newest data."""

from agents.contract import Step
from agents.events import CommandDone, Ticked
from agents.stages import register
from agents.stages.attempts import abandon, attempt_of, retrain_of, train_command
from agents.stages.moves import awaiting, decided, due, enter, heard, later, step
from agents.stages.state import LifecycleState, Stage
from policies.specs import ModelSpec


def begin(spec: ModelSpec, state: LifecycleState, now: float) -> Step[LifecycleState]:
    """The gate is passed: what is put on live traffic has learnt from everything."""
    after = enter(state, Stage.REFITTING, now)
    command = train_command(spec, attempt_of(state), "refit", 1)
    return step(awaiting(after, command, "refit"), commands=(command,))


def ended(
    spec: ModelSpec, state: LifecycleState, done: CommandDone, now: float
) -> Step[LifecycleState]:
    """The candidate exists: register it; or the refit failed and is tried again."""
    state, op = heard(state, done)
    version = str(done.result.get("version", ""))
    if done.outcome == "done" and version:
        return register.own(spec, state, version, now)
    why = done.reason or "the trainer named no version"
    if done.outcome == "failed" and op.attempt < retrain_of(spec).attempts:
        note = decided(now, "train again", f"refit {op.attempt} failed: {why}", op_id=op.op_id)
        return step(later(state, op, now), note)
    return abandon(state, now, f"the refit {done.outcome}: {why}")


def tick(
    spec: ModelSpec, state: LifecycleState, _event: Ticked, now: float
) -> Step[LifecycleState]:
    """A failed refit is tried again when its pause is over."""
    number = due(state, "refit", now)
    if not number:
        return step(state)
    command = train_command(spec, attempt_of(state), "refit", number)
    return step(awaiting(state, command, "refit", number), commands=(command,))
