"""A clock that runs in another time zone: a feature of the time of day is off by a round amount."""

import re
from collections.abc import Mapping

from agents.watching.why.contract import Explained, Moved, Scene
from detectors.catalog import DISTANCES
from detectors.profile import Profile
from detectors.shift import find_shift
from detectors.sketches.numeric import NumericLayout

# A clock runs in hours, minutes or seconds of the day; the unit follows from the reference.
PERIODS: Mapping[float, str] = {24.0: "h", 1_440.0: "min", 86_400.0: "s"}
CLOCK_NAME = re.compile(r"minute|hour|time|clock|tod")
# A reference that fills less of the day than this could as well be a duration.
CYCLE_COVERED_MIN = 0.4
# Zones of the world lie a multiple of 15 minutes apart, 1/96 of a day; cells blur it a little.
ZONE_STEPS_A_DAY = 96
ZONE_BLUR = 1 / 288


def clock(scene: Scene) -> list[Explained]:
    """A constant shift on the circle of the day, by a round time zone, explains the stream."""
    found = []
    for name in sorted(scene.asked & scene.moved.keys()):
        moved = scene.moved[name]
        period = clock_period(name, scene.profile)
        if period is None:
            continue
        shift = find_shift(
            moved.stream.layout,
            moved.normal,
            moved.counts,
            DISTANCES[moved.stream.distance],
            period,
            tolerance=moved.allowed,
        )
        said = None if shift is None else _zone(moved, shift.amount, period)
        if shift is None or said is None:
            continue
        found.append(
            Explained(
                cause_kind="clock",
                kind="data_fault",
                streams=frozenset({name}),
                cause=said,
                sure=1 - max(shift.effect_after, 0.0) / shift.effect_before,
            )
        )
    return found


def clock_period(name: str, profile: Profile | None) -> float | None:
    """The length of the day in a clock feature's unit; None for what is no clock.

    By its name and its reference together: values within [0, period] that fill much of the day.
    """
    stream = profile.streams.get(name) if profile is not None else None
    if stream is None or not CLOCK_NAME.search(name.lower()) or stream.n == 0:
        return None
    layout = stream.layout
    if not isinstance(layout, NumericLayout):
        return None
    low, high = (layout.quantile(stream.counts, q) for q in (0.005, 0.995))
    # A later version is counted on the edges of the first: what lies in an open outer cell has no
    # finite quantile there, and says no more than "at the edge".
    low, high = max(low, float(layout.edges[0])), min(high, float(layout.edges[-1]))
    for period in PERIODS:
        if low >= 0 and high <= period and high - low >= CYCLE_COVERED_MIN * period:
            return period
    return None


def _zone(moved: Moved, amount: float, period: float) -> str | None:
    step = period / ZONE_STEPS_A_DAY
    amount = (amount + period / 2) % period - period / 2
    whole = round(amount / step) * step
    if whole == 0 or abs(amount - whole) > ZONE_BLUR * period:
        return None
    return f"{moved.name} is shifted by {whole:+g} {PERIODS[period]} (mod {period:g})"
