"""The training under way: its command, its bounds, and how it is left."""

from agents.commands import Train
from agents.contract import Step
from agents.events import OperatorAsked
from agents.ids import op_id
from agents.stages.moves import decided, enter, step
from agents.stages.state import Attempt, LifecycleState, Stage
from policies.specs import ModelSpec, RetrainSpec


def abandon(
    state: LifecycleState, now: float, why: str, *, by: str = "policy"
) -> Step[LifecycleState]:
    """Back to watching; the champion was never touched. The attempt stays counted."""
    incident = state.attempt.incident_id if state.attempt is not None else ""
    after = enter(state, Stage.WATCHING, now, attempt=None, rollout=None)
    why = f"version {state.champion or '-'} stays champion: {why}"
    return step(after, decided(now, "keep champion", why, by=by, incident_id=incident))


def attempt_of(state: LifecycleState) -> Attempt:
    """The training under way, in a stage that has one."""
    if state.attempt is None:
        raise ValueError(f"{state.stage} without a training")
    return state.attempt


def train_command(spec: ModelSpec, attempt: Attempt, phase: str, number: int) -> Train:
    """``phase`` gate or refit; ``number`` counts the tries of this phase."""
    parts: tuple[object, ...] = (attempt.number,)
    if phase == "refit":
        parts = (attempt.number, number)
    retrain = retrain_of(spec)
    kind = "train" if phase == "gate" else "refit"
    return Train(
        op_id=op_id(spec.model, attempt.cause, kind, *parts),
        model=spec.model,
        trainer=retrain.trainer,
        phase=phase,
        attempt=number,
        since=attempt.since,
        until=attempt.until,
        holdout=retrain.holdout,
        incident_id=attempt.incident_id,
        reason=attempt.why,
        ref=attempt.ref,
        without=attempt.without,
    )


def may_again(spec: ModelSpec, state: LifecycleState, now: float) -> bool:
    """Whether a failed training may be tried again now."""
    # A second attempt waits for its pause, not for the cool-down; all other limits hold.
    retrain, attempt = spec.retrain, attempt_of(state)
    if retrain is None or attempt.number >= retrain.attempts:
        return False
    if retrain.trainings_max and state.trainings_total >= retrain.trainings_max:
        return False
    recent = [one for one in state.trainings if one.started > now - retrain.budget_per_s]
    return len(recent) < retrain.budget_count


def ask_refuse(
    _spec: ModelSpec, state: LifecycleState, asked: OperatorAsked, now: float
) -> Step[LifecycleState]:
    """A person does not want what is being trained; what still runs ends unheard."""
    why = str(asked.arguments.get("why", "")) or f"{asked.by} refused it"
    return abandon(state, now, why, by=asked.by)


def retrain_of(spec: ModelSpec) -> RetrainSpec:
    """The policy's `retrain`; its defaults if a change of policy took it away meanwhile."""
    return spec.retrain or RetrainSpec()
