"""Trainings keep a distance from each other and from the last rollout."""

from dataclasses import dataclass

from policies.conditions.contract import REQUEST, Cause, Evidence, Finding
from policies.specs import RetrainSpec
from policies.units import duration_text


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolingDown:
    """Counted from the start of the last training or the end of the last rollout."""

    name: str = "cooldown"

    def find(
        self, spec: RetrainSpec, evidence: Evidence, cause: Cause | None, now: float
    ) -> Finding:
        """Not yet while less than the cool-down has passed."""
        moments = [*evidence.trainings, *([] if evidence.rested is None else [evidence.rested])]
        if cause is not None and cause.key == REQUEST:
            return self._no("a request does not wait for the cool-down")
        if not moments:
            return self._no("nothing was trained yet")
        left = max(moments) + spec.cooldown_s - now
        if left > 0:
            why = f"the cool-down of {duration_text(spec.cooldown_s)} ends in {duration_text(left)}"
            return Finding(name=self.name, answer="not_yet", why=why)
        return self._no(f"the cool-down of {duration_text(spec.cooldown_s)} is over")

    def _no(self, why: str) -> Finding:
        return Finding(name=self.name, answer="no", why=why)
