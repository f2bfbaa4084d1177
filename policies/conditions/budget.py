"""Trainings cost money: so many in a span, and so many ever."""

from dataclasses import dataclass

from policies.conditions.contract import Cause, Evidence, Finding
from policies.specs import RetrainSpec
from policies.units import duration_text


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSpent:
    """In the way of every cause, requests included."""

    name: str = "budget"

    def find(
        self, spec: RetrainSpec, evidence: Evidence, cause: Cause | None, now: float
    ) -> Finding:
        """Not yet while the last ``budget_per_s`` hold ``budget_count`` trainings."""
        recent = sorted(start for start in evidence.trainings if start > now - spec.budget_per_s)
        span = duration_text(spec.budget_per_s)
        if len(recent) < spec.budget_count:
            why = f"{len(recent)} of {spec.budget_count} trainings in {span} are used"
            return Finding(name=self.name, answer="no", why=why)
        # The one whose leaving makes room is the oldest of the newest `budget_count`.
        left = recent[-spec.budget_count] + spec.budget_per_s - now
        why = (
            f"all {spec.budget_count} trainings in {span} are used; "
            f"the next is free in {duration_text(left)}"
        )
        return Finding(name=self.name, answer="not_yet", why=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class CeilingReached:
    """``retrain.limits.trainings``: in the way of every cause, for good."""

    name: str = "ceiling"

    def find(
        self, spec: RetrainSpec, evidence: Evidence, cause: Cause | None, now: float
    ) -> Finding:
        """Yes when as many trainings as the policy allows have ever started."""
        most, total = spec.trainings_max, evidence.trainings_total
        if most and total >= most:
            why = f"all {most} trainings that the policy allows have been started"
            return Finding(name=self.name, answer="yes", why=why)
        why = f"{total} of {most} trainings ever are used" if most else "there is no ceiling"
        return Finding(name=self.name, answer="no", why=why)
