"""A training is wanted while an incident of a kind that the policy names is open."""

from dataclasses import dataclass
from typing import Literal

from policies.conditions.contract import Cause, Evidence, Finding, Wish
from policies.specs import RetrainSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentOpen:
    """``kind`` is also the word in ``retrain.on`` that switches this want on."""

    kind: Literal["quality", "input_drift"]

    @property
    def name(self) -> str:
        """The incident's kind."""
        return self.kind

    def find(self, spec: RetrainSpec, evidence: Evidence, now: float) -> Wish:
        """Yes for the oldest such incident that did not lead to a promotion yet."""
        found = sorted(
            (one for one in evidence.incidents if one.kind == self.kind),
            key=lambda one: (one.onset, one.incident_id),
        )
        if not found:
            return self._no(f"no {self.kind} incident is open")
        if not (spec.on_quality if self.kind == "quality" else spec.on_input_drift):
            return self._no(
                f"{self.kind}: an incident is open; the policy does not retrain on this kind"
            )
        left = [one for one in found if one.incident_id not in evidence.settled]
        if not left:
            return self._no(f"the {self.kind} incident has had its new version")
        why = f"{self.kind} incident {left[0].incident_id} is open"
        cause = Cause(key=left[0].incident_id, why=why, incident=left[0])
        return Wish(finding=Finding(name=self.name, answer="yes", why=why), cause=cause)

    def _no(self, why: str) -> Wish:
        return Wish(finding=Finding(name=self.name, answer="no", why=why))
