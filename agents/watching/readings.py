"""How one stream's pane is told: its track, its reading, and what stands in an incident."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan, nan

from agents.incidents import StreamMoved
from agents.watching.incidents import QUIET_BELOW, Alarm
from agents.watching.state import RECENT_MAX, Reading, ReadingState, Track


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an engine said about one stream's pane. ``excess``: the effect above normal, NaN for a
    gap; ``since``: where the evidence began, NaN while there is none; ``fast``: a real shift that
    may not last; ``panes``: how many panes a decision needs."""

    stream: str
    distance: str
    tolerance: float
    excess: float
    evidence: float
    fired: bool
    fast: bool
    since: float
    panes: int


@dataclass(slots=True, kw_only=True)
class Telling:
    """What is told about one pane while its streams are gone through."""

    end: float
    before: Mapping[str, Reading]
    tracks: dict[str, Track]
    readings: list[Reading] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)

    def take(self, found: Found) -> tuple[Reading, Track]:
        """Note a stream's pane; the caller adds an alarm if it fired."""
        track = advance(self.tracks.get(found.stream), found)
        reading = read(found, self.end, self.before.get(found.stream))
        self.tracks[found.stream] = track
        self.readings.append(reading)
        return reading, track


def advance(track: Track | None, found: Found) -> Track:
    """The track one pane later; a gap leaves the effects as they are."""
    recent = track.recent if track is not None else ()
    ratio = nan
    if not isnan(found.excess):
        recent = (*recent, found.excess)[-RECENT_MAX:]
        ratio = found.excess / found.tolerance
    return Track(since=None if isnan(found.since) else found.since, recent=recent, ratio=ratio)


def read(found: Found, end: float, before: Reading | None) -> Reading:
    """The reading of a pane that ended at ``end``. A transient lasts until its stream is quiet."""
    state: ReadingState = "quiet"
    lasting = before is not None and before.state in ("transient", "drift")
    if isnan(found.excess):
        state = "gap"
    elif found.fired:
        state = "drift"
    elif found.fast or (lasting and found.excess >= QUIET_BELOW * found.tolerance):
        state = "transient"
    return Reading(
        stream=found.stream,
        distance=found.distance,
        effect=found.excess,
        tolerance=found.tolerance,
        evidence=min(found.evidence, 1.0),
        state=state,
        panes=found.panes,
        at=end,
    )


def unknown(stream: str, distance: str, tolerance: float, end: float) -> Reading:
    """The reading of a stream about which nothing was learned yet."""
    return Reading(
        stream=stream,
        distance=distance,
        effect=nan,
        tolerance=tolerance,
        evidence=0.0,
        state="learning",
        panes=0,
        at=end,
    )


def moved_of(reading: Reading, track: Track, how: str) -> StreamMoved:
    """How a stream that alarms has moved; its onset is where its evidence began."""
    return StreamMoved(
        stream=reading.stream,
        distance=reading.distance,
        effect=reading.effect,
        tolerance=reading.tolerance,
        evidence=reading.evidence,
        since=reading.at if track.since is None else track.since,
        how=how,
    )
