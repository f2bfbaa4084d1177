"""The offline gate: a version that never saw the hold-out against the champion on it."""

from msgspec.structs import replace

from agents.commands import Evaluate
from agents.contract import Step
from agents.events import CommandDone, Ticked
from agents.ids import op_id
from agents.stages import refit
from agents.stages.attempts import abandon, attempt_of, retrain_of
from agents.stages.moves import (
    TRIES_MAX,
    awaiting,
    changed,
    decided,
    due,
    enter,
    heard,
    in_flight,
    later,
    step,
)
from agents.stages.state import Attempt, LifecycleState, Stage
from policies.specs import ModelSpec

# An evaluation that cannot tell is asked again as late labels come, so often at most.
ASKS_MAX = 3


def begin(
    spec: ModelSpec, state: LifecycleState, attempt: Attempt, now: float
) -> Step[LifecycleState]:
    """Compare the version that the training with a hold-out made with the champion."""
    after = enter(state, Stage.EVALUATING, now, attempt=attempt)
    return _send(spec, after, attempt, 1)


def ended(
    spec: ModelSpec, state: LifecycleState, done: CommandDone, now: float
) -> Step[LifecycleState]:
    """Pass, fail, or not evaluable: only a pass goes on, only a fail says something against it."""
    state, op = heard(state, done)
    attempt = attempt_of(state)
    verdict = done.result.get("verdict") if done.outcome == "done" else None
    reasons = "; ".join(map(str, done.result.get("reasons", ()))) or done.reason
    about = {
        "incident_id": attempt.incident_id,
        "op_id": op.op_id,
        "evidence": {name: done.result[name] for name in ("metrics", "n") if name in done.result},
    }
    if verdict == "pass":
        why = f"version {attempt.version} is better than {state.champion or 'nothing'}: {reasons}"
        note = decided(now, "pass gate", why, by="evidence", **about)
        then = refit.begin(spec, state, now)
        return step(then.state, note, *then.decisions, commands=then.commands)
    if verdict == "fail":
        note = decided(now, "fail gate", reasons, by="evidence", **about)
        left = abandon(state, now, f"the gate said no to attempt {attempt.number}")
        return step(left.state, note, *left.decisions)
    if verdict == "not_evaluable":
        note = decided(now, "not evaluable", reasons, by="evidence", **about)
        unclear = replace(attempt, asks=attempt.asks + 1, unclear_at=None)
        return step(changed(state, attempt=unclear), note)
    if done.outcome == "failed" and op.attempt < TRIES_MAX:
        return step(later(state, op, now))
    return abandon(state, now, f"the evaluation could not be made ({done.outcome}): {reasons}")


def tick(spec: ModelSpec, state: LifecycleState, event: Ticked, now: float) -> Step[LifecycleState]:
    """Ask again once the labels that were under way can have come; give up after a few times."""
    attempt = attempt_of(state)
    if number := due(state, "evaluate", now):
        return _send(spec, state, attempt, number)
    if in_flight(state, "evaluate") or any(one.kind == "evaluate" for one in state.retries):
        return step(state)
    if attempt.unclear_at is None:
        unclear = replace(attempt, unclear_at=event.watermark)
        return step(changed(state, attempt=unclear))
    if event.watermark - attempt.unclear_at < spec.labels.arrive_within_s:
        return step(state)
    if attempt.asks >= ASKS_MAX:
        return abandon(state, now, f"it could not be evaluated, {attempt.asks} times asked")
    return _send(spec, state, attempt, 1)


def _send(
    spec: ModelSpec, state: LifecycleState, attempt: Attempt, number: int
) -> Step[LifecycleState]:
    parts = (attempt.number, attempt.asks, number)
    command = Evaluate(
        op_id=op_id(spec.model, attempt.cause, "evaluate", *parts),
        model=spec.model,
        candidate=attempt.version,
        champion=state.champion,
        since=attempt.since,
        until=attempt.until,
        holdout=retrain_of(spec).holdout,
        onset=attempt.onset,
        must_improve=attempt.must_improve,
        gate=spec.gate,
        without=attempt.without,
    )
    return step(awaiting(state, command, "evaluate", number), commands=(command,))
