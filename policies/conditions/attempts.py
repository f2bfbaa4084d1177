"""One cause starts a bounded number of trainings."""

from dataclasses import dataclass

from policies.conditions.contract import REQUEST, Cause, Evidence, Finding
from policies.specs import RetrainSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptsUsed:
    """In the way until people look: what failed so often will fail again."""

    name: str = "attempts"

    def find(
        self, spec: RetrainSpec, evidence: Evidence, cause: Cause | None, now: float
    ) -> Finding:
        """Yes when the cause has started as many trainings as it may."""
        if cause is None or cause.key == REQUEST:
            return Finding(name=self.name, answer="no", why="no cause has used its attempts")
        used = evidence.attempts.get(cause.key, 0)
        if used >= spec.attempts:
            why = (
                f"all {spec.attempts} attempts for {cause.key} are used; "
                "`driftd retrain` asks for another, `driftd accept` makes this the new normal"
            )
            return Finding(name=self.name, answer="yes", why=why)
        why = f"{used} of {spec.attempts} attempts for {cause.key} are used"
        return Finding(name=self.name, answer="no", why=why)
