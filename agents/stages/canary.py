"""The online proof: live traffic and shadow answers, step by step, judged at any time."""

from typing import Any

from msgspec.structs import replace

from agents.contract import Step
from agents.events import ArmsObserved, CommandDone, OperatorAsked, PairsJoined, Ticked
from agents.stages import evidence, promote, retreat
from agents.stages.moves import (
    TRIES_MAX,
    changed,
    decided,
    enter,
    heard,
    in_flight,
    later,
    rollout_of,
    step,
)
from agents.stages.routing import step_of
from agents.stages.state import LifecycleState, Rollout, Stage
from policies.specs import CanarySpec, ModelSpec


def begin(
    spec: ModelSpec, state: LifecycleState, rollout: Rollout, now: float
) -> Step[LifecycleState]:
    """Step 0 begins; its routing follows from the stage."""
    judges = evidence.open_judges(spec.canary or CanarySpec())
    after = enter(state, Stage.CANARY, now, rollout=replace(rollout, judges=judges), attempt=None)
    first = step_of(after, spec)
    why = (
        f"version {rollout.candidate} answers {first.weight:.0%} of the requests "
        f"and {first.shadow:.0%} in shadow"
    )
    note = decided(
        now,
        "canary",
        why,
        by=rollout.by or "policy",
        incident_id=rollout.incident_id,
        evidence={"version": rollout.candidate, "gate": rollout.gate},
    )
    return step(after, note)


def on_pairs(
    spec: ModelSpec, state: LifecycleState, event: PairsJoined, now: float
) -> Step[LifecycleState]:
    """Requests that both versions answered, with their labels."""
    rollout = rollout_of(state)
    if state.fault_from is not None or spec.canary is None:
        return step(state)  # broken input decides nothing
    if (event.champion, event.challenger) != (state.champion, rollout.candidate):
        return step(state)  # pairs of an earlier rollout
    judges = evidence.judge_pairs(
        spec.canary, rollout.judges, event, judged=rollout.candidate, step=rollout.step
    )
    state = changed(state, rollout=replace(rollout, judges=judges))
    return retreat.harm(state, now) or step(state)


def on_answers(
    spec: ModelSpec, state: LifecycleState, event: ArmsObserved, now: float
) -> Step[LifecycleState]:
    """What both arms did since the last increment. A step begins when its traffic is seen."""
    rollout = rollout_of(state)
    if state.fault_from is not None or spec.canary is None:
        return step(state)
    seen = any(arm.version == rollout.candidate and c.n for arm, c in event.arms.items())
    if not seen or in_flight(state, "traffic"):
        return step(state)
    if rollout.step_began is None:
        # The first step's first traffic is also where the patience of the whole canary begins:
        # what a router takes to follow is not held against the candidate.
        began = event.at if rollout.step == 0 else rollout.began
        rollout = replace(rollout, step_began=event.at, began=began)
    judges = evidence.judge_answers(
        spec.canary,
        rollout.judges,
        event,
        judged=rollout.candidate,
        opponent=state.champion,
        step=rollout.step,
    )
    state = changed(state, rollout=replace(rollout, judges=judges))
    return retreat.harm(state, now) or step(state)


def tick(spec: ModelSpec, state: LifecycleState, event: Ticked, now: float) -> Step[LifecycleState]:
    """A step ends when its time has passed and its evidence is in; the canary, at its deadline."""
    rollout, canary = rollout_of(state), spec.canary
    if canary is None:
        why = "the policy has no `canary` any more"
        return retreat.begin(state, now, "inconclusive", why)
    if state.fault_from is not None or event.watermark <= 0:
        return step(state)
    if rollout.began is None:
        return step(changed(state, rollout=replace(rollout, began=event.watermark)))
    return _judged(spec, state, canary, event.watermark, now)


def _judged(
    spec: ModelSpec, state: LifecycleState, canary: CanarySpec, watermark: float, now: float
) -> Step[LifecycleState]:
    rollout = rollout_of(state)
    last = rollout.step >= len(canary.steps) - 1
    began = rollout.step_began
    over = began is not None and watermark - began >= step_of(state, spec).for_s
    if over and last and evidence.proven(rollout.judges):
        return promote.consider(spec, state, now)
    if over and not last and evidence.all_saw(rollout.judges, rollout.step, step_of(state, spec)):
        return _next(spec, state, now)
    spent = watermark - rollout.began if rollout.began is not None else 0.0
    if spent >= canary.give_up_after_s:
        days = spent / 86_400.0
        why = (
            f"neither proof nor harm after {days:.1f} days ({evidence.in_words(rollout.judges)}); "
            f"it stays a candidate"
        )
        return retreat.begin(state, now, "inconclusive", why, by="evidence")
    return step(state)


def ask_promote(
    spec: ModelSpec, state: LifecycleState, asked: OperatorAsked, now: float
) -> Step[LifecycleState]:
    """A person does not wait for the evidence; the journal keeps who, and what was known."""
    rollout = rollout_of(state)
    why = f"{asked.by} promoted it by hand ({evidence.in_words(rollout.judges)})"
    return promote.begin(spec, state, now, why, by=asked.by)


def ask_refuse(
    _spec: ModelSpec, state: LifecycleState, asked: OperatorAsked, now: float
) -> Step[LifecycleState]:
    """A person does not want this candidate; that says nothing of harm."""
    why = str(asked.arguments.get("why", "")) or f"{asked.by} refused it"
    return retreat.begin(state, now, "refused", why, by=asked.by)


def traffic_ended(
    _spec: ModelSpec, state: LifecycleState, done: CommandDone, now: float
) -> Step[LifecycleState]:
    """The router took the routing; where it does not, there is no rollout."""
    state, op = heard(state, done)
    if done.outcome == "done":
        return step(state)
    if done.outcome == "failed" and op.attempt < TRIES_MAX:
        return step(later(state, op, now))
    why = f"the router did not take the traffic of the rollout: {done.reason}"
    return retreat.begin(state, now, "held", why, then=Stage.HELD)


def _next(spec: ModelSpec, state: LifecycleState, now: float) -> Step[LifecycleState]:
    rollout = rollout_of(state)
    after = changed(state, rollout=replace(rollout, step=rollout.step + 1, step_began=None))
    new = step_of(after, spec)
    why = (
        f"step {rollout.step + 1} is over without harm ({evidence.in_words(rollout.judges)}); "
        f"version {rollout.candidate} answers {new.weight:.0%} from now on"
    )
    about: dict[str, Any] = {
        "incident_id": rollout.incident_id,
        "evidence": evidence.told(rollout),
    }
    return step(after, decided(now, "next step", why, by="evidence", **about))
