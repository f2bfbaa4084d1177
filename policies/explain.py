"""What a policy comes to: defaults in force, what chance does to its rules, delays and lengths."""

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from detectors.baseline import DAY_S, EVENTS_MIN, EVENTS_WANTED
from policies.chances import Budget, Chance, budget_of, chance_of, is_budgeted
from policies.consequences import defaults_of, tell
from policies.document import PolicyDocument
from policies.lengths import Length, length_of
from policies.metrics import METRICS
from policies.mistakes import Mistake
from policies.specs import ModelSpec, RuleSpec
from policies.traffic import Traffic
from policies.units import duration_text, number_text

# Lengths of a pane from which whole days are made.
PANES_OF_A_DAY = (3_600.0, 6 * 3_600.0, DAY_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """A key that the file leaves out, the value in force and its consequence."""

    path: str
    value: str
    consequence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLine:
    """One rule. ``budgeted``: its false alarms are under the budget; else ``chance`` says how often
    it fires with nothing wrong."""

    name: str
    severity: str
    budgeted: bool
    chance: Chance | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """``mistakes``: what cannot work with this traffic. ``cautions``: what works, and may surprise."""

    model: str
    defaults: tuple[Default, ...]
    rules: tuple[RuleLine, ...]
    budget: Budget | None
    length: Length | None
    cautions: tuple[str, ...]
    mistakes: tuple[Mistake, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what never comes is null."""
        plain: dict[str, Any] = _finite(asdict(self))
        del plain["mistakes"]
        return plain


def explain_policy(
    document: PolicyDocument, spec: ModelSpec, traffic: Traffic | None = None
) -> Explanation:
    """Explain a policy without mistakes; with ``traffic``, what needs numbers of events too."""
    rules = tuple(_rule(rule, traffic) for rule in spec.rules)
    length: Length | None = None
    mistakes: tuple[Mistake, ...] = ()
    if spec.canary is not None:
        length = length_of(spec.canary, spec.labels, traffic)
        if traffic is not None:
            mistakes = _unfinished(spec.canary.give_up_after_s, length, traffic)
    return Explanation(
        model=spec.model,
        defaults=tuple(
            Default(path=path, value=told[0], consequence=told[1])
            for path in defaults_of(document)
            for told in [tell(path, spec)]
        ),
        rules=rules,
        budget=budget_of(spec, traffic) if spec.drift.enabled else None,
        length=length,
        cautions=(*_small_panes(spec, traffic), *_cautions(spec, rules)),
        mistakes=mistakes,
    )


def _rule(rule: RuleSpec, traffic: Traffic | None) -> RuleLine:
    budgeted = is_budgeted(rule)
    chance = None if budgeted else chance_of(rule, traffic)
    return RuleLine(name=rule.name, severity=rule.severity, budgeted=budgeted, chance=chance)


def _unfinished(give_up: float, length: Length, traffic: Traffic) -> tuple[Mistake, ...]:
    """A canary that will be given up although its version deserves promotion."""
    if length.expected_s is None or length.expected_s <= give_up:
        return ()
    events = f"{number_text(traffic.events_per_day)} events a day"
    slowest = max(length.judges, key=lambda judge: judge.seconds)
    takes = (
        f"takes about {_about(length.expected_s)}" if isfinite(length.expected_s) else "never ends"
    )
    why = (
        f"a canary {takes} at {events} ({slowest.name}: {slowest.given}) "
        f"and is given up after {duration_text(give_up)}"
    )
    return (Mistake(("canary", "give_up_after"), why, about="key"),)


def _small_panes(spec: ModelSpec, traffic: Traffic | None) -> list[str]:
    """Panes from which a baseline is learned slowly or never, and a length that would do."""
    if traffic is None or not spec.drift.enabled:
        return []
    events = traffic.events_per_day * spec.clock.pane_s / DAY_S
    if events >= EVENTS_WANTED:
        return []
    enough = [p for p in PANES_OF_A_DAY if traffic.events_per_day * p / DAY_S >= EVENTS_WANTED]
    longer = next((pane for pane in enough if pane > spec.clock.pane_s), DAY_S)
    holds = f"a pane of {duration_text(spec.clock.pane_s)} holds about {number_text(round(events))} events"
    what = (
        f"drift is never learned: {EVENTS_MIN} are needed"
        if events < EVENTS_MIN
        else "moderate drift is lost in their noise"
    )
    if spec.clock.pane_s >= DAY_S:
        return [f"clock.pane: {holds}, {what}"]
    return [f"clock.pane: {holds}, {what}; set it to {duration_text(longer)}"]


def _cautions(spec: ModelSpec, lines: tuple[RuleLine, ...]) -> list[str]:
    found = []
    for rule, line in zip(spec.rules, lines, strict=True):
        metric = METRICS.get(rule.metric)
        good = {"up": "below", "down": "above"}.get(metric.worse if metric else "", "")
        if rule.comparison == good and metric is not None and metric.needs_labels:
            found.append(f"{rule.name}: fires while {rule.metric} is good")
        if line.chance is not None and line.chance.never:
            found.append(f"{rule.name}: never decides: {line.chance.given}")
        elif line.chance is not None and (line.chance.per_month or 0) >= 1:
            often = number_text(round(line.chance.per_month or 0, 1))
            found.append(f"{rule.name}: fires about {often} times in 30 days by chance")
    if spec.promote.approval_required and not spec.owner:
        found.append("promote.approval is required, and no owner says who may approve")
    if spec.canary is not None:
        margins = [judge for judge in spec.canary.judge if judge.worse_by_at_most == 0]
        found += [
            f"{judge.name}: a version that is merely equal is never promoted" for judge in margins
        ]
    if spec.retrain is not None and spec.mode in ("observe", "alert"):
        found.append(f"mode {spec.mode}: the section retrain is not acted on")
    return found


def _about(seconds: float) -> str:
    """A length that is no more exact than its assumptions."""
    unit = 86_400.0 if seconds >= 2 * 86_400 else 3_600.0
    return duration_text(max(1, round(seconds / unit)) * unit)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
