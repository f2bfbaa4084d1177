"""Canary evidence from bad events: given one happened, whose was it?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, inf, log, nan
from typing import Any

import numpy as np

from detectors.contract import FloatArray, IntArray

GRID_POINTS = 30
_NEAR, _FAR = log(1.05), log(10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSplitSpec:
    """Two questions about r = challenger's rate / champion's rate of bad events.

    ``roll_back_above``: H0 r ≤ it; evidence against H0 is evidence of harm. ``promote_below``:
    H0 r ≥ it; evidence against H0 is evidence of non-inferiority. None: not asked.
    """

    roll_back_above: float | None = 1.0
    promote_below: float | None = None

    def __post_init__(self) -> None:
        """Refuse ratios that are not positive (ValueError)."""
        for ratio in (self.roll_back_above, self.promote_below):
            if ratio is not None and not 0 < ratio < inf:
                raise ValueError(f"a ratio of rates must be positive, not {ratio}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSplitState:
    """Evidence so far: log likelihood ratios at 30 alternatives a side, and what people are shown.

    ``peak_roll_back``: the largest log E against "no harm" ever; E may be looked at any time, so
    its peak counts (Ville's inequality).
    """

    roll_back: tuple[float, ...] = (0.0,) * GRID_POINTS
    promote: tuple[float, ...] = (0.0,) * GRID_POINTS
    peak_roll_back: float = 0.0
    challenger_events: int = 0
    challenger_n: int = 0
    champion_events: int = 0
    champion_n: int = 0
    over: float = 0.0
    under: float = 0.0

    @property
    def log_e_roll_back(self) -> float:
        """log E against "r ≤ roll_back_above", now."""
        return _log_mean(self.roll_back)

    @property
    def log_e_promote(self) -> float:
        """log E against "r ≥ promote_below", now: evidence that still holds."""
        return _log_mean(self.promote)

    @property
    def ratio(self) -> float:
        """Stratified ratio of the rates (Mantel and Haenszel 1959); NaN before a champion's event."""
        return self.over / self.under if self.under else nan

    def harmful(self, alpha: float) -> bool:
        """Has E ever reached 1/alpha? P(ever, without harm) ≤ alpha, however often it is asked."""
        return self.peak_roll_back >= -log(alpha)

    def good(self, alpha: float) -> bool:
        """Is E at least 1/alpha now, at the end of the step?"""
        return self.log_e_promote >= -log(alpha)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {
            "roll_back": list(self.roll_back),
            "promote": list(self.promote),
            "peak_roll_back": self.peak_roll_back,
            "challenger_events": self.challenger_events,
            "challenger_n": self.challenger_n,
            "champion_events": self.champion_events,
            "champion_n": self.champion_n,
            "over": self.over,
            "under": self.under,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "EventSplitState":
        """The state that ``to_dict`` wrote down."""
        grids = {side: tuple(values[side]) for side in ("roll_back", "promote")}
        return cls(**{**values, **grids})


def step(
    spec: EventSplitSpec,
    state: EventSplitState,
    *,
    challenger_events: int,
    challenger_n: int,
    champion_events: int,
    champion_n: int,
    design_effect: float = 1.0,
) -> EventSplitState:
    """Take one batch: bad events of requests, of both arms over the same span.

    Given a bad event, it is the challenger's with probability p(r) = rho r / (rho r + 1 - rho), rho
    = the batch's own share of requests at the challenger, so that ramps, cycles and shared
    incidents cancel (pooling the batches would roll back every identical canary). E = mean over 30
    alternatives r of prod (p(r)/p(r0))^challenger_events ((1-p(r))/(1-p(r0)))^champion_events, log r
    spaced evenly: r0 x 1.05 to 10 for harm, r0 / 10 to r0 / 1.05 for non-inferiority. Evidence is
    divided by ``design_effect`` (≥ 1: events of one subject come together). Source: Lindon and
    Malek 2022 (arXiv 2011.03567); Ville 1939.

    >>> spec, state = EventSplitSpec(roll_back_above=1.2, promote_below=1.5), EventSplitState()
    >>> for _ in range(4):
    ...     state = step(spec, state, challenger_events=30, challenger_n=1000,
    ...                  champion_events=90, champion_n=9000)
    >>> state.harmful(0.01), state.good(0.05), round(state.ratio, 2)
    (True, False, 3.0)
    """
    for bad, n in ((challenger_events, challenger_n), (champion_events, champion_n)):
        if not 0 <= bad <= n:
            raise ValueError(f"{bad} bad events of {n} requests")
    total = challenger_n + champion_n
    if challenger_n == 0 or champion_n == 0:
        return state  # one arm alone cannot be compared
    rho = challenger_n / total
    gain = (challenger_events, champion_events, rho, max(design_effect, 1.0))
    roll_back = _moved(state.roll_back, spec.roll_back_above, _worse, gain)
    promote = _moved(state.promote, spec.promote_below, _better, gain)
    return EventSplitState(
        roll_back=roll_back,
        promote=promote,
        peak_roll_back=max(state.peak_roll_back, _log_mean(roll_back)),
        challenger_events=state.challenger_events + challenger_events,
        challenger_n=state.challenger_n + challenger_n,
        champion_events=state.champion_events + champion_events,
        champion_n=state.champion_n + champion_n,
        over=state.over + challenger_events * champion_n / total,
        under=state.under + champion_events * challenger_n / total,
    )


def design_effect(events: IntArray, n: IntArray) -> float:
    """Between-batch variance of the champion's rate over the binomial one, 1 or more.

    Shapes (batches,); 1 with fewer than 8 batches that have requests, or without an event.

    >>> design_effect(np.array([0, 20] * 10), np.full(20, 1000)) > 5
    True
    """
    bad, seen = np.asarray(events, np.float64), np.asarray(n, np.float64)
    bad, seen = bad[seen > 0], seen[seen > 0]
    rate = float(bad.sum() / seen.sum()) if len(seen) else 0.0
    if len(seen) < 8 or not 0 < rate < 1:
        return 1.0
    chi_square = float(((bad - seen * rate) ** 2 / (seen * rate * (1 - rate))).sum())
    return max(1.0, chi_square / (len(seen) - 1))


def _worse(theta0: float) -> FloatArray:
    start = theta0 + _NEAR
    return np.linspace(start, _FAR if start < _FAR else theta0 + _FAR, GRID_POINTS)


def _better(theta0: float) -> FloatArray:
    return np.linspace(theta0 - _FAR, theta0 - _NEAR, GRID_POINTS)


def _moved(
    before: tuple[float, ...],
    ratio: float | None,
    grid: Callable[[float], FloatArray],
    batch: tuple[int, int, float, float],
) -> tuple[float, ...]:
    """The log likelihood ratios of one side after a batch."""
    if ratio is None:
        return before
    challenger, champion, rho, divisor = batch
    theta0 = log(ratio)
    # log p(r) = theta + log rho - log s, log(1 - p(r)) = log(1 - rho) - log s, s = rho r + 1 - rho.
    theta = grid(theta0)
    scale = np.log((rho * np.exp(theta) + 1 - rho) / (rho * ratio + 1 - rho))
    gains = (challenger * (theta - theta0) - (challenger + champion) * scale) / divisor
    return tuple((np.array(before) + gains).tolist())


def _log_mean(logs: Sequence[float]) -> float:
    top = max(logs)
    return top + log(sum(exp(value - top) for value in logs) / len(logs))
