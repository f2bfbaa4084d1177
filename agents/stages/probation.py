"""After a promotion: the old champion answers a sample in shadow, and the same test goes on."""

from msgspec.structs import replace

from agents.contract import Step
from agents.events import ArmsObserved, PairsJoined, Ticked
from agents.stages import evidence, retreat
from agents.stages.moves import changed, decided, enter, in_flight, rollout_of, step
from agents.stages.state import LifecycleState, Stage
from policies.specs import ModelSpec


def on_pairs(
    spec: ModelSpec, state: LifecycleState, event: PairsJoined, now: float
) -> Step[LifecycleState]:
    """Requests that the new champion and the old one answered: the new one has to hold."""
    rollout = rollout_of(state)
    if state.fault_from is not None or spec.canary is None:
        return step(state)
    if (event.champion, event.challenger) != (state.champion, state.previous):
        return step(state)
    judges = evidence.judge_pairs(
        spec.canary, rollout.judges, event, judged=state.champion, step=rollout.step
    )
    state = changed(state, rollout=replace(rollout, judges=judges))
    return retreat.harm(state, now) or step(state)


def on_answers(
    spec: ModelSpec, state: LifecycleState, event: ArmsObserved, now: float
) -> Step[LifecycleState]:
    """Errors of the new champion against those of the old one's shadow answers."""
    rollout = rollout_of(state)
    if state.fault_from is not None or spec.canary is None:
        return step(state)
    live = any(
        arm.version == state.champion and arm.variant == "champion" and counts.n
        for arm, counts in event.arms.items()
    )
    if live and rollout.step_began is None and not in_flight(state, "traffic"):
        rollout = replace(rollout, step_began=event.at)
    judges = evidence.judge_answers(
        spec.canary,
        rollout.judges,
        event,
        judged=state.champion,
        opponent=state.previous,
        step=rollout.step,
    )
    state = changed(state, rollout=replace(rollout, judges=judges))
    return retreat.harm(state, now) or step(state)


def tick(spec: ModelSpec, state: LifecycleState, event: Ticked, now: float) -> Step[LifecycleState]:
    """Probation begins when the new champion is seen to answer, and ends after its event time:
    an alias that moved is no traffic that moved."""
    rollout = rollout_of(state)
    if state.fault_from is not None or rollout.step_began is None:
        return step(state)
    if event.watermark - rollout.step_began < spec.promote.probation_s:
        return step(state)
    why = f"version {state.champion} did no harm ({evidence.in_words(rollout.judges)})"
    note = decided(
        now,
        "end probation",
        why,
        by="evidence",
        incident_id=rollout.incident_id,
        evidence=evidence.told(rollout),
    )
    return step(enter(state, Stage.WATCHING, now, rollout=None), note)
