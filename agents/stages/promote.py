"""From a won canary to the champion alias: approval if asked, then the move, then probation."""

from msgspec.structs import replace

from agents.commands import MoveAlias
from agents.contract import Step
from agents.events import CommandDone, OperatorAsked, Ticked
from agents.ids import op_id
from agents.stages import evidence, retreat
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
    settle,
    step,
)
from agents.stages.state import Approval, LifecycleState, Stage
from policies.specs import CanarySpec, ModelSpec

APPROVAL_S = 7 * 86_400.0


def consider(spec: ModelSpec, state: LifecycleState, now: float) -> Step[LifecycleState]:
    """The evidence is in: promote, or ask a person where the policy says so.

    A mode below ``auto`` leaves the last word to people, whoever began the canary; so does a
    first version, which has no champion to be compared with.
    """
    rollout = rollout_of(state)
    words = evidence.in_words(rollout.judges) or "no champion to compare with"
    if spec.mode == "auto" and not spec.promote.approval_required and state.champion:
        return begin(spec, state, now, f"every judge has proof ({words})", by="evidence")
    return _ask(spec, state, now, words)


def _ask(spec: ModelSpec, state: LifecycleState, now: float, words: str) -> Step[LifecycleState]:
    rollout = rollout_of(state)
    approval = Approval(
        version=rollout.candidate,
        revision=spec.revision,
        evidence=evidence.digest(rollout.judges),
        expires=now + APPROVAL_S,
    )
    after = enter(state, Stage.AWAITING_APPROVAL, now, approval=approval)
    why = f"version {rollout.candidate} may be promoted ({words}); `driftd approve {spec.model}`"
    note = decided(
        now,
        "ask for approval",
        why,
        incident_id=rollout.incident_id,
        evidence={**evidence.told(rollout), "digest": approval.evidence},
    )
    return step(after, note)


def begin(
    spec: ModelSpec, state: LifecycleState, now: float, why: str, *, by: str
) -> Step[LifecycleState]:
    """Move the champion alias, if it still names the champion that we know."""
    rollout = rollout_of(state)
    after = enter(
        state, Stage.PROMOTING, now, approval=None, rollout=replace(rollout, promoted_by=by)
    )
    command = _move(spec, after, 1)
    note = decided(
        now,
        "promote",
        f"version {rollout.candidate} becomes champion: {why}",
        by=by,
        incident_id=rollout.incident_id,
        op_id=command.op_id,
        evidence=evidence.told(rollout),
    )
    return step(awaiting(after, command, "alias"), note, commands=(command,))


def approval_tick(
    _spec: ModelSpec, state: LifecycleState, _event: Ticked, now: float
) -> Step[LifecycleState]:
    """Nobody answered in time: that is not a yes."""
    if state.approval is None or now < state.approval.expires:
        return step(state)
    why = "nobody approved it in 7 days; it stays a candidate"
    return retreat.begin(state, now, "expired", why)


def ask_approve(
    spec: ModelSpec, state: LifecycleState, asked: OperatorAsked, now: float
) -> Step[LifecycleState]:
    """A person approves exactly what was asked: this version, this policy, this evidence."""
    approval, rollout = state.approval, rollout_of(state)
    if approval is None:
        return refused(state, asked, now, "nothing was asked")
    if approval.revision != spec.revision:
        anew = _ask(spec, state, now, evidence.in_words(rollout.judges))
        no = refused(anew.state, asked, now, "the policy has changed since; it is asked anew")
        return step(no.state, *no.decisions, *anew.decisions)
    for name, is_so in (("version", approval.version), ("evidence", approval.evidence)):
        if str(asked.arguments.get(name) or is_so) != is_so:
            return refused(state, asked, now, f"the {name} that is asked for is {is_so}")
    if rollout.judges and not evidence.proven(rollout.judges):
        words = evidence.in_words(rollout.judges)
        why = f"the evidence does not hold any more ({words}); `promote` does it without"
        return refused(state, asked, now, why)
    return begin(spec, state, now, f"{asked.by} approved it", by=asked.by)


def ended(
    spec: ModelSpec, state: LifecycleState, done: CommandDone, now: float
) -> Step[LifecycleState]:
    """The alias names the candidate, or a foreign hand was there first."""
    state, op = heard(state, done)
    rollout = rollout_of(state)
    if done.outcome == "failed" and op.attempt < TRIES_MAX:
        return step(later(state, op, now))
    if done.outcome != "done":
        why = f"the champion alias was not moved to {rollout.candidate}: {done.reason}"
        return retreat.begin(state, now, "held", why, then=Stage.HELD)
    judges = evidence.open_judges(spec.canary or CanarySpec())
    old = state.champion
    after = enter(
        state,
        Stage.PROBATION if old else Stage.WATCHING,
        now,
        champion=rollout.candidate,
        previous=old,
        registry=rollout.candidate,
        settled=settle(state, rollout.cause),
        # A fresh test: what made it champion must not hide what it does from now on.
        rollout=replace(rollout, judges=judges, began=None, step_began=None) if old else None,
    )
    why = f"version {rollout.candidate} is champion, {old or 'nothing'} the way back"
    note = decided(now, "promoted", why, incident_id=rollout.incident_id, op_id=op.op_id)
    return step(after, note)


def tick(
    spec: ModelSpec, state: LifecycleState, _event: Ticked, now: float
) -> Step[LifecycleState]:
    """Try the move again if it failed and its pause is over."""
    attempt = due(state, "alias", now)
    if not attempt:
        return step(state)
    command = _move(spec, state, attempt)
    return step(awaiting(state, command, "alias", attempt), commands=(command,))


def _move(spec: ModelSpec, state: LifecycleState, attempt: int) -> MoveAlias:
    rollout, old = rollout_of(state), state.champion
    name = op_id(spec.model, rollout.cause, "alias", rollout.number, attempt)
    tags = {
        rollout.candidate: {
            "driftd.state": "champion",
            "driftd.promoted_from": old,
            "driftd.promoted_by": rollout.promoted_by,
            "driftd.promotion": name,
        }
    }
    if old:
        tags[old] = {"driftd.state": "previous"}
    # Who was the way back until now is it no longer; what was barred keeps saying so.
    if state.previous not in {"", old, rollout.candidate, *state.barred}:
        tags[state.previous] = {"driftd.state": "retired"}
    return MoveAlias(
        op_id=name,
        model=spec.model,
        registry=spec.registry.name,
        champion_alias=spec.registry.champion,
        previous_alias=spec.registry.previous,
        expect=old,
        to=rollout.candidate,
        previous=old,
        tags=tags,
        # The alias of a deleted champion is nobody's; what won against it may have it.
        fills=old in state.gone,
    )
