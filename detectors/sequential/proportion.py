"""Evidence over time that a share of events is above (or below) a limit: exact for any pane size."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, isnan, log, nan
from typing import Any, Literal

import numpy as np

from detectors.contract import FloatArray, IntArray

Direction = Literal["above", "below"]
# Alternatives: the share lies this much beyond the limit.
GAPS = (0.01, 0.03, 0.1)
# A limit of exactly 0 or 1 would make one event infinite evidence.
_EDGE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class ProportionState:
    """The evidence about one share after some panes.

    ``log_m``: log of the e-detector of each gap; ``run``: summed log evidence since the most likely
    onset; ``since``: event time of that onset, NaN while there is none.
    """

    log_m: tuple[float, ...] = (-inf,) * len(GAPS)
    run: float = 0.0
    since: float = nan

    def to_dict(self) -> dict[str, Any]:
        """Plain floats; -inf and NaN stay floats."""
        return {"log_m": list(self.log_m), "run": self.run, "since": self.since}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ProportionState":
        """The state that ``to_dict`` wrote down."""
        return cls(log_m=tuple(values["log_m"]), run=values["run"], since=values["since"])


def step(
    state: ProportionState,
    k: float,
    n: float,
    p0: float,
    log_threshold: float,
    *,
    at: float,
    direction: Direction = "above",
    excess_variance: float = 0.0,
    panes_min: int = 1,
) -> tuple[ProportionState, bool, float]:
    """Take one pane with ``k`` bad events of ``n`` that starts at event time ``at``.

    Gives the next state, whether it alarms, and evidence = log mean M / log A from 0 up (1 = alarm).
    H0: the share is at most ``p0`` (``above``) or at least ``p0`` (``below``), the tolerance
    inside ``p0``. M_g = (M_g + 1) exp(f [k ln(p1/p0) + (n - k) ln((1-p1)/(1-p0))]) for p1 = p0 + g,
    f = 1 / (1 + n v), v = ``excess_variance`` learned in the burn-in. For independent events
    E[panes to a false alarm] ≥ A is a theorem (e-detectors, arXiv 2203.03532). No burn-in is needed;
    n = 0 is a gap. ``panes_min``: how many panes an alarm needs at least.

    >>> state, panes, alarm = ProportionState(), 0, False
    >>> while not alarm:
    ...     state, alarm, _ = step(state, 40, 500, 0.05, log(4320), at=600.0 * panes)
    ...     panes += 1
    >>> panes, state.since
    (3, 0.0)
    """
    if not 0 <= k <= n:
        raise ValueError(f"{k} bad events of {n}")
    if n == 0:
        return state, False, _evidence(state.log_m, log_threshold)
    limit = min(max(p0 if direction == "above" else 1 - p0, _EDGE), 1 - _EDGE)
    bad = k if direction == "above" else n - k
    weight = 1 / (1 + n * excess_variance)
    cap = log_threshold / panes_min
    gains = [min(weight * _gain(bad, n, limit, _beyond(limit, gap)), cap) for gap in GAPS]
    log_m = tuple(_log_add_one(old) + gain for old, gain in zip(state.log_m, gains, strict=True))
    evidence = _evidence(log_m, log_threshold)
    alarm = evidence >= 1
    run = max(state.run, 0.0) + _log_mean(gains)
    since = state.since if run > 0 else nan
    if isnan(since) and (run > 0 or alarm):
        since = at if isnan(state.since) else state.since
    after = (-inf,) * len(GAPS) if alarm else log_m
    return ProportionState(log_m=after, run=run, since=since), alarm, evidence


def excess_variance(k: IntArray, n: IntArray) -> float:
    """Variance of the share between panes beyond the binomial one, over p (1 - p); 0 or more.

    ``k`` bad events of ``n`` a pane, shape (T,). Method of moments with weights n:
    v = max(0, (Σ (k - n p)² / n / (p (1-p)) - (T - 1)) / (N - Σ n² / N)), N = Σ n. 0 for fewer
    than 8 panes with events, and for a share of 0 or 1.

    >>> excess_variance(np.array([5, 50] * 8), np.array([500] * 16)) > 0.02
    True
    """
    bad, seen = np.asarray(k, np.float64), np.asarray(n, np.float64)
    bad, seen = bad[seen > 0], seen[seen > 0]
    total = float(seen.sum())
    p = float(bad.sum()) / total if total else 0.0
    spare = total - float((seen**2).sum()) / total if total else 0.0
    if len(seen) < 8 or not 0 < p < 1 or spare <= 0:
        return 0.0
    chi_square = float(((bad - seen * p) ** 2 / seen).sum()) / (p * (1 - p))
    return max(0.0, (chi_square - (len(seen) - 1)) / spare)


def f1_share(f1: float) -> float:
    """The share TP / (TP + FP + FN) that belongs to an F1: so that F1 < f is a proportion.

    >>> round(f1_share(0.76), 4)
    0.6129
    """
    return f1 / (2 - f1)


def expected_panes(
    share: float, n: float, p0: float, log_threshold: float, excess_variance: float = 0.0
) -> float:
    """About how many panes of ``n`` events find a lasting ``share`` above ``p0``; infinite below.

    >>> expected_panes(0.08, 500, 0.05, log(4320))
    3.0
    """
    limit = min(max(p0, _EDGE), 1 - _EDGE)
    weight = 1 / (1 + n * excess_variance)
    best = max(weight * _gain(n * share, n, limit, _beyond(limit, gap)) for gap in GAPS)
    panes = (log_threshold + log(len(GAPS))) / best if best > 0 else inf
    return float(np.ceil(panes))


def _beyond(limit: float, gap: float) -> float:
    return limit + gap if limit + gap < 0.999 else (1 + limit) / 2


def _gain(bad: float, n: float, p0: float, p1: float) -> float:
    return bad * log(p1 / p0) + (n - bad) * log((1 - p1) / (1 - p0))


def _evidence(log_m: Sequence[float], log_threshold: float) -> float:
    return max(0.0, _log_mean(log_m) / log_threshold)


def _log_add_one(value: float) -> float:
    return float(np.logaddexp(value, 0.0))


def _log_mean(logs: Sequence[float] | FloatArray) -> float:
    top = max(logs)
    return -inf if top == -inf else top + log(sum(exp(value - top) for value in logs) / len(logs))
