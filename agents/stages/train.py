"""Whether a training begins, and what becomes of it: the policy decides, the trainer trains."""

from collections import Counter

from msgspec.structs import replace

from agents.contract import Step
from agents.events import CommandDone, OperatorAsked, Ticked
from agents.stages import evaluate, notes
from agents.stages.attempts import abandon, attempt_of, may_again, retrain_of, train_command
from agents.stages.moves import (
    awaiting,
    changed,
    decided,
    due,
    enter,
    heard,
    later,
    refused,
    settle,
    step,
)
from agents.stages.state import (
    TRAININGS_KEPT_MAX,
    Attempt,
    LifecycleState,
    Request,
    Stage,
    Training,
)
from policies.conditions.contract import REQUEST, Cause, Evidence, OpenIncident
from policies.decide import Decision, decide
from policies.specs import ModelSpec

MODES_THAT_TRAIN = frozenset({"retrain", "auto"})


def tick(spec: ModelSpec, state: LifecycleState, event: Ticked, now: float) -> Step[LifecycleState]:
    """Ask the policy; begin a training, or say once what stands in the way of one."""
    if state.started is None and now > 0:
        state = changed(state, started=now)
    if spec.retrain is None or event.watermark <= 0:
        return step(state)
    if spec.mode not in MODES_THAT_TRAIN and state.request is None:
        return step(state)
    if not state.champion and state.request is None:
        return step(state)  # nothing serves yet: only a person asks for a first version
    decision = decide(spec.retrain, _evidence(state), now)
    if decision.act and decision.cause is not None:
        return _begin(spec, state, _cause(state, decision), decision.cause, event.watermark, now)
    return _waits(state, decision, now)


def ask(
    spec: ModelSpec, state: LifecycleState, asked: OperatorAsked, now: float
) -> Step[LifecycleState]:
    """A person wants a training; the next tick begins it, unless the input is broken."""
    if spec.retrain is None:
        return refused(state, asked, now, "the policy has no `retrain`")
    if spec.mode == "observe":
        return refused(state, asked, now, "the policy's mode is observe")
    serial = state.serial + 1
    request = Request(
        cause=f"request {asked.request_id or serial}",
        by=asked.by,
        ref=str(asked.arguments.get("ref", "")),
    )
    why = f"{asked.by} asked for a training" + (f" of {request.ref}" if request.ref else "")
    note = decided(now, "retrain asked", why, by=asked.by)
    return step(changed(state, request=request, serial=serial), note)


def ended(
    spec: ModelSpec, state: LifecycleState, done: CommandDone, now: float
) -> Step[LifecycleState]:
    """The training with a hold-out ended: evaluate its version, try again, or leave it."""
    state, op = heard(state, done)
    version = str(done.result.get("version", ""))
    if done.outcome == "done" and version:
        attempt = replace(attempt_of(state), version=version)
        return evaluate.begin(spec, state, attempt, now)
    why = done.reason or "the trainer named no version"
    if done.outcome == "failed" and may_again(spec, state, now):
        note = decided(now, "train again", f"training {op.attempt} failed: {why}", op_id=op.op_id)
        return step(later(state, op, now), note)
    return abandon(state, now, f"the training {done.outcome}: {why}")


def again(
    spec: ModelSpec, state: LifecycleState, _event: Ticked, now: float
) -> Step[LifecycleState]:
    """A failed training is tried again when its pause is over: another attempt, the same data."""
    if not due(state, "train", now):
        return step(state)
    if not may_again(spec, state, now):
        return abandon(state, now, "the training failed, and no other attempt is allowed")
    attempt = attempt_of(state)
    return _send(spec, state, replace(attempt, number=attempt.number + 1), now)


def _evidence(state: LifecycleState) -> Evidence:
    return Evidence(
        since=state.started if state.started is not None else 0.0,
        incidents=tuple(
            OpenIncident(incident_id=one.incident_id, kind=one.kind, onset=one.onset)
            for one in state.incidents
        ),
        labels_since={
            one.incident_id: notes.labels_since(state, one.onset) for one in state.incidents
        },
        trainings=tuple(training.started for training in state.trainings),
        trainings_total=state.trainings_total,
        attempts=Counter(training.cause for training in state.trainings),
        settled=frozenset(state.settled),
        rested=state.rested,
        requested=state.request is not None,
    )


def _cause(state: LifecycleState, decision: Decision) -> str:
    cause = decision.cause
    if cause is None:
        raise ValueError("nothing is trained without a cause")
    request = state.request
    return request.cause if cause.key == REQUEST and request is not None else cause.key


def _begin(
    spec: ModelSpec,
    state: LifecycleState,
    key: str,
    cause: Cause,
    watermark: float,
    now: float,
) -> Step[LifecycleState]:
    request = state.request if cause.key == REQUEST else None
    since = max(0.0, watermark - retrain_of(spec).window_s)
    incident = cause.incident
    attempt = Attempt(
        cause=key,
        number=1 + sum(training.cause == key for training in state.trainings),
        since=since,
        until=watermark,
        without=notes.faults_within(state, since, watermark),
        incident_id=incident.incident_id if incident is not None else "",
        onset=incident.onset if incident is not None else since,
        must_improve=notes.metric_that_fell(state, incident.incident_id) if incident else "",
        by=request.by if request is not None else "policy",
        why=cause.why,
        ref=request.ref if request is not None else "",
    )
    if request is not None:
        state = changed(state, request=None)
    if cause.slot is not None:
        state = changed(state, settled=settle(state, key))
    after = enter(changed(state, waits=""), Stage.TRAINING, now)
    return _send(spec, after, attempt, now)


def _send(
    spec: ModelSpec, state: LifecycleState, attempt: Attempt, now: float
) -> Step[LifecycleState]:
    command = train_command(spec, attempt, "gate", attempt.number)
    training = Training(
        cause=attempt.cause,
        attempt=attempt.number,
        started=now,
        incident_id=attempt.incident_id,
    )
    after = changed(
        state,
        attempt=attempt,
        trainings=(*state.trainings, training)[-TRAININGS_KEPT_MAX:],
        trainings_total=state.trainings_total + 1,
    )
    days = (attempt.until - attempt.since) / 86_400.0
    note = decided(
        now,
        "train",
        f"{attempt.why}; attempt {attempt.number} on the last {days:.1f} days",
        by=attempt.by,
        incident_id=attempt.incident_id,
        op_id=command.op_id,
    )
    after = awaiting(after, command, "train", attempt.number)
    return step(after, note, commands=(command,))


def _waits(state: LifecycleState, decision: Decision, now: float) -> Step[LifecycleState]:
    cause = decision.cause
    bars = [one.name for one in decision.answers if one.answer != "no"] if cause else []
    waits = f"{cause.key}: {', '.join(bars)}" if cause else ""
    if waits == state.waits and state.request is None:
        return step(state)
    after = changed(state, waits=waits, request=None)
    if cause is None:
        return step(after)
    incident = cause.incident.incident_id if cause.incident is not None else ""
    what = "decline" if state.request is not None else "wait"
    return step(after, decided(now, what, f"no training: {decision.why}", incident_id=incident))
