"""Broken input never trains a model."""

from dataclasses import dataclass

from policies.conditions.contract import Cause, Evidence, Finding
from policies.specs import RetrainSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFaultOpen:
    """In the way of every cause until the incident is closed."""

    name: str = "data_fault"

    def find(
        self, spec: RetrainSpec, evidence: Evidence, cause: Cause | None, now: float
    ) -> Finding:
        """Yes while a data fault or an upstream incident is open."""
        for incident in evidence.incidents:
            if incident.kind in ("data_fault", "upstream"):
                why = f"{incident.kind} incident {incident.incident_id} is open; nothing trains on broken input"
                return Finding(name=self.name, answer="yes", why=why)
        return Finding(name=self.name, answer="no", why="the input is not known to be broken")
