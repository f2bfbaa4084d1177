"""Traffic follows from the stage: which version answers what share, and who answers in shadow."""

from agents.commands import Route, Routing, Shadow
from agents.stages.state import LIVE, OPEN_ROLLOUT, LifecycleState, Stage
from policies.specs import ModelSpec, StepSpec


def desired_routing(state: LifecycleState, spec: ModelSpec) -> Routing | None:
    """The whole traffic of the model as it should be now; None while driftd does not direct it.

    driftd directs traffic from its first rollout on, and only where a policy has a canary. The
    reconcile tick may publish this again at any time: the epoch is part of the state.
    """
    if spec.canary is None or not state.champion or state.epoch == 0:
        return None
    return routing_of(state, spec)


def routing_of(state: LifecycleState, spec: ModelSpec) -> Routing:
    """The routing that the stage means, under the state's present epoch."""
    routes: tuple[Route, ...] = (Route(version=state.champion, variant="champion", weight=1.0),)
    shadows: tuple[Shadow, ...] = ()
    loaded: tuple[str, ...] = (state.champion,)
    if state.stage is Stage.PROBATION:
        share = spec.promote.reverse_shadow
        if share > 0 and state.previous not in state.barred:
            shadows = (Shadow(version=state.previous, share=share),)
        loaded = (state.champion, state.previous)
    elif state.stage in LIVE and state.rollout is not None:
        step = step_of(state, spec)
        routes, shadows = _split(state.champion, state.rollout.candidate, step)
        loaded = (state.champion, state.rollout.candidate)
    return Routing(
        model=spec.model,
        epoch=state.epoch,
        routes=routes,
        shadows=shadows,
        loaded=loaded,
        barred=state.barred,
    )


def step_of(state: LifecycleState, spec: ModelSpec) -> StepSpec:
    """The step that the rollout stands at. A policy that lost steps meanwhile: its last one."""
    steps = spec.canary.steps if spec.canary is not None else ()
    if not steps or state.rollout is None:
        return StepSpec()
    return steps[min(state.rollout.step, len(steps) - 1)]


def rollout_open(state: LifecycleState) -> bool:
    """Whether a second version answers or traffic is on its way back: ingest hurries meanwhile."""
    return state.stage in OPEN_ROLLOUT


def pairing(state: LifecycleState) -> tuple[str, str] | None:
    """(version that holds the champion alias, its opponent) whose answers shall be paired."""
    if state.stage is Stage.PROBATION:
        return state.champion, state.previous
    if state.stage in LIVE and state.rollout is not None and state.champion:
        return state.champion, state.rollout.candidate
    return None


def _split(
    champion: str, candidate: str, step: StepSpec
) -> tuple[tuple[Route, ...], tuple[Shadow, ...]]:
    # Both directions, so that every request is a pair, whichever arm answered it.
    routes = (
        Route(version=champion, variant="champion", weight=1.0 - step.weight),
        Route(version=candidate, variant="challenger", weight=step.weight),
    )
    live = tuple(route for route in routes if route.weight > 0)
    if step.shadow <= 0:
        return live, ()
    backwards = (Shadow(version=champion, share=step.shadow),) if step.weight > 0 else ()
    return live, (Shadow(version=candidate, share=step.shadow), *backwards)
