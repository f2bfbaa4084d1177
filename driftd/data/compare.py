"""Does a table look like its reference? Stream by stream, in effects; p-values are only shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite, nan, sqrt
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from detectors.catalog import DISTANCES
from detectors.contract import Effect, FloatArray, IntArray, Layout
from detectors.profile import Profile, StreamProfile
from driftd.data.profile import Counted
from driftd.data.tolerances import DECIDING, MISSING, UNSEEN, Tolerances

ROWS_MIN = 20
"""Fewer present values than this say nothing about a distribution."""
# Mean |difference| of two equal shares, in standard errors.
_SHARE_FLOOR = 0.8
# The 95 % point of Kolmogorov's law: a tolerance below it is within what chance does.
_NOISE = 1.36


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One measure of a stream against its tolerance; ``effect`` has the sampling floor removed."""

    measure: str
    effect: float
    tolerance: float
    where: str = ""

    @property
    def ratio(self) -> float:
        """``effect`` in tolerances; above 1 it is drift."""
        return self.effect / self.tolerance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StreamCompared:
    """One stream before and after. ``measures``: what decides, the largest ratio first;
    ``effects``: every distance that can be measured; ``p_value`` is shown and decides nothing.

    ``note``: why a stream could not be compared, or what to keep in mind.
    """

    stream: str
    before: StreamProfile
    after: StreamProfile
    measures: tuple[Moved, ...]
    effects: Mapping[str, Effect] = field(default_factory=dict)
    p_value: float = nan
    note: str = ""

    @property
    def moved(self) -> tuple[Moved, ...]:
        """The measures beyond their tolerance."""
        return tuple(one for one in self.measures if one.ratio > 1)

    @property
    def ratio(self) -> float:
        """The largest effect in tolerances; 0 where nothing could be measured."""
        return max((one.ratio for one in self.measures), default=0.0)

    @property
    def unseen_share(self) -> float:
        """Share of names that the reference never had; NaN where the stream has no names."""
        if self.after.layout.kind != "category" or not self.after.n:
            return nan
        return float(self.after.counts[-2]) / self.after.n


@runtime_checkable
class _Tested(Protocol):
    """A distance that can say how likely chance alone is."""

    def p_value(self, layout: Layout, normal: FloatArray, current: IntArray, *, m: int) -> float:
        """P of at least this much without any change."""
        ...


# Which distance's p-value is shown for a stream of each kind.
_SHOWN_P = {"category": "chi_square", "numeric": "ks", "positive": "ks", "vector": "mmd"}


def compare_table(
    profile: Profile, table: pa.Table, tolerances: Tolerances | None = None
) -> list[StreamCompared]:
    """The streams of ``profile`` in the rows of ``table``, the most moved first."""
    counted = Counted(profile.layouts)
    counted.add(table)
    return compare_profiles(profile, counted.profile("", np.empty(0)), tolerances)


def compare_profiles(
    before: Profile, after: Profile, tolerances: Tolerances | None = None
) -> list[StreamCompared]:
    """Two profiles on the same layouts, the most moved stream first, then by name.

    ValueError where a stream's layouts differ. What a model answered (``@score``) is compared only
    where both sides have it; a feature that one side lacks has lost all its values.
    """
    limits = tolerances or Tolerances()
    found = []
    for name, old in before.streams.items():
        new = after.streams.get(name)
        unasked = name.startswith("@") and (new is None or not new.counts.any())
        if name in limits.ignore or unasked or not old.counts.any():
            continue
        found.append(_compared(name, old, new, limits))
    return sorted(found, key=lambda one: (-one.ratio, one.stream))


def drifted(streams: Iterable[StreamCompared]) -> list[StreamCompared]:
    """Those that moved beyond a tolerance."""
    return [one for one in streams if one.moved]


def _compared(
    name: str, before: StreamProfile, after: StreamProfile | None, limits: Tolerances
) -> StreamCompared:
    layout = before.layout
    if after is None or not after.counts.any():
        gone = StreamProfile(layout=layout, counts=before.counts * 0)
        lost = Moved(measure=MISSING, effect=1.0 - _missing(before), tolerance=limits.missing)
        return StreamCompared(
            stream=name, before=before, after=gone, measures=(lost,), note="the column is not there"
        )
    if after.layout != layout:
        raise ValueError(f"{name}: the two sides were counted in different cells")
    measures = [_share(MISSING, _missing(before), before, _missing(after), after, limits.missing)]
    effects: dict[str, Effect] = {}
    p_value = nan
    note = ""
    if min(before.n, after.n) < ROWS_MIN:
        note = f"{min(before.n, after.n)} values, at least {ROWS_MIN} say something"
    else:
        effects = {
            key: distance.measure(layout, before.shares, after.counts, m=before.n)
            for key, distance in DISTANCES.items()
            if layout.kind in distance.kinds
        }
        for key, tolerance in limits.of(layout.kind).items():
            effect = effects[key]
            if isfinite(effect.value):
                measures.append(_moved(key, effect, tolerance))
        if layout.kind == "category":
            shares = [float(side.counts[-2]) / side.n for side in (before, after)]
            measures.append(_share(UNSEEN, shares[0], before, shares[1], after, limits.unseen))
        p_value = _p_value(before, after)
        note = _noisy(before, after, limits)
    return StreamCompared(
        stream=name,
        before=before,
        after=after,
        measures=tuple(sorted(measures, key=_rank)),
        effects=effects,
        p_value=p_value,
        note=note,
    )


def _rank(one: Moved) -> tuple[float, bool]:
    # Where nothing moved the distance speaks for the stream.
    return -max(one.ratio, 0.0), one.measure in (MISSING, UNSEEN)


def _moved(name: str, effect: Effect, tolerance: float) -> Moved:
    return Moved(measure=name, effect=effect.value, tolerance=tolerance, where=effect.where)


def _missing(stream: StreamProfile) -> float:
    share = stream.missing_share
    return share if isfinite(share) else 0.0


def _share(
    name: str, p: float, before: StreamProfile, q: float, after: StreamProfile, tolerance: float
) -> Moved:
    """A share that changed, less the mean of what chance alone does."""
    n, m = (max(side.n + int(side.counts[-1]), 1) for side in (after, before))
    both = (n * q + m * p) / (n + m)
    floor = _SHARE_FLOOR * sqrt(both * (1 - both) * (1 / n + 1 / m))
    change = abs(q - p) if name == MISSING else q - p
    return Moved(measure=name, effect=max(change - floor, 0.0), tolerance=tolerance)


def _p_value(before: StreamProfile, after: StreamProfile) -> float:
    distance = DISTANCES.get(_SHOWN_P.get(before.layout.kind, ""))
    if not isinstance(distance, _Tested):
        return nan
    return distance.p_value(before.layout, before.shares, after.counts, m=before.n)


def _noisy(before: StreamProfile, after: StreamProfile, limits: Tolerances) -> str:
    tolerance = limits.of(before.layout.kind).get("ks")
    noise = _NOISE * sqrt(1 / after.n + 1 / before.n)
    if DECIDING.get(before.layout.kind) != "ks" or tolerance is None or noise <= tolerance:
        return ""
    return f"so few values differ by {noise:.2f} by chance alone; more rows or a larger tolerance"
