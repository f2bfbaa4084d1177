"""Label arrival as a stream: the share of predictions whose label has come by the maturity age."""

from math import ceil

import msgspec

from agents.events import QualityMatured
from agents.watching.incidents import Alarm
from agents.watching.label_measures import LabelArrival
from agents.watching.learning import PANES_MIN, SPAN_MIN_S
from agents.watching.readings import advance, moved_of, read
from agents.watching.share_fits import fit_share
from agents.watching.shares import step_share
from agents.watching.state import Arrival, Part
from agents.watching.streams import ARRIVAL
from detectors.baseline import EVENTS_MIN

TOLERANCE = 0.05
# So many panes of the burn-in are kept as pairs of numbers: two weeks of ten minutes.
LEARNING_MAX = 2_016
_EDGE_S = 1e-6


def arrival_part(event: QualityMatured) -> Part:
    """The live predictions of a bucket, and how many of them have no label."""
    return LabelArrival().read_labels(event, "")


def step_arrival(
    arrival: Arrival, part: Part, pane_s: float, threshold: float
) -> tuple[Arrival, list[Alarm]]:
    """Take a matured bucket; at the end of a pane learn from it, or weigh it."""
    if part.start < arrival.seen - _EDGE_S:
        return arrival, []
    index = int(part.start // pane_s)
    first = part.start if arrival.first is None else arrival.first
    if arrival.open is not None and int(arrival.open.start // pane_s) != index:
        # The pane's last buckets had no predictions: it is whole all the same.
        arrival, alarms = _whole_pane(arrival, arrival.open, pane_s, threshold)
    else:
        alarms = []
    whole = part if arrival.open is None else LabelArrival().join(arrival.open, part)
    arrival = msgspec.structs.replace(arrival, first=first, seen=part.end, open=whole)
    if (part.end + _EDGE_S) % pane_s <= 2 * _EDGE_S:
        arrival, more = _whole_pane(arrival, whole, pane_s, threshold)
        alarms += more
    return arrival, alarms


def _whole_pane(
    arrival: Arrival, pane: Part, pane_s: float, threshold: float
) -> tuple[Arrival, list[Alarm]]:
    arrival = msgspec.structs.replace(arrival, open=None)
    if pane.n < EVENTS_MIN:
        track = msgspec.structs.replace(arrival.track, ratio=float("nan"))
        return msgspec.structs.replace(arrival, track=track), []
    labelled = pane.n - int(pane.bad)
    if arrival.fit is None:
        learning = (*arrival.learning, (labelled, pane.n))[-LEARNING_MAX:]
        # Of short panes a week does not fit; what fits is enough.
        if len(learning) < min(max(PANES_MIN, ceil(SPAN_MIN_S / pane_s)), LEARNING_MAX):
            return msgspec.structs.replace(arrival, learning=learning), []
        fit = fit_share(learning, TOLERANCE, threshold, below=True)
        return msgspec.structs.replace(arrival, learning=(), fit=fit), []
    fit = arrival.fit
    engine, found = step_share(
        ARRIVAL, fit, arrival.engine, (labelled, pane.n), threshold, at=pane.start, below=True
    )
    track = advance(arrival.track, found)
    reading = read(found, (pane.start // pane_s + 1) * pane_s, arrival.reading)
    arrival = msgspec.structs.replace(arrival, engine=engine, track=track, reading=reading)
    if not found.fired:
        return arrival, []
    share = labelled / pane.n
    how = f"{ARRIVAL}: {labelled} of {pane.n} labels came ({share:.1%}), normally {fit.normal:.1%}"
    cause = f"labels come for {share:.1%} of the predictions (normally {fit.normal:.1%})"
    moved = msgspec.structs.replace(
        moved_of(reading, track, how), cause=cause, cause_kind="late_labels", sure=1.0
    )
    return arrival, [Alarm(moved=moved, kind="data_fault", severity="warning")]
