"""Features that say one and the same thing for a day: a sensor that hangs, a cache, a default.

What varies slowly is alike for a whole pane anyway, so that its distance to normal hardly tells. A
day of one value does, and like a feed that is silent it needs no learning how much it wanders.
"""

from collections.abc import Mapping, Sequence
from math import ceil, nan

import numpy as np

from agents.incidents import StreamMoved
from agents.watching.fitted import Fitted
from agents.watching.incidents import Alarm
from agents.watching.readings import Telling
from agents.watching.state import Track
from agents.watching.streams import DistanceStream, PaneCounts
from agents.watching.why.stuck import KINDS, said
from detectors.collapse import EVENTS_MIN, find_collapse, longest_run

STUCK_S, STUCK_PANES = 86_400.0, 3
SUFFIX = "="


def stuck_panes(pane_s: float) -> int:
    """Panes in a row with one value after which a feature that varies is stuck: a day of them."""
    return max(STUCK_PANES, ceil(STUCK_S / pane_s))


def varying_streams(
    streams: tuple[DistanceStream, ...], panes: Sequence[PaneCounts], pane_s: float
) -> frozenset[str]:
    """The features that never stood still for so long in the burn-in. A weekday stands still for a
    day and a month for weeks: that is no fault of theirs."""
    varying = set()
    for stream in streams:
        if stream.name.startswith("@") or stream.layout.kind not in KINDS:
            continue
        counts = [pane.counts[stream.name] for pane in panes if stream.name in pane.counts]
        if counts and longest_run(np.array(counts)[:, :-1]) < stuck_panes(pane_s):
            varying.add(stream.name)
    return frozenset(varying)


def judge_stuck(
    streams: tuple[DistanceStream, ...],
    before: Mapping[str, tuple[int, int]],
    fitted: Fitted,
    pane: PaneCounts,
    telling: Telling,
) -> dict[str, tuple[int, int]]:
    """Stream -> (cell, panes in a row in which it held everything); alarms after a day of them."""
    needed = stuck_panes(pane.end - pane.start)
    after: dict[str, tuple[int, int]] = {}
    for stream in streams:
        baseline, counts = fitted.baselines.get(stream.name), pane.counts.get(stream.name)
        if stream.name not in fitted.varying or baseline is None:
            continue
        name, known = f"{stream.name}{SUFFIX}", before.get(stream.name)
        fits = counts is not None and len(counts) - 1 == baseline.counts.shape[1]
        if counts is None or not fits or not pane.complete or counts[:-1].sum() < EVENTS_MIN:
            if known is not None:
                after[stream.name] = known
                telling.tracks[name] = Track(ratio=nan)
            continue
        every = baseline.counts.sum(axis=0)
        normal = every / max(int(every.sum()), 1)
        found = find_collapse(stream.layout, np.asarray(normal, np.float64), counts)
        if found is None:
            if name in telling.tracks:
                telling.tracks[name] = Track(ratio=0.0)
            continue
        same = known is not None and known[0] == found.cell
        panes = 1 + (known[1] if known is not None and same else 0)
        after[stream.name] = (found.cell, panes)
        telling.tracks[name] = Track(ratio=1.0 if panes >= needed else 0.0)
        if panes == needed:
            cause = said(stream, found)
            moved = StreamMoved(
                stream=name,
                distance="share",
                effect=found.share,
                tolerance=found.normal_share,
                evidence=1.0,
                since=pane.end - needed * (pane.end - pane.start),
                how=f"{name}: one value in {needed} panes in a row",
                cause=cause,
                cause_kind="stuck",
                sure=1.0,
            )
            telling.alarms.append(Alarm(moved=moved, kind="data_fault", severity="warning"))
    return after
