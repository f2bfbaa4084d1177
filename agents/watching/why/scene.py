"""What the causes look at: the streams that jumped, each with all its panes since then as one."""

from collections.abc import Mapping, Sequence
from math import isfinite

import numpy as np

from agents.watching.fitted import Fitted
from agents.watching.state import Track
from agents.watching.streams import DistanceStream, PaneCounts, Streams, share_of
from agents.watching.why.contract import Moved, Scene, Share
from detectors.baseline import EVENTS_MIN, slot_of
from detectors.catalog import DISTANCES
from detectors.jump import Jump, find_jump
from detectors.profile import Profile

# Older panes than these say little more about what is wrong, and have to be read.
POOLED_MAX = 14
# Noise blurs where a step is.
BLUR_PANES = 3
# Cells of these layouts count events, so that panes can be added and compared cell by cell.
KINDS = frozenset({"category", "numeric", "positive"})


def scene_of(
    streams: Streams,
    fitted: Fitted,
    panes: Sequence[PaneCounts],
    tracks: Mapping[str, Track],
    evidence: Mapping[str, float],
    asked: frozenset[str],
    profile: Profile | None,
) -> Scene:
    """The scene at the last of ``panes`` (oldest first, without gaps in time, at least one).

    ``evidence``: stream -> how near it is to an alarm, 1 where it alarms now.
    """
    newest = panes[-1]
    moved = (
        _moved(stream, fitted, panes, tracks.get(stream.name), evidence.get(stream.name, 0.0))
        for stream in streams.distances
    )
    shares = {}
    for stream in streams.shares:
        fit = fitted.shares.get(stream.name)
        k, n = share_of(stream, newest) if newest.complete else (0, 0)
        if fit is not None and n:
            track = tracks.get(stream.name, Track())
            shares[stream.name] = Share(stream=stream, fit=fit, track=track, k=k, n=n)
    return Scene(
        asked=asked,
        moved={one.name: one for one in moved if one is not None},
        shares=shares,
        profile=profile,
    )


def _moved(
    stream: DistanceStream,
    fitted: Fitted,
    panes: Sequence[PaneCounts],
    track: Track | None,
    evidence: float,
) -> Moved | None:
    """The stream since its jump; None if it crept, is back, jumped just now, or counts no events."""
    if track is None or stream.layout.kind not in KINDS or stream.name not in fitted.streams:
        return None
    jump = find_jump(track.recent, stream.tolerance)
    # Where jumps last long by themselves, as of the weather, a longer look is needed.
    lasting = int(fitted.scalar.panes[fitted.streams.index(stream.name)])
    if jump is None or jump.panes < min(lasting, POOLED_MAX):
        return None
    return _pooled(stream, fitted, panes, jump, evidence)


def _pooled(
    stream: DistanceStream, fitted: Fitted, panes: Sequence[PaneCounts], jump: Jump, evidence: float
) -> Moved | None:
    baseline = fitted.baselines[stream.name]
    counts = np.zeros(stream.layout.size, np.int64)
    normal, events, taken = np.zeros(stream.layout.size - 1), 0, 0
    for pane in reversed(panes):
        cells = pane.counts.get(stream.name)
        if cells is None or not pane.complete or len(cells) - 1 != baseline.counts.shape[1]:
            continue
        n = int(cells[:-1].sum())
        # A pane with too few events was a gap to the engine as well: the jump does not count it.
        if n < EVENTS_MIN or taken == jump.panes:
            continue
        slot = slot_of(pane.start, fitted.slots)
        counts, normal = counts + cells, normal + n * baseline.normal(slot)
        events, taken = max(events, baseline.events(slot)), taken + 1
    n, newest = int(counts[:-1].sum()), panes[-1]
    if n == 0 or not np.isfinite(normal).all():
        return None
    normal = normal / n
    effect = DISTANCES[stream.distance].measure(stream.layout, normal, counts, m=events).value
    if not isfinite(effect) or effect < stream.tolerance:
        return None
    return Moved(
        stream=stream,
        normal=normal,
        m=events,
        counts=counts,
        effect=effect,
        allowed=stream.tolerance + max(jump.before, 0.0),
        jump=jump,
        evidence=evidence,
        since=newest.end - (jump.panes + BLUR_PANES) * (newest.end - newest.start),
        varies=stream.name in fitted.varying,
    )
