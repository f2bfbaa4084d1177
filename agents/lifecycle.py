"""The lifecycle of one model: ONE table of stages; what is not in it cannot happen."""

from agents.contract import Step
from agents.stages.contract import LifecycleEvent
from agents.stages.routing import desired_routing, pairing, rollout_open
from agents.stages.state import LifecycleState
from agents.stages.view import stage_view
from policies.specs import ModelSpec

__all__ = [
    "Lifecycle",
    "LifecycleState",
    "desired_routing",
    "pairing",
    "rollout_open",
    "stage_view",
]


class Lifecycle:
    """An event in; a new state, commands and decisions out. Pure: the same input, the same step."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec

    def handle(
        self, state: LifecycleState, event: LifecycleEvent, now: float
    ) -> Step[LifecycleState]:
        """What follows from ``event``. ``now``: the clock of cool-downs, budgets and schedules."""
        raise NotImplementedError
