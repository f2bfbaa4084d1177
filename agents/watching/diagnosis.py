"""Is a moved number the world, or a broken feed? A clock or unit that changed leaves a signature."""

import re
from collections.abc import Mapping, Sequence
from statistics import median

from agents.watching.streams import DistanceStream
from detectors.catalog import DISTANCES
from detectors.contract import FloatArray, IntArray
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
# Factor -> what it is when values are multiplied by it. Their inverses are looked up too.
CONVERSIONS: Mapping[float, str] = {
    0.3048: "metres for feet",
    0.45359237: "kilograms for pounds",
    0.514444: "metres per second for knots",
    1.150779: "miles per hour for knots",
    1.609344: "kilometres for miles",
    1.852: "kilometres for nautical miles",
    2.54: "centimetres for inches",
    3.6: "kilometres per hour for metres per second",
    3.785412: "litres for gallons",
    10.0: "tenths for units",
    33.8639: "hectopascals for inches of mercury",
    60.0: "minutes for hours, or seconds for minutes",
    100.0: "percent for shares, or cents for units",
    1_000.0: "thousandths for units, such as ms for s",
    1_024.0: "bytes for KiB",
    3_600.0: "seconds for hours",
    1_000_000.0: "millionths for units",
}
CONVERSION_BLUR = 0.02
# A season creeps, a deployment jumps: one step must hold most of what has moved.
JUMP_SHARE = 0.6
JUMP_PANES = 3


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


def is_abrupt(recent: Sequence[float], tolerance: float) -> bool:
    """True if the effects jumped from below the tolerance to where they are now.

    Medians of 3 panes on both sides of each step, so that one odd pane is no jump.

    >>> is_abrupt([0.0] * 5 + [0.2] * 4, 0.1), is_abrupt([t / 40 for t in range(20)], 0.1)
    (True, False)
    """
    now = median(recent[-JUMP_PANES:]) if recent else 0.0
    for at in range(1, len(recent)):
        before = median(recent[max(0, at - JUMP_PANES) : at])
        after = median(recent[at : at + JUMP_PANES])
        if before < tolerance <= after and after - before >= JUMP_SHARE * now:
            return True
    return False


def diagnose(
    stream: DistanceStream,
    profile: Profile | None,
    normal: FloatArray,
    current: IntArray,
    recent: Sequence[float],
) -> str | None:
    """What is wrong with the feed of a stream that has moved; None if the world may have changed.

    A constant shift counts only for a clock feature by a round time zone, a factor only if it is a
    known unit conversion, and either only if it came at once: weather that is 10 degrees warmer is
    explained by a shift too. A score has no unit: what the model answers is no feed.
    """
    if stream.name.startswith("@"):
        return None
    if not isinstance(stream.layout, NumericLayout) or not is_abrupt(recent, stream.tolerance):
        return None
    period = clock_period(stream.name, profile)
    found = find_shift(
        stream.layout,
        normal,
        current,
        DISTANCES[stream.distance],
        period,
        tolerance=stream.tolerance,
    )
    if found is None:
        return None
    if found.kind == "factor":
        return _conversion(stream.name, found.amount)
    return None if period is None else _zone(stream.name, found.amount, period)


def _zone(name: str, amount: float, period: float) -> str | None:
    step = period / ZONE_STEPS_A_DAY
    amount = (amount + period / 2) % period - period / 2
    whole = round(amount / step) * step
    if whole == 0 or abs(amount - whole) > ZONE_BLUR * period:
        return None
    return f"{name} is shifted by {whole:+g} {PERIODS[period]} (mod {period:g})"


def _conversion(name: str, amount: float) -> str | None:
    for factor, what in CONVERSIONS.items():
        for known, direction in ((factor, ""), (1 / factor, " taken back")):
            if abs(amount / known - 1) <= CONVERSION_BLUR:
                return f"{name} is multiplied by {amount:.4g}: {what}{direction}"
    return None
