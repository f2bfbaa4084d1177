"""What the registry's aliases say, held against what we did: foreign hands are seen and told."""

from msgspec.structs import replace

from agents.commands import LoadProfile
from agents.contract import Step
from agents.events import CommandDone, OperatorAsked, RegistryObserved
from agents.ids import op_id
from agents.stages import deleted, people, retreat
from agents.stages.attempts import abandon
from agents.stages.moves import (
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
from agents.stages.state import PREPARING, LifecycleState, Retry, Stage
from policies.specs import ModelSpec

PROFILE_AGAIN_S = 6 * 3_600.0
TOLD = frozenset({Stage.HELD, Stage.ROLLING_BACK})
ROLLOUT = frozenset({Stage.CANARY, Stage.AWAITING_APPROVAL, Stage.PROMOTING})


def observe(
    spec: ModelSpec, state: LifecycleState, event: RegistryObserved, now: float
) -> Step[LifecycleState]:
    """Know the champion; believe a foreign move where nothing is under way, else hold and tell."""
    fresh = tuple(version for version in event.gone if version not in state.gone)
    state = changed(state, gone=event.gone)
    if fresh:
        lost = deleted.begin(state, event, fresh, now)
        if lost.state.stage is not state.stage:
            return lost
        then = _aliases(spec, lost.state, event, now)
        return step(then.state, *lost.decisions, *then.decisions, commands=then.commands)
    return _aliases(spec, state, event, now)


def ask_resume(
    spec: ModelSpec, state: LifecycleState, asked: OperatorAsked, now: float
) -> Step[LifecycleState]:
    """A person looked: what the alias names now is the champion, unless it is barred."""
    if state.paused:
        return people.resume(spec, state, asked, now)
    after = enter(state, Stage.WATCHING, now, held="", rollout=None, attempt=None)
    note = decided(now, "resume", f"{asked.by} looked: {state.held}", by=asked.by)
    seen = state.registry
    if seen is None or seen == state.champion:
        return step(after, note)
    if seen in state.barred:
        why = f"the champion alias still names version {seen}, which is barred"
        return step(state, decided(now, "hold", why, by=asked.by))
    adopted = _adopt(after, seen, now)
    return step(adopted.state, note, *adopted.decisions)


def want_profile(spec: ModelSpec, state: LifecycleState, now: float) -> Step[LifecycleState]:
    """Ask for the champion's reference profile where the store does not have it yet."""
    wanted = state.champion
    waits = any(retry.kind == "profile" and retry.at > now for retry in state.retries)
    if (wanted and wanted == state.profile) or in_flight(state, "profile"):
        return step(state)
    if waits and wanted == state.profile_asked:
        return step(state)
    number = state.profiles_asked + 1
    command = LoadProfile(
        op_id=op_id(spec.model, f"policy {spec.revision}", "profile", number),
        model=spec.model,
        registry=spec.registry.name,
        version=wanted,
        champion_alias=spec.registry.champion,
    )
    attempt = due(state, "profile", now) or 1
    after = changed(state, profiles_asked=number, profile_asked=wanted)
    return step(awaiting(after, command, "profile", attempt), commands=(command,))


def profile_ended(
    _spec: ModelSpec, state: LifecycleState, done: CommandDone, now: float
) -> Step[LifecycleState]:
    """The reference is in the store; or there is none, which is told once a version."""
    state, op = heard(state, done)
    if done.outcome == "failed":
        return step(later(state, op, now))
    if done.outcome == "refused":
        # A person may log one later; until then it is told once a version.
        asked = state.profile_asked
        retry = Retry(kind="profile", attempt=1, at=now + PROFILE_AGAIN_S)
        after = changed(state, profile_refused=asked, retries=(*state.retries, retry))
        if asked == state.profile_refused:
            return step(after)
        why = f"no reference profile: {done.reason}"
        return step(after, decided(now, "tell", why, op_id=op.op_id))
    version = str(done.result.get("version", ""))
    after = changed(state, profile=version, profile_refused=None)
    if not after.champion and version:
        why = f"version {version} is champion by the registry"
        return step(changed(after, champion=version), decided(now, "know champion", why))
    return step(after)


def _aliases(
    spec: ModelSpec, state: LifecycleState, event: RegistryObserved, now: float
) -> Step[LifecycleState]:
    seen, before = event.champion, state.registry
    if seen is None:
        if before is None:
            return step(state)
        alias = spec.registry.champion
        why = (
            f"the alias {alias!r} of {spec.registry.name} names no version any more; traffic stays "
            f"as it is; point it at version {state.champion}, or at the one that shall serve"
        )
        return step(changed(state, registry=None), decided(now, "tell", why))
    state = changed(state, registry=seen)
    if not state.champion:
        why = f"version {seen} is champion by the registry"
        known = changed(state, champion=seen, previous=event.previous or "")
        return step(known, decided(now, "know champion", why))
    if seen in _ours(state):
        return step(state)
    if seen in {state.previous, *state.barred} and before != seen:
        # This may have been read before our own last move ended; who sees it again believes it.
        return step(state)
    return _foreign(state, seen, now)


def _ours(state: LifecycleState) -> frozenset[str]:
    """What the alias may name while our own moves are under way."""
    names = {state.champion}
    if state.stage is Stage.PROMOTING and state.rollout is not None:
        names.add(state.rollout.candidate)
    if state.stage is Stage.ROLLING_BACK and state.retreat is not None:
        names.add(state.retreat.version)
    return frozenset(names)


def _foreign(state: LifecycleState, seen: str, now: float) -> Step[LifecycleState]:
    why = f"a foreign hand moved the champion alias from version {state.champion} to {seen}"
    if state.stage in TOLD and why in (state.held, state.retreat.why if state.retreat else ""):
        return step(state)  # it is seen again at every look; the journal says it once
    if state.stage in ROLLOUT:
        return retreat.begin(state, now, "held", why, then=Stage.HELD)
    if state.stage is Stage.ROLLING_BACK and state.retreat is not None:
        held = replace(state.retreat, then=Stage.HELD, alias=False, why=why)
        return step(changed(state, retreat=held), decided(now, "tell", why))
    if state.stage is Stage.HELD:
        return step(changed(state, held=why), decided(now, "tell", why))
    return _unprepared(state, seen, why, now)


def _unprepared(state: LifecycleState, seen: str, why: str, now: float) -> Step[LifecycleState]:
    if state.stage is Stage.PROBATION or seen in state.barred:
        after = enter(state, Stage.HELD, now, rollout=None, attempt=None, held=why)
        return step(after, decided(now, "hold", f"a person has to look: {why}"))
    if state.stage in PREPARING:
        left = abandon(state, now, f"it was made to replace version {state.champion}; {why}")
        adopted = _adopt(left.state, seen, now)
        return step(adopted.state, *left.decisions, *adopted.decisions)
    return _adopt(state, seen, now)


def _adopt(state: LifecycleState, seen: str, now: float) -> Step[LifecycleState]:
    why = f"a foreign hand made version {seen} champion; {state.champion} is the way back"
    after = changed(state, champion=seen, previous=state.champion)
    return step(after, decided(now, "adopt", why, by="registry"))
