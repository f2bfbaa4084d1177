"""The way back: traffic first, by version number; the aliases and the tags after it."""

from msgspec.structs import replace

from agents.commands import AnyCommand, Decided, MoveAlias, TagVersion
from agents.contract import Step
from agents.events import CommandDone, OperatorAsked, Ticked
from agents.ids import op_id
from agents.stages import evidence
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
    refused,
    rollout_of,
    step,
)
from agents.stages.state import LifecycleState, Retreat, RetreatKind, Rollout, Stage
from policies.specs import ModelSpec

WHY_CHARACTERS_MAX = 250
SAID_NO: frozenset[RetreatKind] = frozenset({"harmful", "operator", "refused"})

WORDS: dict[RetreatKind, str] = {
    "harmful": "roll back",
    "inconclusive": "ticket",
    "operator": "roll back",
    "refused": "refuse",
    "expired": "ticket",
    "held": "hold",
}


def begin(
    state: LifecycleState,
    now: float,
    kind: RetreatKind,
    why: str,
    *,
    by: str = "policy",
    bar: bool = False,
    then: Stage = Stage.WATCHING,
) -> Step[LifecycleState]:
    """Take the version that has to prove itself out of traffic; the routing follows the stage.

    Only harm, or a person who says so, bars a version for ever.
    """
    champion, rollout, moved = _whence(state, kind)
    bars = bar or kind == "harmful"
    barred = state.barred
    if bars and rollout.candidate not in barred:
        barred = (*barred, rollout.candidate)
    pending = next((op.op_id for op in state.ops if op.kind == "alias"), "")
    after = enter(
        state,
        Stage.ROLLING_BACK,
        now,
        champion=champion,
        rollout=rollout,
        serial=state.serial + 1,
        barred=barred,
        approval=None,
        held=why if then is Stage.HELD else "",
        retreat=Retreat(
            kind=kind,
            version=rollout.candidate,
            why=why,
            alias=moved and bool(champion),
            after=pending,
            then=then,
        ),
    )
    if pending:
        # Its end is waited for: an alias that is moved back must not be moved forward after it.
        after = changed(after, ops=(*after.ops, *(o for o in state.ops if o.kind == "alias")))
    told = evidence.told(rollout)
    outcome = f"version {rollout.candidate} goes back to 0 % of traffic: {why}"
    journal = decided(
        now, WORDS[kind], outcome, by=by, incident_id=rollout.incident_id, evidence=told
    )
    return step(after, journal)


def harm(state: LifecycleState, now: float) -> Step[LifecycleState] | None:
    """The way back, if a judge has found harm in the version that has to prove itself."""
    judge = evidence.harmful(state.rollout.judges) if state.rollout is not None else None
    if judge is None or state.rollout is None:
        return None
    why = f"{judge.name} has evidence of harm ({evidence.in_words(state.rollout.judges)})"
    return begin(state, now, "harmful", why, by="evidence")


def ask_rollback(
    spec: ModelSpec, state: LifecycleState, asked: OperatorAsked, now: float
) -> Step[LifecycleState]:
    """A person wants the version that is on its way out of traffic, or the previous one back."""
    foreign = state.stage is Stage.HELD and state.registry not in {None, state.champion}
    if state.stage in {Stage.WATCHING, Stage.HELD} and not foreign:
        if spec.mode == "observe":
            return refused(state, asked, now, "the policy's mode is observe")
        if state.previous in {"", state.champion}:
            return refused(state, asked, now, "no previous version is known")
        if state.previous in state.barred:
            return refused(state, asked, now, f"version {state.previous} is barred")
    why = str(asked.arguments.get("why", "")) or f"{asked.by} asked for it"
    bar = bool(asked.arguments.get("bar", False))
    return begin(state, now, "operator", why, by=asked.by, bar=bar)


def ask_again(
    _spec: ModelSpec, state: LifecycleState, asked: OperatorAsked, now: float
) -> Step[LifecycleState]:
    """A person does not want to wait for the next try of what is left to do."""
    retries = tuple(
        type(retry)(kind=retry.kind, attempt=retry.attempt, at=now) for retry in state.retries
    )
    note = decided(now, "try again", "the rest of the roll-back is tried now", by=asked.by)
    return step(changed(state, retries=retries), note)


def tick(
    spec: ModelSpec, state: LifecycleState, _event: Ticked, now: float
) -> Step[LifecycleState]:
    """Try again what failed; go on where nothing is in flight."""
    return _go_on(spec, state, now)


