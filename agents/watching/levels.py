"""How far each stream lies above its normal now: what ages incidents, and what people are shown."""

import msgspec

from agents.watching.concept import levels as concept_levels
from agents.watching.incidents import QUIET_BELOW, Journal
from agents.watching.naming import LABELS
from agents.watching.state import Reading, WatchState
from agents.watching.streams import ARRIVAL


def levels_of(state: WatchState) -> dict[tuple[str, str], float]:
    """(stream, rule) -> how far above normal in tolerances; of a rule 1 if it is broken."""
    levels = {(name, ""): track.ratio for name, track in state.tracks.items()}
    levels[ARRIVAL, ""] = state.arrival.track.ratio
    levels[LABELS, ""] = state.labels.level
    levels |= concept_levels(state.concept)
    for track in state.rules.values():
        known = track.value == track.value
        level = float(track.breached) if known else float("nan")
        levels[track.stream, track.rule] = level
    return levels


def shown(reading: Reading, journal: Journal) -> Reading:
    """A member of an open incident drifts until it is quiet, whatever its engine gathers anew."""
    member = any(
        moved.stream == reading.stream and not moved.rule
        for incident in journal.open
        for moved in incident.streams
    )
    measured = reading.state not in ("gap", "learning")
    if not (member and measured and reading.effect >= QUIET_BELOW * reading.tolerance):
        return reading
    return msgspec.structs.replace(reading, state="drift", evidence=1.0)
