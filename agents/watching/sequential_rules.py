"""Rules with ``confidence: sequential``: evidence of whole panes against the limit, as a share."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import msgspec
import numpy as np

from agents.watching.measures import Latency, Measure
from agents.watching.state import Part, RuleTrack
from detectors.sequential import proportion
from policies.metrics import METRICS
from policies.specs import RuleSpec

# The noise between panes is learned from the newest of them; before the first 8 there is none.
PANES_KEPT, PANES_MIN = 30, 8
_EDGE_S = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRule:
    """A rule as a share: broken when ``bad`` / ``n`` of a part lies above ``limit``."""

    measure: Measure
    limit: float


def shares_of(rule: RuleSpec, measure: Measure, limit: float) -> ShareRule | None:
    """The share form of a rule, or None where its metric or its direction has none.

    Accuracy, precision, recall below f: the opposite share is above 1 - f. F1 below f: (FP + FN) /
    (TP + FP + FN) is above 1 - f / (2 - f). Brier: the mean of losses in [0, 1], for which the
    engine of shares is valid too (its factor is convex in the loss). pNN above a latency: more than
    the rest is slower.
    """
    metric = METRICS[rule.metric]
    asked_up = rule.comparison == "above" or (
        rule.comparison == "worse_by" and metric.worse == "up"
    )
    if asked_up != (metric.worse == "up") or isnan(limit):
        return None
    if isinstance(measure, Latency):
        known = measure.threshold is not None
        return ShareRule(measure=measure, limit=1 - measure.q) if known else None
    if rule.metric in ("accuracy", "precision", "recall", "label_arrival"):
        return ShareRule(measure=measure, limit=1 - limit)
    if rule.metric == "f1":
        return ShareRule(measure=measure, limit=1 - proportion.f1_share(limit))
    if rule.metric in ("brier", "error_rate", "missing_ratio"):
        return ShareRule(measure=measure, limit=limit)
    return None


def step_rule(
    track: RuleTrack, part: Part, share: ShareRule, pane_s: float, log_threshold: float
) -> tuple[RuleTrack, bool]:
    """Take the newest part; once a pane is whole it is judged. Panes never overlap, so that their
    evidence adds up."""
    whole = share.measure.join(track.parts[0], part) if track.parts else part
    if (whole.end + _EDGE_S) % pane_s > 2 * _EDGE_S:
        return msgspec.structs.replace(track, parts=(whole,)), False
    panes = (*track.panes, (float(whole.bad), whole.n))[-PANES_KEPT:]
    value = share.measure.value(whole)
    track = msgspec.structs.replace(track, panes=panes, parts=(), value=value)
    known = [(bad, n) for bad, n in panes[:-1] if n]
    if len(known) < PANES_MIN or not whole.n:
        return track, False
    before = proportion.ProportionState()
    if track.engine:
        before = proportion.ProportionState.from_dict(track.engine)
    after, fired, evidence = proportion.step(
        before,
        whole.bad,
        whole.n,
        share.limit,
        log_threshold,
        at=whole.start,
        excess_variance=_excess(known),
    )
    lasting = track.breached and whole.bad / whole.n > share.limit
    track = msgspec.structs.replace(
        track,
        engine=after.to_dict(),
        evidence=min(evidence, 1.0),
        since=None if isnan(after.since) else after.since,
        breached=fired or lasting,
    )
    return track, fired


def _excess(panes: Sequence[tuple[float, int]]) -> float:
    """Variance between panes beyond the binomial, over p (1 - p), from successive differences:
    a change of level, which is what the rule looks for, adds to one difference only."""
    bad = np.array([bad for bad, _ in panes])
    n = np.array([n for _, n in panes], np.float64)
    p = float(bad.sum() / n.sum())
    spread = p * (1 - p)
    if spread <= 0:
        return 0.0
    between = float(np.mean(np.diff(bad / n) ** 2)) / 2
    return max(between / spread - float(np.mean(1 / n)), 0.0)
