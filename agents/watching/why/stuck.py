"""A stuck value: a stream that used to vary says one and the same thing in every event."""

from agents.watching.streams import DistanceStream
from agents.watching.why.contract import Explained, Scene
from detectors.collapse import Collapse, find_collapse

KINDS = frozenset({"category", "numeric"})


def stuck(scene: Scene) -> list[Explained]:
    """Nearly all events since the jump lie in one cell that normally holds less than half of them,
    on a feature that never stood still for a day."""
    found = []
    for name in sorted(scene.asked & scene.moved.keys()):
        moved = scene.moved[name]
        layout = moved.stream.layout
        if not moved.varies:
            continue
        collapse = find_collapse(layout, moved.normal, moved.counts)
        if collapse is None:
            continue
        found.append(
            Explained(
                cause_kind="stuck",
                kind="data_fault",
                streams=frozenset({name}),
                cause=said(moved.stream, collapse),
                # Ahead of what else would explain a single value: any shift or factor does.
                sure=collapse.share * (1 - collapse.normal_share / 2),
            )
        )
    return found


def said(stream: DistanceStream, collapse: Collapse) -> str:
    """The cause in words."""
    value = stream.layout.label(collapse.cell)
    share, usual = collapse.share, collapse.normal_share
    return f"{stream.name} is stuck at {value}: {share:.1%} of the events (normally {usual:.1%})"
