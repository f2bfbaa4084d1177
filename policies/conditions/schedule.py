"""A training is wanted when a schedule is due and its slot was not used yet."""

from dataclasses import dataclass
from datetime import UTC, datetime

from policies.conditions.contract import Cause, Evidence, Finding, Wish
from policies.conditions.cron import last_due
from policies.specs import RetrainSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDue:
    """Slots that were missed while nothing ran are one slot: the newest."""

    name: str = "schedule"

    def find(self, spec: RetrainSpec, evidence: Evidence, now: float) -> Wish:
        """Yes for the newest slot at or before ``now`` that is not settled."""
        if not spec.schedules:
            return self._no("the policy has no schedule")
        moments = [last_due(schedule, now) for schedule in spec.schedules]
        slot = max((one for one in moments if one is not None), default=None)
        if slot is None or slot < evidence.since:
            return self._no("no slot of a schedule has come yet")
        key = f"slot:{slot:.0f}"
        when = datetime.fromtimestamp(slot, UTC).strftime("%Y-%m-%d %H:%M UTC")
        if key in evidence.settled:
            return self._no(f"the slot of {when} was used")
        why = f"the schedule was due at {when}"
        return Wish(
            finding=Finding(name=self.name, answer="yes", why=why),
            cause=Cause(key=key, why=why, slot=slot),
        )

    def _no(self, why: str) -> Wish:
        return Wish(finding=Finding(name=self.name, answer="no", why=why))
