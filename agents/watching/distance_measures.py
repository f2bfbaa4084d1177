"""Rules on a distance: of one stream from what is normal for it, or of the stream that is furthest off."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, inf, nan

import msgspec
import numpy as np

from agents.events import LATENCY, PaneClosed
from agents.watching.state import Part
from agents.watching.streams import merge
from detectors.baseline import DAY_S, HOUR_S, Baseline, slot_of
from detectors.catalog import DISTANCES
from detectors.contract import FloatArray, IntArray, Layout, events
from detectors.distances.ks import KS
from detectors.profile import StreamProfile
from detectors.sketches.layouts import decode_counts, encode_counts
from policies.metrics import KS_P

_EDGE_S = 1e-6


def compares(metric: str, layout: Layout) -> bool:
    """Whether a distance, or the p-value of one, can be measured on a stream of this layout."""
    return layout.kind in DISTANCES["ks" if metric == KS_P.name else metric].kinds


@dataclass(frozen=True, slots=True)
class DistanceFromNormal:
    """A distance of one stream from its baseline; from training until that is learned."""

    metric: str
    stream: str
    layout: Layout
    reference: StreamProfile | None
    baseline: Baseline | None

    def read(self, bucket: PaneClosed) -> Part:
        counts = merge([bucket], {self.stream: self.layout}).counts.get(self.stream)
        if counts is None:
            counts = np.zeros(self.layout.size, np.int64)
        return self._part(bucket.start, bucket.end, counts)

    def join(self, a: Part, b: Part) -> Part:
        return self._part(a.start, b.end, decode_counts(a.blob) + decode_counts(b.blob))

    def value(self, part: Part) -> float:
        return self.measured(decode_counts(part.blob), part.start, part.end)

    def events(self, part: Part) -> int:
        return part.n

    def measured(self, current: IntArray, start: float, end: float) -> float:
        """The metric's value for counts of the window [start, end); NaN without a normal."""
        normal, m = self._normal(start, end)
        if normal is None:
            return nan
        if self.metric == KS_P.name:
            return KS().p_value(self.layout, normal, current, m=m)
        return DISTANCES[self.metric].measure(self.layout, normal, current, m=m).value

    def _normal(self, start: float, end: float) -> tuple[FloatArray | None, int]:
        baseline = self.baseline
        if baseline is None:
            if self.reference is None:
                return None, 0
            return self.reference.shares, self.reference.n
        if end - start >= DAY_S:
            # A window of a day or more holds every hour: so does what it is compared with.
            slots = set(range(baseline.slots))
        else:
            hours = range(ceil((end - start - _EDGE_S) / HOUR_S))
            slots = {slot_of(start + hour * HOUR_S, baseline.slots) for hour in hours}
            slots.add(slot_of(end - _EDGE_S, baseline.slots))
        if len(slots) == 1:
            (slot,) = slots
            return baseline.normal(slot), baseline.events(slot) // self.layout.unit
        pooled = baseline.counts[sorted(slots)].sum(axis=0)
        total = int(pooled.sum())
        if not total:
            return baseline.normal(0), baseline.events(0) // self.layout.unit
        return pooled / total, total // self.layout.unit

    def _part(self, start: float, end: float, counts: IntArray) -> Part:
        return Part(start=start, end=end, n=events(self.layout, counts), blob=encode_counts(counts))


@dataclass(frozen=True, slots=True)
class FurthestStream:
    """The same over many streams: the one that is furthest off speaks for all.

    A stream of fewer than ``min_events`` in the window does not speak. ``n`` of a part is that of
    its fullest stream.
    """

    each: Mapping[str, DistanceFromNormal]
    min_events: int
    smallest: bool
    """Whether small values are the far ones, as those of a p-value are."""

    def read(self, bucket: PaneClosed) -> Part:
        layouts = {name: one.layout for name, one in self.each.items()}
        return self._packed(bucket.start, bucket.end, merge([bucket], layouts).counts)

    def join(self, a: Part, b: Part) -> Part:
        table = _unpacked(a)
        for name, counts in _unpacked(b).items():
            before = table.get(name)
            table[name] = counts if before is None else before + counts
        return self._packed(a.start, b.end, table)

    def value(self, part: Part) -> float:
        return self._furthest(part)[1]

    def events(self, part: Part) -> int:
        return part.n

    def loudest(self, part: Part) -> str:
        """The stream whose value the window has."""
        return self._furthest(part)[0]

    def _packed(self, start: float, end: float, table: Mapping[str, IntArray]) -> Part:
        plain = {name: encode_counts(counts) for name, counts in sorted(table.items())}
        most = (events(one.layout, table[name]) for name, one in self.each.items() if name in table)
        n = max(most, default=0)
        return Part(start=start, end=end, n=n, blob=msgspec.msgpack.encode(plain))

    def _furthest(self, part: Part) -> tuple[str, float]:
        found, far = "", -inf
        sign = -1 if self.smallest else 1
        for name, counts in sorted(_unpacked(part).items()):
            one = self.each.get(name)
            if one is None or events(one.layout, counts) < max(self.min_events, 1):
                continue
            value = sign * one.measured(counts, part.start, part.end)
            if value > far:
                found, far = name, value
        return (found, sign * far) if found else ("", nan)


def furthest_of(
    metric: str,
    layouts: Mapping[str, Layout],
    references: Mapping[str, StreamProfile],
    baselines: Mapping[str, Baseline],
    *,
    ignore: frozenset[str],
    min_events: int,
) -> FurthestStream:
    """The measure of a rule that names no stream: all that the metric can compare."""
    return FurthestStream(
        each={
            name: DistanceFromNormal(
                metric, name, layout, references.get(name), baselines.get(name)
            )
            for name, layout in layouts.items()
            if name != LATENCY and name not in ignore and compares(metric, layout)
        },
        min_events=min_events,
        smallest=metric == KS_P.name,
    )


def _unpacked(part: Part) -> dict[str, IntArray]:
    plain = msgspec.msgpack.decode(part.blob, type=dict[str, bytes])
    return {name: decode_counts(data) for name, data in plain.items()}
