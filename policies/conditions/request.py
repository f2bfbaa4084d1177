"""A training is wanted because a person or a pipeline asked for one."""

from dataclasses import dataclass

from policies.conditions.contract import REQUEST, Cause, Evidence, Finding, Wish
from policies.specs import RetrainSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """Whoever asks overrides the cool-down, the attempts and the wait for labels; never a data
    fault, the budget or the ceiling."""

    name: str = "request"

    def find(self, spec: RetrainSpec, evidence: Evidence, now: float) -> Wish:
        """Yes while a request is waiting."""
        if not evidence.requested:
            return Wish(finding=Finding(name=self.name, answer="no", why="nobody asked for one"))
        why = "an operator asked for a training"
        return Wish(
            finding=Finding(name=self.name, answer="yes", why=why),
            cause=Cause(key=REQUEST, why=why),
        )
