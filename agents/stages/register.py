"""A candidate gets its name in the registry before any request reaches it."""

from agents.commands import MarkChallenger
from agents.contract import Step
from agents.events import CommandDone, OperatorAsked, Ticked
from agents.ids import op_id
from agents.stages import canary, promote
from agents.stages.attempts import abandon, attempt_of
from agents.stages.moves import (
    TRIES_MAX,
    awaiting,
    decided,
    due,
    enter,
    heard,
    later,
    refused,
    rollout_of,
    step,
)
from agents.stages.state import LifecycleState, Rollout, Stage
from policies.specs import ModelSpec


def own(spec: ModelSpec, state: LifecycleState, version: str, now: float) -> Step[LifecycleState]:
    """The candidate that our own gate let pass."""
    attempt = attempt_of(state)
    if version == state.champion or version in state.barred:
        return abandon(state, now, f"the trainer named version {version}, which is not a new one")
    rollout = Rollout(
        candidate=version,
        cause=attempt.cause,
        number=attempt.number,
        incident_id=attempt.incident_id,
        by=attempt.by,
    )
    return _send(spec, enter(state, Stage.REGISTERING, now, rollout=rollout), 1)


def ask_canary(
    spec: ModelSpec, state: LifecycleState, asked: OperatorAsked, now: float
) -> Step[LifecycleState]:
    """A version that another pipeline trained and gated wants to prove itself here."""
    version = str(asked.arguments.get("version", ""))
    for stands, why in (
        (spec.mode == "observe", "the policy's mode is observe"),
        (spec.canary is None, "the policy has no `canary`"),
        (not state.champion, "no champion is known to compare it with"),
        (not version, "it names no version"),
        (version == state.champion, f"version {version} is the champion"),
        (version in state.barred, f"version {version} is barred: it did harm before"),
    ):
        if stands:
            return refused(state, asked, now, why)
    serial = state.serial + 1
    rollout = Rollout(
        candidate=version,
        cause=f"external {version}",
        number=serial,
        gate="external",
        by=asked.by,
    )
    after = enter(state, Stage.REGISTERING, now, rollout=rollout, serial=serial)
    why = f"{asked.by} brought version {version}, gated elsewhere"
    sent = _send(spec, after, 1)
    return step(
        sent.state, decided(now, "accept challenger", why, by=asked.by), commands=sent.commands
    )


def ended(
    spec: ModelSpec, state: LifecycleState, done: CommandDone, now: float
) -> Step[LifecycleState]:
    """Registered: prove it on live traffic, as far as the policy's mode goes."""
    state, op = heard(state, done)
    rollout = rollout_of(state)
    if done.outcome == "failed" and op.attempt < TRIES_MAX:
        return step(later(state, op, now))
    if done.outcome != "done":
        return abandon(state, now, f"version {rollout.candidate} was not registered: {done.reason}")
    begun = _registered(spec, state, rollout, now)
    warnings = "; ".join(map(str, done.result.get("warnings", ())))
    if not warnings:
        return begun
    why = f"version {rollout.candidate} runs in the serving environment, but {warnings}"
    note = decided(now, "tell", why, incident_id=rollout.incident_id, op_id=op.op_id)
    return step(begun.state, note, *begun.decisions, commands=begun.commands)


def tick(
    spec: ModelSpec, state: LifecycleState, _event: Ticked, now: float
) -> Step[LifecycleState]:
    """Try again what failed, when its pause is over."""
    number = due(state, "challenger", now)
    return _send(spec, state, number) if number else step(state)


def _registered(
    spec: ModelSpec, state: LifecycleState, rollout: Rollout, now: float
) -> Step[LifecycleState]:
    if not state.champion:
        return promote.consider(spec, state, now)
    if rollout.gate == "own" and (spec.mode != "auto" or spec.canary is None):
        end = f"the policy's mode {spec.mode}" if spec.canary else "a policy without `canary`"
        after = enter(state, Stage.WATCHING, now, attempt=None, rollout=None)
        why = (
            f"version {rollout.candidate} passed the gate and is registered; {end} ends here, "
            f"`driftd model canary {spec.model} --version {rollout.candidate}` goes on"
        )
        return step(after, decided(now, "candidate", why, incident_id=rollout.incident_id))
    return canary.begin(spec, state, rollout, now)


def _send(spec: ModelSpec, state: LifecycleState, number: int) -> Step[LifecycleState]:
    rollout = rollout_of(state)
    command = MarkChallenger(
        op_id=op_id(spec.model, rollout.cause, "challenger", rollout.number, number),
        model=spec.model,
        registry=spec.registry.name,
        challenger_alias=spec.registry.challenger,
        version=rollout.candidate,
        tags={
            "driftd.state": "candidate",
            "driftd.gate": rollout.gate,
            "driftd.cause": rollout.cause,
        },
    )
    return step(awaiting(state, command, "challenger", number), commands=(command,))
