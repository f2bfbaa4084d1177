"""What a threshold rule is called, how much it asks, and what its alarm says."""

from math import inf, nan

from agents.incidents import Kind, StreamMoved
from agents.watching.incidents import Alarm
from agents.watching.label_measures import QUALITY
from agents.watching.state import RuleTrack
from agents.watching.streams import ARRIVAL
from policies.metrics import METRICS
from policies.queries import query_limit
from policies.specs import RuleSpec


def amount_of(rule: RuleSpec) -> float:
    """The rule's amount in the metric's own unit: shares 0..1, latencies in ms. A query's value is
    in Prometheus' base units: shares 0..1, seconds."""
    if rule.query:
        return query_limit(rule.amount)
    scale = {"%": 0.01, "pp": 0.01, "s": 1_000.0}.get(rule.amount.unit, 1.0)
    return rule.amount.value * scale


def kind_of(rule: RuleSpec) -> Kind:
    """The kind of incident that a broken rule belongs to."""
    if rule.query:
        return "operational"
    if rule.metric in QUALITY:
        return "quality"
    if rule.metric in ("label_arrival", "missing_ratio"):
        return "data_fault"
    return "input_drift" if METRICS[rule.metric].of else "operational"


def stream_of(rule: RuleSpec) -> str:
    """What a person calls the thing that a rule looks at."""
    if rule.query:
        return rule.query
    if rule.metric == "label_arrival":
        return ARRIVAL
    if rule.metric == "missing_ratio":
        return f"{rule.of}?" if rule.of else rule.metric
    return rule.of or rule.metric


def rule_alarm(
    rule: RuleSpec,
    track: RuleTrack,
    now: float,
    since: float | None,
    *,
    events: int = 0,
    loudest: str = "",
) -> Alarm:
    """The alarm of a broken rule. ``events`` of its window, where they were counted; ``loudest``:
    the stream that speaks for all, where the rule names none."""
    counted = f" over {events} events" if events else ""
    speaker = f"{loudest} " if loudest else ""
    how = f"{rule.name}: {speaker}{track.value:.4g}{counted}, limit {track.limit:.4g}"
    moved = StreamMoved(
        stream=stream_of(rule),
        distance=rule.metric or "query",
        effect=track.value,
        tolerance=track.limit if track.limit < inf else nan,
        evidence=1.0,
        since=now - rule.over_s if since is None else since,
        how=how,
        rule=rule.name,
    )
    return Alarm(moved=moved, kind=kind_of(rule), severity=rule.severity)
