"""What a road of the lifecycle is: from a stage, by an event or a verb, to one of a few stages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents.contract import Step
from agents.events import (
    ArmsObserved,
    CommandDone,
    OperatorAsked,
    PairsJoined,
    PaneClosed,
    QualityMatured,
    RegistryObserved,
    Ticked,
)
from agents.incidents import IncidentChanged
from agents.stages.state import LifecycleState, Stage
from policies.specs import ModelSpec

LifecycleEvent = (
    ArmsObserved
    | CommandDone
    | IncidentChanged
    | OperatorAsked
    | PairsJoined
    | PaneClosed
    | QualityMatured
    | RegistryObserved
    | Ticked
)
# The verbs that the lifecycle hears; `accept`, `ignore` and `false_alarm` are the watcher's.
VERBS = frozenset(
    {"retrain", "canary", "promote", "approve", "refuse", "rollback", "pause", "resume"}
)
Trigger = type[Any] | str
"""The class of an event, or the verb that an operator asked for."""
Decide = Callable[[ModelSpec, LifecycleState, Any, float], Step[LifecycleState]]
"""(spec, state, event, now) -> step. ``now`` is the clock of cool-downs, budgets, schedules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """``decide`` answers the event; ``to`` are all the stages that it may lead to.

    The stage itself stands in ``to`` where the road may lead back to it.
    """

    decide: Decide
    to: frozenset[Stage]
