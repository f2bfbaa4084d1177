"""How an incident is told: its cause from the causes of its streams, and its one line."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from agents.incidents import Kind, StreamMoved
from agents.watching.streams import WHOLE
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
        moved, cause=found.cause, cause_kind=found.cause_kind, sure=round(found.sure, 3)
    )


def cause_of(streams: Sequence[StreamMoved]) -> tuple[str, str, float]:
    """(cause, its name, how sure) of an incident: every cause once; the name of the one that most of
    its streams have, of several the first."""
    single = {moved.cause_kind for moved in streams if moved.stream != WHOLE}
    # What the whole model was told to suffer from is told again by the stream itself, once it alarms.
    told = [moved for moved in streams if moved.stream != WHOLE or moved.cause_kind not in single]
    texts = list(dict.fromkeys(moved.cause for moved in told if moved.cause))
    kinds = Counter(moved.cause_kind for moved in streams if moved.cause_kind)
    kind = max(kinds, key=lambda name: kinds[name], default="")
    sure = max((moved.sure for moved in streams if kind and moved.cause_kind == kind), default=0.0)
    return "; ".join(texts), kind, sure


def summary(model: str, kind: Kind, streams: Sequence[StreamMoved], cause: str) -> str:
    """One line: what kind of thing happened to which model, and why, or to which streams."""
    names = list(dict.fromkeys(moved.stream for moved in streams))
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{_TITLES[kind]} in {model}: {cause or shown}"
