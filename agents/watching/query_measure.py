"""What a rule measures of a named query: the value of its window that is furthest from breaking it."""

from dataclasses import dataclass
from math import nan

from agents.events import QueryRead
from agents.watching.state import Part
from policies.queries import is_comparable
from policies.specs import RuleSpec


@dataclass(frozen=True, slots=True)
class Extreme:
    """Every value of the window has to pass the limit, as in ``for:`` of Prometheus: ``above`` looks
    at the lowest and ``below`` at the highest. A part without values (``n`` = 0) makes the whole
    window unknown; a peak that was not seen is no reason to wake somebody."""

    rule: RuleSpec

    def read_query(self, event: QueryRead) -> Part:
        """What one bucket gives."""
        value = event.low if self.rule.comparison == "above" else event.high
        known = value is not None and is_comparable(self.rule.amount, value)
        bad = value if value is not None and known else nan
        return Part(start=event.start, end=event.end, n=int(known), bad=bad)

    def join(self, a: Part, b: Part) -> Part:
        worst = min if self.rule.comparison == "above" else max
        known = bool(a.n and b.n)
        bad = worst(a.bad, b.bad) if known else nan
        return Part(start=a.start, end=b.end, n=int(known), bad=bad)

    def value(self, part: Part) -> float:
        return part.bad if part.n else nan

    def events(self, part: Part) -> int:
        return part.n
