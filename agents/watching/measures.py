"""What a threshold rule measures: parts of a window that merge, and the value of the whole."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np

from agents.events import LATENCY, PREDICTION, SCORE, PaneClosed, QualityMatured
from agents.watching.distance_measures import DistanceFromNormal, compares, furthest_of
from agents.watching.label_measures import QUALITY, LabelArrival, Quality
from agents.watching.state import Part
from agents.watching.streams import live_arms, merge
from detectors.baseline import Baseline
from detectors.catalog import DISTANCES
from detectors.contract import IntArray, Layout, events
from detectors.profile import Profile
from detectors.sketches.layouts import decode_counts, encode_counts
from detectors.sketches.positive import PositiveLayout
from policies.metrics import KS_P
from policies.specs import RuleSpec

_ALIASES = {"prediction": PREDICTION, "score": SCORE}


class Measure(Protocol):
    """One metric over a window; ``bad`` of ``n`` is its share form where it has one."""

    def join(self, a: Part, b: Part) -> Part:
        """The parts as one; ``b`` follows ``a``."""
        ...

    def value(self, part: Part) -> float:
        """The metric's value, in its own unit; NaN where it is undefined."""
        ...

    def events(self, part: Part) -> int:
        """How many events stand behind the value: what ``min_events`` is compared with."""
        ...


@runtime_checkable
class Speaks(Protocol):
    """A measure of many streams of which one speaks for all."""

    def loudest(self, part: Part) -> str:
        """The stream whose value the window has; empty where there is none."""
        ...


@runtime_checkable
class PaneMeasure(Measure, Protocol):
    """A metric that is known when a bucket closes."""

    def read(self, bucket: PaneClosed) -> Part:
        """What one bucket gives."""
        ...


@runtime_checkable
class LabelMeasure(Measure, Protocol):
    """A metric that is known when labels have matured."""

    def read_labels(self, event: QualityMatured, champion: str) -> Part:
        """What one bucket gives; quality is the champion's own live answers only."""
        ...


class _Counted:
    """Parts whose bytes need no merging."""

    def join(self, a: Part, b: Part) -> Part:
        return Part(start=a.start, end=b.end, n=a.n + b.n, bad=a.bad + b.bad)

    def value(self, part: Part) -> float:
        return part.bad / part.n if part.n else nan

    def events(self, part: Part) -> int:
        return part.n


class ErrorRate(_Counted):
    """Failed requests as a share of all."""

    def read(self, bucket: PaneClosed) -> Part:
        arms = list(live_arms(bucket))
        n, errors = sum(arm.n for arm in arms), sum(arm.errors for arm in arms)
        return Part(start=bucket.start, end=bucket.end, n=n, bad=float(errors))


class RequestRate(_Counted):
    """Requests a second."""

    def read(self, bucket: PaneClosed) -> Part:
        n = sum(arm.n for arm in live_arms(bucket))
        return Part(start=bucket.start, end=bucket.end, n=n)

    def value(self, part: Part) -> float:
        return part.n / (part.end - part.start)


@dataclass(frozen=True, slots=True)
class MissingRatio:
    """Missing values of one feature, or of the feature that misses most."""

    of: str | None
    layouts: Mapping[str, Layout]

    def read(self, bucket: PaneClosed) -> Part:
        counts = merge([bucket], self.layouts).counts
        wanted = [name for name in sorted(counts) if self._wants(name)]
        table = {name: self._counted(name, counts[name]) for name in wanted}
        return _missing(bucket.start, bucket.end, table)

    def join(self, a: Part, b: Part) -> Part:
        table = _table(a)
        for name, (missing, n) in _table(b).items():
            before = table.get(name, (0, 0))
            table[name] = (before[0] + missing, before[1] + n)
        return _missing(a.start, b.end, table)

    def value(self, part: Part) -> float:
        return part.bad / part.n if part.n else nan

    def events(self, part: Part) -> int:
        return part.n

    def loudest(self, part: Part) -> str:
        return _worst(_table(part))

    def _counted(self, name: str, counts: IntArray) -> tuple[int, int]:
        missing = int(counts[-1])
        return missing, missing + events(self.layouts[name], counts)

    def _wants(self, name: str) -> bool:
        return name == self.of if self.of else not name.startswith("@")