def ended(
    spec: ModelSpec, state: LifecycleState, done: CommandDone, now: float
) -> Step[LifecycleState]:
    """One part of the way back has ended: the next follows."""
    state, op = heard(state, done)
    retreat = _retreat(state)
    if op.op_id == retreat.after:  # the promotion that was under way when the retreat began
        return _go_on(spec, changed(state, retreat=replace(retreat, after="")), now)
    if done.outcome == "failed" and op.attempt < TRIES_MAX:
        return step(later(state, op, now))
    if op.kind == "alias" and done.outcome == "done":
        state = changed(state, registry=state.champion)
    notes: tuple[Decided, ...] = ()
    if done.outcome != "done":
        why = f"the {op.kind} command for version {retreat.version} ended {done.outcome}: "
        notes = (decided(now, "tell", why + (done.reason or "no reason given"), op_id=op.op_id),)
        if op.kind != "tag":  # without a tag the way back is still whole
            retreat = replace(retreat, then=Stage.HELD, why=notes[0].why)
            state = changed(state, retreat=retreat)
    if op.kind == "traffic":
        return _after(notes, _go_on(spec, state, now))
    return _after(notes, _finish(state, now))


def _go_on(spec: ModelSpec, state: LifecycleState, now: float) -> Step[LifecycleState]:
    retreat = _retreat(state)
    waits = any(in_flight(state, kind) for kind in ("traffic", "alias", "tag"))
    if waits or any(retry.at > now for retry in state.retries if retry.kind != "profile"):
        return step(state)
    if any(retry.kind == "traffic" for retry in state.retries):
        return step(state)  # the routing itself is sent again by the lifecycle
    command: AnyCommand
    if retreat.alias:
        attempt = due(state, "alias", now) or 1
        command = _alias_back(spec, state, retreat, attempt)
        return step(awaiting(state, command, "alias", attempt), commands=(command,))
    attempt = due(state, "tag", now) or 1
    command = TagVersion(
        op_id=_name(spec, state, "tag", attempt),
        model=spec.model,
        registry=spec.registry.name,
        version=retreat.version,
        tags=_tags(state, retreat),
    )
    return step(awaiting(state, command, "tag", attempt), commands=(command,))


def _finish(state: LifecycleState, now: float) -> Step[LifecycleState]:
    retreat = _retreat(state)
    held = retreat.why if retreat.then is Stage.HELD else ""
    own = state.rollout is not None and state.rollout.gate == "own"
    # Evidence or a person said no: what trained it rests. An inconclusive end says nothing, and
    # the cool-down since the training is running anyway.
    rested = now if own and retreat.kind in SAID_NO else state.rested
    after = enter(state, retreat.then, now, rollout=None, retreat=None, held=held, rested=rested)
    if retreat.then is Stage.HELD:
        return step(after, decided(now, "hold", f"a person has to look: {held}"))
    why = f"version {state.champion} answers everything, {retreat.version} nothing"
    return step(after, decided(now, "rolled back", why))


def _whence(state: LifecycleState, kind: RetreatKind) -> tuple[str, Rollout, bool]:
    """Who answers from now on, who goes, and whether the champion alias has to move back."""
    rollout = state.rollout or Rollout(
        candidate=state.champion, cause="way back", number=state.serial + 1
    )
    if state.stage in {Stage.PROBATION, Stage.WATCHING}:
        return state.previous, rollout, True
    if state.stage is not Stage.HELD:
        # Held in a promotion, the alias is left to people: a foreign hand may have it.
        return state.champion, rollout, state.stage is Stage.PROMOTING and kind != "held"
    foreign = state.registry
    if foreign is None or foreign == state.champion:
        return state.previous, rollout, True
    # A foreign hand moved the alias: the way back is the champion that answered all the time.
    return state.champion, replace(rollout, candidate=foreign), True


def _alias_back(
    spec: ModelSpec, state: LifecycleState, retreat: Retreat, attempt: int
) -> MoveAlias:
    return MoveAlias(
        op_id=_name(spec, state, "alias back", attempt),
        model=spec.model,
        registry=spec.registry.name,
        champion_alias=spec.registry.champion,
        previous_alias=spec.registry.previous,
        expect=retreat.version,
        to=state.champion,
        previous="",  # stays as it is: it names the way back, which was just taken
        tags={retreat.version: _tags(state, retreat), state.champion: {"driftd.state": "champion"}},
        fills=True,
    )


def _tags(state: LifecycleState, retreat: Retreat) -> dict[str, str]:
    back = retreat.kind in {"harmful", "operator"}
    return {
        "driftd.state": "rolled_back" if back else "candidate",
        "driftd.barred": "true" if retreat.version in state.barred else "false",
        "driftd.why": retreat.why[:WHY_CHARACTERS_MAX],
    }


def _retreat(state: LifecycleState) -> Retreat:
    if state.retreat is None:
        raise ValueError("nothing is rolled back")
    return state.retreat


def _name(spec: ModelSpec, state: LifecycleState, kind: str, attempt: int) -> str:
    rollout = rollout_of(state)
    return op_id(spec.model, rollout.cause, kind, rollout.number, attempt)


def _after(notes: tuple[Decided, ...], then: Step[LifecycleState]) -> Step[LifecycleState]:
    return step(then.state, *notes, *then.decisions, commands=then.commands)
