"""Which streams a model has, and the counts of a whole pane from the buckets that it consists of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agents.events import LATENCY, PREDICTION, SCORE, ArmCounts, PaneClosed
from detectors.contract import IntArray, Layout
from detectors.profile import Profile, default_layouts
from policies.specs import ModelSpec

LIVE = ("champion", "challenger")
WHOLE, ERRORS, ARRIVAL = "@model", "@errors", "@label_arrival"
PREDICTIONS_FEED = "@predictions"
# The whole-model stream averages the noise away, so that it can tell smaller effects.
TOLERANCE_WHOLE = 0.01
# Names that no reference knew: a handful of new ones is the life of a business, 1 % is a change.
TOLERANCE_UNSEEN = 0.01
# Errors: half as many again as usual, and at least a point more.
TOLERANCE_ERRORS = 0.01

ShareKind = Literal["missing", "unseen", "errors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DistanceStream:
    """A stream whose pane is compared with its baseline; ``tolerance`` in the distance's unit."""

    name: str
    distance: str
    tolerance: float
    layout: Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareStream:
    """A stream that is a share of events: ``of`` names whose counts it is taken from, ``unit`` what
    one present event adds to them."""

    name: str
    kind: ShareKind
    of: str
    tolerance: float
    unit: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """All streams of a model, in a fixed order."""

    layouts: Mapping[str, Layout]
    distances: tuple[DistanceStream, ...]
    shares: tuple[ShareStream, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaneCounts:
    """A pane [start, end) of event time: live arms pooled, subscribed sources beside them.

    ``counts``: stream -> cells; a source's feature stands as ``source.feature``. ``feeds``: events
    by feed, ``@predictions`` and each source.
    """

    start: float
    end: float
    n: int
    errors: int
    counts: Mapping[str, IntArray]
    feeds: Mapping[str, int]
    complete: bool


def latency_thresholds(spec: ModelSpec) -> tuple[float, ...]:
    """The latencies in ms at which rules ask for an exact share; layouts get an edge at each."""
    scale = {"": 1.0, "ms": 1.0, "s": 1000.0}
    found = {
        rule.amount.value * scale[rule.amount.unit]
        for rule in spec.rules
        if rule.metric.startswith("latency_")
        and rule.comparison in ("above", "below")
        and rule.amount.unit in scale
    }
    return tuple(sorted(found))


def layouts_of(spec: ModelSpec, profile: Profile | None) -> dict[str, Layout]:
    """Stream -> layout: those of the profile, and the ones that every model has.

    Latencies follow the policy alone: its rules say where an edge has to be.
    """
    layouts = dict(profile.layouts) if profile is not None else {}
    usual = default_layouts(latency_thresholds(spec))
    return {**usual, **layouts, LATENCY: usual[LATENCY]}


def streams_of(spec: ModelSpec, profile: Profile | None) -> Streams:
    """Every stream that is watched: features by name, then ``@score`` and ``@prediction``.

    An ignored name leaves out that stream only: ``weekday`` says nothing about ``weekday?``.
    """
    layouts = layouts_of(spec, profile)
    if not spec.drift.enabled:
        return Streams(layouts=layouts, distances=(), shares=())
    features = sorted(name for name in layouts if not name.startswith("@"))
    distances = [_distance(spec, name, layouts[name]) for name in (*features, PREDICTION, SCORE)]
    shares = [ShareStream(name=ERRORS, kind="errors", of=ERRORS, tolerance=TOLERANCE_ERRORS)]
    for name in features:
        shares.append(
            ShareStream(
                name=f"{name}?",
                kind="missing",
                of=name,
                tolerance=spec.drift.tolerate_share,
                unit=layouts[name].unit,
            )
        )
        if layouts[name].kind == "category":
            shares.append(
                ShareStream(
                    name=f"{name}!unseen", kind="unseen", of=name, tolerance=TOLERANCE_UNSEEN
                )
            )
    ignored = spec.drift.ignore
    return Streams(
        layouts=layouts,
        distances=tuple(stream for stream in distances if stream.name not in ignored),
        shares=tuple(stream for stream in shares if stream.name not in ignored),
    )


def _distance(spec: ModelSpec, name: str, layout: Layout) -> DistanceStream:
    distance, tolerance = {
        "category": ("psi", spec.drift.tolerate_psi),
        "vector": ("mmd", spec.drift.tolerate_mmd),
    }.get(layout.kind, ("ks", spec.drift.tolerate_ks))
    return DistanceStream(name=name, distance=distance, tolerance=tolerance, layout=layout)


def merge(buckets: Sequence[PaneClosed], layouts: Mapping[str, Layout]) -> PaneCounts:
    """The buckets of one pane as one; counts of another layout are left out, never mixed."""
    counts: dict[str, IntArray] = {}
    feeds: dict[str, int] = {PREDICTIONS_FEED: 0}
    n = errors = 0
    for bucket in buckets:
        for arm in live_arms(bucket):
            n += arm.n
            errors += arm.errors
            _add(counts, arm.counts, layouts, "")
        for source, arm in bucket.sources.items():
            feeds[source] = feeds.get(source, 0) + arm.n
            _add(counts, arm.counts, layouts, f"{source}.")
    feeds[PREDICTIONS_FEED] = n
    return PaneCounts(
        start=min(bucket.start for bucket in buckets),
        end=max(bucket.end for bucket in buckets),
        n=n,
        errors=errors,
        counts=counts,
        feeds=feeds,
        complete=all(bucket.complete for bucket in buckets),
    )


def live_arms(bucket: PaneClosed) -> Iterable[ArmCounts]:
    """What users were answered; shadow answers saw the same inputs a second time."""
    return (counts for arm, counts in bucket.arms.items() if arm.variant in LIVE)


def share_of(stream: ShareStream, pane: PaneCounts) -> tuple[int, int]:
    """``(k, n)``: how many events of the pane count for the share, and of how many."""
    if stream.kind == "errors":
        return pane.errors, pane.n
    counts = pane.counts.get(stream.of)
    if counts is None:
        return 0, 0
    missing, present = int(counts[-1]), int(counts[:-1].sum()) // stream.unit
    if stream.kind == "missing":
        return missing, missing + present
    return int(counts[-2]), present


def _add(
    into: dict[str, IntArray],
    counts: Mapping[str, IntArray],
    layouts: Mapping[str, Layout],
    prefix: str,
) -> None:
    for stream, cells in counts.items():
        name = prefix + stream
        layout = layouts.get(name)
        if layout is None or len(cells) != layout.size or name == LATENCY:
            continue
        seen = into.get(name)
        into[name] = np.asarray(cells, np.int64) if seen is None else seen + cells
