"""When causes are looked for: at an alarm, and as long as its incident is young."""

from agents.watching.state import WatchState

# Of a stream with so much evidence the past panes are read: it may alarm in the next one.
EVIDENCE_MIN = 0.6
# While an incident is so many panes old its causes may be revised: more panes tell more.
YOUNG_PANES = 6
EXPLAINED = ("data_fault", "input_drift")


def wanting(state: WatchState, now: float, pane_s: float) -> frozenset[str]:
    """Streams of young incidents, which may still get a cause or a better one."""
    return frozenset(
        moved.stream
        for incident in state.incidents
        if incident.kind in EXPLAINED and now - incident.opened <= YOUNG_PANES * pane_s
        for moved in incident.streams
        if not moved.rule
    )


def wants_past(state: WatchState, now: float, pane_s: float) -> bool:
    """Whether the panes before the next one are needed to find causes in it."""
    gathering = any(reading.evidence >= EVIDENCE_MIN for reading in state.readings)
    return gathering or bool(wanting(state, now, pane_s))
