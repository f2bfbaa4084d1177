"""A training answers a change, so it needs labels from after the change."""

from dataclasses import dataclass

from policies.conditions.contract import Cause, Evidence, Finding
from policies.specs import RetrainSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsTooFew:
    """Only incidents have an onset; schedules and requests wait for no labels."""

    name: str = "labels"

    def find(
        self, spec: RetrainSpec, evidence: Evidence, cause: Cause | None, now: float
    ) -> Finding:
        """Not yet while fewer than ``labels_since_onset`` labels stand behind the incident."""
        if cause is None or cause.incident is None:
            return Finding(name=self.name, answer="no", why="no onset to wait for labels from")
        have = evidence.labels_since.get(cause.incident.incident_id, 0)
        need = spec.labels_since_onset
        why = f"{have} labels since the onset, {need} are needed"
        return Finding(name=self.name, answer="not_yet" if have < need else "no", why=why)
