"""What people see of a lifecycle: `driftd status`, the terminal view and the report."""

from typing import Any

from agents.stages.pairs import day_effect
from agents.stages.routing import routing_of
from agents.stages.state import LifecycleState, Stage
from policies.specs import ModelSpec


def stage_view(state: LifecycleState, spec: ModelSpec) -> dict[str, Any]:
    """Plain values: stage, champion, candidate, step, weight, judges with evidence 0..1.

    ``harm`` and ``proof`` are log e-values over their thresholds, cut to [0, 1]. ``day_effect`` is
    the variance of daily means over what independent subjects would give: about 1 if days are
    independent; NaN-free: None below three days.
    """
    rollout = state.rollout
    in_rollout = rollout is not None and state.stage is not Stage.WATCHING
    judges = rollout.judges if rollout is not None and in_rollout else ()
    weight, shadow = _shares(state, spec) if in_rollout else (0.0, 0.0)
    return {
        "stage": state.stage.value,
        "paused": state.paused,
        "held": state.held,
        "champion": state.champion,
        "previous": state.previous,
        "candidate": rollout.candidate if rollout is not None and in_rollout else "",
        "gate": rollout.gate if rollout is not None and in_rollout else "",
        "step": rollout.step if rollout is not None and in_rollout else None,
        "weight": weight,
        "shadow": shadow,
        "began": rollout.began if rollout is not None and in_rollout else None,
        "clock_stopped": state.fault_from is not None,
        "days": max((len(judge.days) for judge in judges), default=0),
        "day_effect": next((day_effect(judge.days) for judge in judges if judge.days), None),
        "judges": [
            {
                "name": judge.name,
                "metric": judge.metric,
                "harm": _unit(judge.harm),
                "proof": _unit(judge.proof),
                "seen": judge.seen,
                "days": len(judge.days),
                "day_effect": day_effect(judge.days),
            }
            for judge in judges
        ],
        "trainings": state.trainings_total,
        "barred": list(state.barred),
        "epoch": state.epoch,
    }


def _shares(state: LifecycleState, spec: ModelSpec) -> tuple[float, float]:
    """Of the version that has to prove itself: its live weight, and the share that is paired."""
    routing = routing_of(state, spec)
    candidate = state.rollout.candidate if state.rollout is not None else ""
    weight = sum(route.weight for route in routing.routes if route.version == candidate)
    return weight, max((shadow.share for shadow in routing.shadows), default=0.0)


def _unit(evidence: float) -> float:
    return min(1.0, max(0.0, evidence))
