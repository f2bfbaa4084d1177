"""Versions that somebody deleted in the registry: what runs goes on, and the way back is kept."""

from agents.contract import Step
from agents.events import RegistryObserved
from agents.stages import retreat
from agents.stages.moves import changed, decided, step
from agents.stages.state import LifecycleState, Stage

# A candidate on its way. A promotion finds out by itself: its move is refused.
JUDGED = frozenset({Stage.CANARY, Stage.AWAITING_APPROVAL})
# The way back is in memory there, whatever the registry has.
WAY_BACK_LOADED = frozenset({Stage.PROBATION, Stage.ROLLING_BACK})


def begin(
    state: LifecycleState, event: RegistryObserved, fresh: tuple[str, ...], now: float
) -> Step[LifecycleState]:
    """What follows from versions that are ``fresh`` among the deleted ones.

    A deleted candidate goes back to 0 %, a deleted new champion gives way to the old one; neither
    is barred. A champion that is only watched stays in traffic: nothing better is known.
    """
    candidate = state.rollout.candidate if state.rollout is not None else ""
    if candidate in fresh and state.stage in JUDGED:
        why = f"version {candidate} was deleted in the registry"
        return retreat.begin(state, now, "inconclusive", why)
    if state.champion in fresh:
        return _champion(state, event, now)
    if state.previous in fresh:
        return _previous(state, now)
    return step(state)


def _champion(state: LifecycleState, event: RegistryObserved, now: float) -> Step[LifecycleState]:
    if event.champion is not None:
        return step(state)  # a foreign hand named another one already: that is looked at by itself
    back = state.previous if state.previous not in {"", state.champion, *event.gone} else ""
    why = f"version {state.champion}, the champion, was deleted in the registry"
    state = changed(state, registry=None)  # the alias went with it: this says it all
    if state.stage is Stage.PROBATION and back:
        return retreat.begin(state, now, "inconclusive", f"{why}; version {back} takes over")
    way = f"`driftd rollback` brings version {back} back" if back else "there is no way back"
    told = (
        f"{why}: it answers where it is loaded and cannot be loaded again; {way}, "
        "or point the alias at another version"
    )
    return step(state, decided(now, "ticket", told))


def _previous(state: LifecycleState, now: float) -> Step[LifecycleState]:
    why = f"version {state.previous}, the way back, was deleted in the registry"
    if state.stage in WAY_BACK_LOADED:
        told = f"{why}: it can take over while servers have it loaded, and cannot be loaded again"
        return step(state, decided(now, "ticket", told))
    told = f"{why}: there is none until the next promotion"
    return step(changed(state, previous=""), decided(now, "ticket", told))
