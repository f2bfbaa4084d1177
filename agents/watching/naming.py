"""How an incident is told: its cause from the causes of its streams, and its one line."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from agents.incidents import Kind, StreamMoved
from agents.watching.streams import ARRIVAL
from agents.watching.why.contract import Explained

LABELS = "@labels"
"""The stream of labels that are turned round."""

_TITLES: Mapping[Kind, str] = {
    "data_fault": "Data fault",
    "input_drift": "Input drift",
    "operational": "Operational fault",
    "quality": "Quality fell",
}


def caused(moved: StreamMoved, found: Explained | None) -> StreamMoved:
    """The stream with its cause."""
    if found is None:
        return moved
    return msgspec.structs.replace(
        moved,
        cause=found.cause,
        cause_kind=found.cause_kind,
        sure=round(found.sure, 3),
        # The evidence of a stream that has drifted for months began with the drift.
        since=max(moved.since, found.not_before),
    )


def ruled(moved: StreamMoved) -> StreamMoved:
    """A broken rule that says by itself what is wrong: labels or values that stay away."""
    if not moved.rule or moved.cause:
        return moved
    if moved.stream == ARRIVAL:
        cause = f"labels come for {moved.effect:.1%} of the predictions only"
        return msgspec.structs.replace(moved, cause=cause, cause_kind="late_labels", sure=1.0)
    if moved.distance == "missing_ratio":
        what = moved.stream.removesuffix("?") if moved.stream.endswith("?") else "a feature"
        cause = f"{what} is missing in {moved.effect:.1%} of the events"
        return msgspec.structs.replace(moved, cause=cause, cause_kind="missing", sure=1.0)
    return moved


def cause_of(streams: Sequence[StreamMoved]) -> tuple[str, str, float]:
    """(cause, its name, how sure) of an incident: every cause once; the name of the one that most of
    its streams have, of several the first."""
    texts = list(dict.fromkeys(moved.cause for moved in streams if moved.cause))
    kinds = Counter(moved.cause_kind for moved in streams if moved.cause_kind)
    kind = max(kinds, key=lambda name: kinds[name], default="")
    sure = max((moved.sure for moved in streams if kind and moved.cause_kind == kind), default=0.0)
    return "; ".join(texts), kind, sure


def summary(model: str, kind: Kind, streams: Sequence[StreamMoved], cause: str) -> str:
    """One line: what kind of thing happened to which model, and why, or to which streams."""
    names = list(dict.fromkeys(moved.stream for moved in streams))
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{_TITLES[kind]} in {model}: {cause or shown}"
