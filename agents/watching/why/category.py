"""A new category: names that training never saw, perhaps an old one under a new name."""

import numpy as np

from agents.watching.why.contract import Explained, Moved, Scene, Share
from detectors.sketches.category import CategoryLayout

# So much of what moved must be new names for a feature's distance to be explained by them.
OF_MOVED_MIN = 0.4
# A name that lost at least this part of its share, and about as much as is new, was renamed.
GONE_MIN, ALIKE = 0.9, 0.25


def new_category(scene: Scene) -> list[Explained]:
    """The share of unseen names has risen; the feature's own distance follows from it.

    A name that was merely rare in training is counted as ``other``, and is none of these.
    """
    found = []
    for name, share in sorted(scene.shares.items()):
        if share.stream.kind != "unseen" or share.value <= share.fit.limit:
            continue
        moved = scene.moved.get(share.stream.of)
        follows = moved is not None and _is_explained(moved)
        streams = {name, share.stream.of} if follows else {name}
        if streams & scene.asked:
            found.append(
                Explained(
                    cause_kind="new_category",
                    kind="data_fault",
                    streams=frozenset(streams),
                    cause=_said(share, moved),
                    sure=0.9 if follows else 0.8,
                )
            )
    return found


def _said(share: Share, moved: Moved | None) -> str:
    told = (
        f"{share.stream.of} has values that training never saw in {share.value:.1%} of the events"
    )
    renamed = None if moved is None else _renamed(moved)
    return told if renamed is None else f"{told}: {renamed} vanished, it may have a new name"


def _is_explained(moved: Moved) -> bool:
    layout = moved.stream.layout
    if not isinstance(layout, CategoryLayout):
        return False
    change = moved.counts[:-1] / max(int(moved.counts[:-1].sum()), 1) - moved.normal
    grown = float(np.maximum(change, 0.0).sum())
    return grown > 0 and change[layout.unseen] >= OF_MOVED_MIN * grown


def _renamed(moved: Moved) -> str | None:
    layout = moved.stream.layout
    if not isinstance(layout, CategoryLayout):
        return None
    now = moved.counts[:-1] / max(int(moved.counts[:-1].sum()), 1)
    lost = moved.normal[: layout.other] - now[: layout.other]
    if not len(lost):
        return None
    cell = int(np.argmax(lost))
    gone = lost[cell] >= GONE_MIN * moved.normal[cell]
    alike = abs(lost[cell] - now[layout.unseen]) <= ALIKE * now[layout.unseen]
    return f"{layout.label(cell)} ({moved.normal[cell]:.1%})" if gone and alike else None
