"""What chance alone does to a point rule, and how long drift is not seen: notes for whoever sets limits.

The figures say what a limit means before there is data. They assume independent events; real
traffic is correlated, so that they are the least that must be expected.
"""

from dataclasses import dataclass
from math import ceil, factorial, floor, inf, log, sqrt

import numpy as np
from scipy import stats

from detectors.baseline import EVENTS_MIN
from detectors.sequential.scalar import ScalarFit, expected_delay
from policies.distance_chances import FEATURES, chance_of_distance
from policies.metrics import METRICS, Metric
from policies.specs import ModelSpec, RuleSpec
from policies.traffic import Traffic
from policies.units import DAY_S, number_text, share_text

MONTH_S = 30 * DAY_S
# Where a rule compares with a value that only data knows, this one stands for it.
GOOD_SHARE, BAD_SHARE = 0.90, 0.05
# Sampling noise of a KS distance of n events: sd(D) ≈ 0.26 / sqrt(n) (Kolmogorov's law).
KS_NOISE = 0.26
PANE_EVENTS = 10_000
FIRST_DECISION_PANES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """``per_month``: expected firings in 30 days with nothing wrong; None where only data can tell.

    ``given`` is the assumption behind it. ``never``: the rule will never have enough events.
    """

    per_month: float | None
    given: str
    never: bool = False


def chance_of(rule: RuleSpec, traffic: Traffic | None) -> Chance:
    """How often a point rule fires by chance alone."""
    metric = METRICS.get(rule.metric)
    if metric is None:
        return Chance(per_month=None, given="a query's noise is not known here")
    if rule.metric == "request_rate":
        return _fewer_requests(rule, traffic)
    if rule.comparison == "falling_for":
        days = round(rule.over_s / DAY_S)
        # One order in (days + 1)! is a fall all the way, whatever the metric's noise looks like.
        most = "at most, " if rule.amount.value else ""
        return Chance(
            per_month=MONTH_S / DAY_S / factorial(days + 1),
            given=f"{most}if each day's value is as likely as any other",
        )
    events = rule.min_events
    if traffic is not None:
        events = floor(traffic.events_per_day * rule.over_s / DAY_S)
        if events < rule.min_events:
            given = f"about {events} events in its window, min_events is {rule.min_events}"
            return Chance(per_month=0.0, given=given, never=True)
    window = _window(rule, metric, max(events, 1))
    if window is None:
        return Chance(per_month=None, given="its noise shows in data only; sequential learns it")
    probability, given = window
    of = f"{given}, {events} events a window"
    return Chance(per_month=probability * MONTH_S / rule.over_s, given=of)


def _fewer_requests(rule: RuleSpec, traffic: Traffic | None) -> Chance:
    """Requests that come independently, as many as usual: P(Poisson count is below the limit)."""
    if traffic is None:
        return Chance(per_month=None, given="it needs --events-per-day")
    usual = traffic.events_per_day * rule.over_s / DAY_S
    limit = rule.amount.value * rule.over_s
    if rule.comparison == "worse_by":
        change = rule.amount.value
        limit = usual * (1 - change / 100 if rule.amount.unit == "%" else 1 / change)
    fires = stats.poisson.sf(limit, usual)
    if rule.comparison != "above":
        fires = stats.poisson.cdf(ceil(limit) - 1, usual)
    given = f"if {number_text(round(usual, 1))} requests a window come independently"
    return Chance(per_month=float(fires) * MONTH_S / rule.over_s, given=given)


def _window(rule: RuleSpec, metric: Metric, n: int) -> tuple[float, str] | None:
    """The probability that one window of n events fires, and the assumption."""
    if metric.of and not metric.against:
        return chance_of_distance(rule, n)
    if metric.judged != "share":
        return None
    value = rule.amount.value / 100 if rule.amount.unit in ("%", "pp") else rule.amount.value
    if metric.unit == "ms":
        if rule.comparison != "above":
            return None
        # "p99 above 100 ms" = more than 1 % of the answers take longer than 100 ms.
        limit = 1 - int(metric.name.removeprefix("latency_p")) / 100
        above = float(stats.binom.sf(floor(n * limit), n, limit / 2))
        return above, f"if {share_text(limit / 2)} of the answers are slower"
    if rule.comparison == "worse_by":
        usual = GOOD_SHARE if metric.worse == "down" else BAD_SHARE
        change = value * usual if rule.amount.unit == "%" else value
        limit = usual - change if metric.worse == "down" else usual + change
        return _tail(n, limit, usual, below=metric.worse == "down"), f"if it is {share_text(usual)}"
    below = rule.comparison == "below"
    usual = (1 + value) / 2 if below else value / 2
    return _tail(n, value, usual, below=below), f"if it is {share_text(usual)}"


def _tail(n: int, limit: float, true: float, *, below: bool) -> float:
    """P(share of n events passes the limit), the share being ``true``."""
    if below:
        return float(stats.binom.cdf(ceil(n * limit) - 1, n, true))
    return float(stats.binom.sf(floor(n * limit), n, true))


def is_budgeted(rule: RuleSpec) -> bool:
    """Whether a rule gathers evidence over time: `sequential`, of a metric that has such evidence."""
    metric = METRICS.get(rule.metric)
    if rule.confidence != "sequential" or metric is None:
        return False
    moving = metric.unit == "ms" and rule.comparison == "worse_by"
    return metric.needs_labels or (metric.judged == "share" and not moving)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """``log_threshold``: ln A of the streams that share half of the budget; the whole-model stream
    has the other half. ``delay_s``: to find a KS of .2 with quiet noise."""

    streams: int
    log_threshold: float
    log_threshold_whole: float
    delay_panes: int
    delay_s: float
    given: str


def budget_of(spec: ModelSpec, traffic: Traffic | None, effect: float = 0.2) -> Budget:
    """How the false alarms are shared (A = 2 T S / allowed), and what that costs in delay."""
    panes = max(spec.drift.budget_s / spec.clock.pane_s, 1.0)
    sequential = sum(rule.confidence == "sequential" for rule in spec.rules)
    # Features and their missing shares; score, predicted label, errors, label arrival; the meaning
    # of the answers: loss, calibration, wrong ones.
    streams = 2 * FEATURES + 7 + sequential
    threshold = log(max(2 * panes * streams / spec.drift.false_alarms, 2.0))
    events = PANE_EVENTS
    if traffic is not None:
        events = max(1, floor(traffic.events_per_day * spec.clock.pane_s / DAY_S))
    delay = float(expected_delay(_quiet(spec, threshold, events), effect)[0])
    seen = np.isfinite(delay) and events >= EVENTS_MIN
    return Budget(
        streams=streams,
        log_threshold=threshold,
        log_threshold_whole=log(max(2 * panes / spec.drift.false_alarms, 2.0)),
        delay_panes=ceil(delay) if seen else 0,
        delay_s=delay * spec.clock.pane_s if seen else inf,
        given=f"{FEATURES} features, {number_text(events)} independent events a pane",
    )


def _quiet(spec: ModelSpec, log_threshold: float, events: int) -> ScalarFit:
    """A stream with nothing but sampling noise, that fades within a pane."""
    one = np.ones(1)
    return ScalarFit(
        mean=0 * one,
        sigma=one * KS_NOISE / sqrt(events),
        tolerance=one * spec.drift.tolerate_ks,
        panes=one * FIRST_DECISION_PANES,
        cap=one * log_threshold / FIRST_DECISION_PANES,
        jump=0 * one,
        decay=0 * one,
        share=0 * one,
        hill=0 * one,
        log_threshold=log_threshold,
    )
