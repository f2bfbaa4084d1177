"""Whether to train now: every condition is asked, so that every reason is told."""

from collections.abc import Sequence
from dataclasses import dataclass

from policies.conditions.catalog import BARS, WANTS
from policies.conditions.contract import Bar, Cause, Evidence, Finding, Want
from policies.specs import RetrainSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """``cause`` is what is trained for if ``act``, else what a training would be for, if anything.

    ``wanted`` holds the finding of every want, ``barred`` that of every bar for this cause.
    """

    act: bool
    cause: Cause | None
    wanted: tuple[Finding, ...]
    barred: tuple[Finding, ...]

    @property
    def answers(self) -> tuple[Finding, ...]:
        """Every finding, wants first."""
        return (*self.wanted, *self.barred)

    @property
    def why(self) -> str:
        """The reasons that decided, as one sentence."""
        if self.cause is None:
            return "no training is wanted"
        bars = "; ".join(one.why for one in self.barred if one.answer != "no")
        return self.cause.why if self.act else f"{self.cause.why}, but {bars}"


def decide(
    spec: RetrainSpec,
    evidence: Evidence,
    now: float,
    *,
    wants: Sequence[Want] = WANTS,
    bars: Sequence[Bar] = BARS,
) -> Decision:
    """Act for the first cause that is wanted and that no bar stands in the way of.

    Nothing is done on a not-yet. ``now`` is on the clock of cool-downs, budgets and schedules.
    """
    wishes = [want.find(spec, evidence, now) for want in wants]
    causes: list[Cause | None] = [wish.cause for wish in wishes if wish.cause is not None]
    barred = {
        cause: tuple(bar.find(spec, evidence, cause, now) for bar in bars)
        for cause in causes or [None]
    }
    free = [
        cause
        for cause, findings in barred.items()
        if cause is not None and all(finding.answer == "no" for finding in findings)
    ]
    cause = next(iter(free or barred))
    wanted = tuple(wish.finding for wish in wishes)
    return Decision(act=bool(free), cause=cause, wanted=wanted, barred=barred[cause])