@dataclass(frozen=True, slots=True)
class Latency:
    """A quantile of the answers' latency in ms."""

    q: float
    layout: PositiveLayout
    threshold: float | None = None

    def read(self, bucket: PaneClosed) -> Part:
        counts = np.zeros(self.layout.size, np.int64)
        for arm in live_arms(bucket):
            cells = arm.counts.get(LATENCY)
            if cells is not None and len(cells) == len(counts):
                counts = counts + cells
        return self._part(bucket.start, bucket.end, counts)

    def join(self, a: Part, b: Part) -> Part:
        return self._part(a.start, b.end, decode_counts(a.blob) + decode_counts(b.blob))

    def value(self, part: Part) -> float:
        return self.layout.quantile(decode_counts(part.blob), self.q)

    def events(self, part: Part) -> int:
        return part.n

    def _part(self, start: float, end: float, counts: IntArray) -> Part:
        # "p99 above 100 ms" is "more than 1 % are above 100 ms", exact at an edge of the layout.
        slow = 0 if self.threshold is None else self.layout.above(counts, self.threshold)
        return Part(
            start=start,
            end=end,
            n=int(counts[:-1].sum()),
            bad=float(slow),
            blob=encode_counts(counts),
        )


def measure_of(
    rule: RuleSpec,
    layouts: Mapping[str, Layout],
    profile: Profile | None,
    baselines: Mapping[str, Baseline],
    *,
    ignore: frozenset[str] = frozenset(),
) -> Measure | None:
    """The measure of a rule; None where it cannot be measured here (a PromQL query, no layout, a
    layout that its metric cannot compare). ``ignore``: streams that do not speak for all."""
    metric = rule.metric
    if metric in QUALITY:
        return Quality(metric)
    plain: Mapping[str, Callable[[], Measure]] = {
        "error_rate": ErrorRate,
        "label_arrival": LabelArrival,
        "missing_ratio": lambda: MissingRatio(rule.of, layouts),
        "request_rate": RequestRate,
    }
    if metric in plain:
        return plain[metric]()
    if metric.startswith("latency_p"):
        return _latency(rule, layouts)
    if metric in DISTANCES or metric == KS_P.name:
        return _distance(rule, layouts, profile, baselines, ignore)
    return None


def _distance(
    rule: RuleSpec,
    layouts: Mapping[str, Layout],
    profile: Profile | None,
    baselines: Mapping[str, Baseline],
    ignore: frozenset[str],
) -> Measure | None:
    references = profile.streams if profile is not None else {}
    if not rule.of:
        return furthest_of(
            rule.metric,
            layouts,
            references,
            baselines,
            ignore=ignore,
            min_events=rule.min_events,
        )
    stream = _ALIASES.get(rule.of, rule.of)
    if stream not in layouts or not compares(rule.metric, layouts[stream]):
        return None
    return DistanceFromNormal(
        rule.metric, stream, layouts[stream], references.get(stream), baselines.get(stream)
    )


def _latency(rule: RuleSpec, layouts: Mapping[str, Layout]) -> Measure | None:
    layout = layouts.get(LATENCY)
    digits = rule.metric.removeprefix("latency_p")
    if not isinstance(layout, PositiveLayout) or not digits.isdigit():
        return None
    q = float(f"0.{digits}")
    scale = {"": 1.0, "ms": 1.0, "s": 1_000.0}.get(rule.amount.unit)
    absolute = rule.comparison in ("above", "below") and scale is not None
    return Latency(q, layout, rule.amount.value * (scale or 1.0) if absolute else None)


def _missing(start: float, end: float, table: Mapping[str, tuple[int, int]]) -> Part:
    bad, n = table.get(_worst(table), (0, 0))
    return Part(start=start, end=end, n=n, bad=float(bad), blob=msgspec.msgpack.encode(dict(table)))


def _worst(table: Mapping[str, tuple[int, int]]) -> str:
    """The feature that misses most; of two that are equal the first by name."""
    return max(sorted(table), key=lambda name: table[name][0] / max(table[name][1], 1), default="")


def _table(part: Part) -> dict[str, tuple[int, int]]:
    return msgspec.msgpack.decode(part.blob, type=dict[str, tuple[int, int]])
