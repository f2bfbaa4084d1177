"""The end of the burn-in: what is normal on each stream, and how much it moves by itself."""

from collections.abc import Mapping, Sequence
from math import inf, log

import numpy as np

from agents.watching.concept_streams import concept_streams
from agents.watching.fitted import Fitted
from agents.watching.share_fits import fit_shares
from agents.watching.streams import TOLERANCE_WHOLE as WHOLE_TOLERANCE
from agents.watching.streams import DistanceStream, PaneCounts, Streams
from agents.watching.stuck_values import varying_streams
from detectors.baseline import DAY_S, EVENTS_MIN, Baseline, choose_slots, day_of, slot_of
from detectors.catalog import DISTANCES
from detectors.contract import FloatArray, IntArray
from detectors.distances.rows import effects_of
from detectors.sequential import scalar
from policies.specs import ModelSpec

PANES_MIN = 60
SPAN_MIN_S = 7 * DAY_S
# Older panes of a burn-in that was held up by gaps teach nothing that newer ones do not.
PANES_MAX, SPAN_MAX_S = 120, 14 * DAY_S


def log_threshold(spec: ModelSpec, streams: int) -> float:
    """ln A for each of ``streams`` streams that share half of the model's budget of false alarms.

    A = 2 T S / allowed: T panes in a budget period, S streams; the other half of the budget is the
    whole-model stream's (``streams`` = 1).
    """
    panes = max(spec.drift.budget_s / spec.clock.pane_s, 1.0)
    return log(max(2 * panes * streams / spec.drift.false_alarms, 2.0))


def budget_streams(spec: ModelSpec, streams: Streams) -> int:
    """S: distances, shares, label arrival, concept drift, and rules that accumulate evidence."""
    sequential = sum(rule.confidence == "sequential" for rule in spec.rules)
    of_labels = 1 + len(concept_streams(spec))
    return max(len(streams.distances) + len(streams.shares) + of_labels + sequential, 1)


def learn(spec: ModelSpec, streams: Streams, panes: Sequence[PaneCounts]) -> Fitted | None:
    """Fit everything to the burn-in, or None while fewer than 60 of its panes can be used.

    Effects of the burn-in are leave-one-day-out, as those of every later pane will be.
    """
    usable = [pane for pane in panes if pane.complete and pane.n >= EVENTS_MIN]
    pane_s = spec.clock.pane_s
    if len(usable) < PANES_MIN or usable[-1].end - usable[0].start < SPAN_MIN_S:
        return None
    count = choose_slots(pane_s, len(usable))
    slots = np.array([slot_of(pane.start, count) for pane in usable])
    days = np.array([day_of(pane.start) for pane in usable])

    baselines: dict[str, Baseline] = {}
    effects = np.full((len(usable), len(streams.distances)), np.nan)
    for column, stream in enumerate(streams.distances):
        zeros = np.zeros(stream.layout.size, np.int64)
        counts = np.array([pane.counts.get(stream.name, zeros) for pane in usable])
        baseline, others = Baseline.fit(counts[:, :-1], slots, days, slot_count=count)
        baselines[stream.name] = baseline
        effects[:, column] = _effects(stream, others, counts, baseline, slots)

    threshold = log_threshold(spec, budget_streams(spec, streams))
    bounds = [1.0 if stream.distance == "ks" else inf for stream in streams.distances]
    return Fitted(
        since=usable[0].start,
        until=usable[-1].end,
        slots=count,
        streams=tuple(stream.name for stream in streams.distances),
        baselines=baselines,
        scalar=scalar.fit(
            effects,
            np.array([stream.tolerance for stream in streams.distances]),
            threshold,
            largest=np.array(bounds),
        ),
        whole=scalar.fit(
            mean_effect(effects)[:, None], WHOLE_TOLERANCE, log_threshold(spec, 1), largest=inf
        ),
        shares=fit_shares(streams.shares, usable, slots, days, count, threshold),
        least=_least(usable, slots, count),
        varying=varying_streams(streams.distances, usable, pane_s),
    )


def _effects(
    stream: DistanceStream,
    others: FloatArray,
    counts: IntArray,
    baseline: Baseline,
    slots: IntArray,
) -> FloatArray:
    """One stream's burn-in effects, shape (panes,); NaN where a pane has too few events."""
    unit = stream.layout.unit
    enough = counts[:, :-1].sum(axis=1) >= EVENTS_MIN * unit
    effects = np.full(len(counts), np.nan)
    if enough.any():
        behind = np.array([baseline.events(slot) // unit for slot in range(baseline.slots)])
        effects[enough] = effects_of(
            DISTANCES[stream.distance],
            stream.layout,
            others[enough],
            counts[enough],
            behind[slots[enough]],
        )
    return effects


def mean_effect(effects: FloatArray) -> FloatArray:
    """Mean over the streams that have a value, shape (panes,); NaN where none has."""
    known = np.isfinite(effects)
    total = np.where(known, effects, 0.0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)


def _least(
    panes: Sequence[PaneCounts], slots: FloatArray, count: int
) -> Mapping[str, tuple[int, ...]]:
    feeds = sorted({feed for pane in panes for feed in pane.feeds})
    least: dict[str, tuple[int, ...]] = {}
    for feed in feeds:
        seen = [[] for _ in range(count)]  # type: list[list[int]]
        for pane, slot in zip(panes, slots, strict=True):
            seen[int(slot)].append(pane.feeds.get(feed, 0))
        least[feed] = tuple(min(values, default=0) for values in seen)
    return least
