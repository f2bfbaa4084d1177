"""Would one constant shift or factor, such as a wrong clock or unit, explain a numeric pane?"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, log, sqrt
from typing import Literal

import numpy as np

from detectors.contract import Distance, FloatArray, IntArray, Layout
from detectors.distances.ks import FLOOR
from detectors.recount import Mass
from detectors.sketches.numeric import NumericLayout

GRID = 289
ZOOM = 33
ROUNDS = 3
EVENTS_MIN = 20
# With more of the pane in the open outer cells every large enough amount explains it.
OUTSIDE_MAX = 0.5
# Two candidates whose gaps differ by less than the sampling noise are equally good; at least this.
SLACK_MIN = 0.005
# What people confuse: miles and kilometres, feet and metres, inches, pounds, hours, percent, ...
_UNITS = (1.609344, 0.3048, 2.54, 0.45359237, 1.8, 10.0, 12.0, 24.0, 60.0, 100.0, 1000.0, 3600.0)
UNIT_FACTORS = tuple(sorted({*_UNITS, *(1 / unit for unit in _UNITS), 1e6, 1e-6}))
_FACTOR_MAX = 4.0
# Which amount a person would call round: hours in seconds or minutes, quarters of an hour, ones.
_STEPS = (3600.0, 900.0, 60.0, 15.0, 5.0, 1.0, 0.1, 0.01, 0.001)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftFound:
    """The change that would explain the pane: current = normal + amount (modulo the period), or
    current = normal x amount. Effects in the distance's unit, with the pane's sampling floor off."""

    kind: Literal["shift", "factor"]
    amount: float
    effect_before: float
    effect_after: float


def find_shift(
    layout: Layout,
    normal: FloatArray,
    current: IntArray,
    distance: Distance,
    period: float | None = None,
    *,
    tolerance: float,
    m: int = 0,
) -> ShiftFound | None:
    """The smallest constant change of ``normal`` that leaves ``current`` within ``tolerance`` of it.

    ``normal``: shares (layout.size - 1,); ``current``: counts (layout.size,); ``period``: the length
    of the circle for clock features (1440 for minutes of a day), on which only shifts are tried;
    else shifts and factors are. ``m``: events behind ``normal``. None if the pane is within the
    tolerance as it is, if even the best change leaves it outside, if most of it lies beyond the
    reference (then no amount can be told), for category layouts, and below 20 events.

    The *normal* mass is moved and counted on the layout again, never the current one: normal lies
    in narrow cells, so moving it is accurate to 1/256, while a shifted pane may have fallen into one
    wide outer cell. The gap of the cumulative shares is searched on a coarse grid, the grid is
    narrowed three times, and among amounts that the pane's noise cannot tell apart the roundest is taken.

    A found shift says that a constant change is *enough*, not that one happened: a moderate seasonal
    drift of a temperature looks like a shift as well. Callers decide by what they know: a clock
    feature that moved by whole hours, a factor that is a unit, an effect that vanishes at once.

    >>> from detectors.distances.ks import KS
    >>> minutes = np.random.default_rng(1).triangular(300, 900, 1380, 20_000).round()
    >>> layout = NumericLayout.from_reference(minutes[:10_000])
    >>> normal = layout.fold(minutes[:10_000])[:-1] / 10_000
    >>> utc = layout.fold((minutes[10_000:] + 240) % 1440)
    >>> found = find_shift(layout, normal, utc, KS(), 1440.0, tolerance=0.05)
    >>> found.kind, found.amount, found.effect_after < 0.02 < 0.1 < found.effect_before
    ('shift', 240.0, True)
    """
    if not isinstance(layout, NumericLayout) or len(layout.edges) < 2:
        return None
    before = distance.measure(layout, normal, current, m=m).value
    n = int(current[:-1].sum())
    if not isfinite(before) or before <= tolerance or n < EVENTS_MIN:
        return None
    if period is None and current[0] + current[-2] > OUTSIDE_MAX * n:
        return None
    mass = Mass(layout.bounds, np.cumsum(normal), period)
    now = np.cumsum(current[:-1])[:-1] / n
    slack = max(SLACK_MIN, FLOOR * sqrt(1 / n + (1 / m if m else 0.0)))
    best: ShiftFound | None = None
    for kind, amount in _candidates(mass, now, period, slack):
        moved = mass.shifted if kind == "shift" else mass.scaled
        shares = np.diff(moved(np.array([amount]))[0], prepend=0.0, append=1.0)
        after = distance.measure(layout, np.maximum(shares, 0.0), current, m=m).value
        if after <= tolerance and (best is None or after < best.effect_after - SLACK_MIN):
            best = ShiftFound(kind=kind, amount=amount, effect_before=before, effect_after=after)
    return best


def _candidates(
    mass: Mass, now: FloatArray, period: float | None, slack: float
) -> list[tuple[Literal["shift", "factor"], float]]:
    """The best shift and the best factor, each already refined."""
    if period is not None:
        grid = np.linspace(-period / 2, period / 2, GRID)[1:]
        return [("shift", _refined(mass.shifted, now, grid, slack, _roundness))]
    grid = mass.span * np.linspace(-1, 1, GRID)
    logs = np.linspace(-log(_FACTOR_MAX), log(_FACTOR_MAX), GRID)
    factors = np.unique(np.concatenate([np.exp(logs), UNIT_FACTORS]))
    return [
        ("shift", _refined(mass.shifted, now, grid, slack, _roundness)),
        ("factor", _refined(mass.scaled, now, factors, slack, _strangeness)),
    ]


def _refined(
    move: Callable[[FloatArray], FloatArray],
    now: FloatArray,
    grid: FloatArray,
    slack: float,
    rank: Callable[[float], int],
) -> float:
    """Of the amounts whose gap is within ``slack`` of the smallest: the roundest, then the best."""
    seen, gaps = grid, _gaps(move, grid, now)
    for _ in range(ROUNDS):
        place = int(np.argmin(gaps))
        low, high = seen[max(place - 1, 0)], seen[min(place + 1, len(seen) - 1)]
        more = np.linspace(low, high, ZOOM)
        seen, gaps = _joined(seen, gaps, more, _gaps(move, more, now))
    good = gaps <= gaps.min() + slack
    more = _round_between(float(seen[good].min()), float(seen[good].max()))
    seen, gaps = _joined(seen, gaps, more, _gaps(move, more, now))
    good = gaps <= gaps.min() + slack
    choices = [
        (rank(amount), gap, abs(amount), amount)
        for amount, gap in zip(seen[good].tolist(), gaps[good].tolist(), strict=True)
    ]
    best: float = min(choices)[-1]
    return round(best, 9)  # a grid point may miss a round amount by its rounding


def _joined(
    seen: FloatArray, gaps: FloatArray, more: FloatArray, more_gaps: FloatArray
) -> tuple[FloatArray, FloatArray]:
    every, first = np.unique(np.concatenate([seen, more]), return_index=True)
    return every, np.concatenate([gaps, more_gaps])[first]


def _gaps(
    move: Callable[[FloatArray], FloatArray], amounts: FloatArray, now: FloatArray
) -> FloatArray:
    gaps: FloatArray = np.abs(move(amounts) - now).max(axis=1)
    return gaps


def _round_between(low: float, high: float) -> FloatArray:
    """The roundest numbers from low to high: the multiples of the first step that has some there."""
    for step in _STEPS:
        first, last = np.ceil(low / step), np.floor(high / step)
        amounts = np.arange(first, min(last, first + GRID) + 1) * step
        if amounts.any():
            return np.asarray(amounts, np.float64)
    return np.empty(0)


def _roundness(amount: float) -> int:
    """0 for the roundest amounts, more for less round ones; last of all no change."""
    if amount == 0:
        return len(_STEPS) + 1
    for rank, step in enumerate(_STEPS):
        if abs(amount / step - round(amount / step)) < 1e-9:
            return rank
    return len(_STEPS)


def _strangeness(factor: float) -> int:
    """0 for a factor between known units, else 1; last of all no change."""
    if factor == 1:
        return 2
    return int(all(abs(factor / unit - 1) > 1e-9 for unit in UNIT_FACTORS))
