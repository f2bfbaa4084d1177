"""Swapped columns: two streams jumped at once, and each now looks like the other one used to."""

from itertools import combinations

import numpy as np

from agents.watching.why.contract import Explained, Moved, Scene
from detectors.contract import FloatArray
from detectors.recount import recounted

# Of what moved so much may be left when the two are swapped back, on each of them.
LEFT_MAX = 0.35
# So far apart, in panes, may the two jumps be seen: noise blurs where a step is.
APART_MAX = 3
# A name that a stream never had is unseen whatever it is: so much must be told by known names.
KNOWN_MIN = 0.5


def swapped(scene: Scene) -> list[Explained]:
    """Every pair of features of one kind in which each explains the other."""
    names = sorted(name for name in scene.moved if not name.startswith("@"))
    found = []
    for one, other in combinations(names, 2):
        if not {one, other} & scene.asked:
            continue
        a, b = scene.moved[one], scene.moved[other]
        if abs(a.jump.panes - b.jump.panes) > APART_MAX:
            continue
        left = max(_left(a, b), _left(b, a))
        if left <= LEFT_MAX:
            found.append(
                Explained(
                    cause_kind="swapped",
                    kind="data_fault",
                    streams=frozenset({one, other}),
                    cause=f"{one} and {other} are swapped: each looks like the other used to",
                    sure=1 - left / 2,
                )
            )
    return found


def _left(moved: Moved, other: Moved) -> float:
    """What is left of a stream's effect if it were the other one."""
    if moved.stream.layout.kind != other.stream.layout.kind:
        return 1.0
    expected = recounted(other.stream.layout, other.normal, moved.stream.layout)
    if expected is None or not _says_something(moved, expected):
        return 1.0
    return moved.left(expected) if moved.distance(expected) <= moved.allowed else 1.0


def _says_something(moved: Moved, expected: FloatArray) -> bool:
    if moved.stream.layout.kind != "category":
        return True
    return float(np.sum(expected[:-2])) >= KNOWN_MIN
