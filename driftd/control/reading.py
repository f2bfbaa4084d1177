"""Rows of the store as the agents' values."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import msgspec

from agents.codec import decode_arm, merge_arms
from agents.commands import Decided
from agents.events import (
    Arm,
    ArmCounts,
    ArmsObserved,
    CommandDone,
    OperatorAsked,
    PaneClosed,
    QueryRead,
    RegistryObserved,
)
from agents.stages.contract import LifecycleEvent
from driftd.store.rows import InboxRow, IncrementRow, PaneRow, PartialRow

SOURCE = "source:"
# The kind of an inbox row that nobody decides on: what a person should find in the journal.
NOTE = "note"
# The verb of an answer of Prometheus. It lies in the inbox among what operators ask: version 0.1
# ends by a kind of row that it does not know and passes over a verb, and both may run side by side.
QUERY = "query"
# Stream -> a mark of the layout on which it is counted, see `agents.codec`.
Marks = Mapping[str, int]
INBOX_EVENTS = {
    "result": CommandDone,
    "operator": OperatorAsked,
    "registry": RegistryObserved,
}


def pane_of(start: float, end: float, partials: Iterable[PartialRow], marks: Marks) -> PaneClosed:
    """The closed bucket [start, end) from what the flushes saw of it, in any order.

    ``marks``: on which layouts the model counts now; what was counted on others is left out.
    """
    arms: dict[Arm, ArmCounts] = {}
    sources: dict[str, ArmCounts] = {}
    for row in partials:
        counts = decode_arm(row.blob, marks)
        if row.variant.startswith(SOURCE):
            name = row.variant.removeprefix(SOURCE)
            sources[name] = merge_arms(sources[name], counts) if name in sources else counts
        else:
            arm = Arm(row.version, row.variant)  # type: ignore[arg-type]
            arms[arm] = merge_arms(arms[arm], counts) if arm in arms else counts
    return PaneClosed(
        start=start, end=end, arms=dict(sorted(arms.items())), sources=dict(sorted(sources.items()))
    )


def panes_of(rows: Sequence[PaneRow], marks: Marks) -> list[PaneClosed]:
    """Stored panes as events, oldest first; rows of one start are the arms of one pane."""
    starts: dict[float, list[PaneRow]] = defaultdict(list)
    for row in rows:
        starts[row.start].append(row)
    return [_stored(start, starts[start], marks) for start in sorted(starts)]


def _stored(start: float, rows: list[PaneRow], marks: Marks) -> PaneClosed:
    arms: dict[Arm, ArmCounts] = {}
    sources: dict[str, ArmCounts] = {}
    for row in rows:
        if not row.blob:
            continue
        if row.variant.startswith(SOURCE):
            sources[row.variant.removeprefix(SOURCE)] = decode_arm(row.blob, marks)
        else:
            arms[Arm(row.version, row.variant)] = decode_arm(row.blob, marks)  # type: ignore[arg-type]
    return PaneClosed(
        start=start,
        end=rows[0].end,
        arms=dict(sorted(arms.items())),
        sources=dict(sorted(sources.items())),
        late=sum(row.late for row in rows),
        complete=all(row.complete for row in rows),
    )


def observed(rows: Iterable[IncrementRow]) -> list[ArmsObserved]:
    """Increments as events, in arrival order; rows of one flush are one event."""
    flushes: dict[float, dict[Arm, ArmCounts]] = {}
    for row in rows:
        arms = flushes.setdefault(row.at, {})
        arm = Arm(row.version, row.variant)  # type: ignore[arg-type]
        counts = decode_arm(row.blob)
        arms[arm] = merge_arms(arms[arm], counts) if arm in arms else counts
    return [ArmsObserved(at=at, arms=arms) for at, arms in flushes.items()]


def told(row: InboxRow) -> LifecycleEvent:
    """An inbox row as the event it is."""
    event: LifecycleEvent = msgspec.json.decode(row.payload, type=INBOX_EVENTS[row.kind])
    return event


def queried(event: LifecycleEvent) -> QueryRead | None:
    """What Prometheus said, where an inbox row is that and no wish of an operator."""
    if not isinstance(event, OperatorAsked) or event.verb != QUERY:
        return None
    return msgspec.convert(event.arguments, QueryRead)


def answer_of(read: QueryRead) -> bytes:
    """What Prometheus said as the payload of an inbox row of kind ``operator``."""
    asked = OperatorAsked(verb=QUERY, by="prometheus", arguments=asdict(read))
    return msgspec.json.encode(asked)


def noted(row: InboxRow, now: float) -> Decided:
    """An inbox row of kind ``NOTE`` as the line of the journal that it is, written ``now``."""
    line = msgspec.json.decode(row.payload, type=Decided)
    return msgspec.structs.replace(line, at=now)
