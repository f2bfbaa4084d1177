"""Did a series of effects jump, or creep? A season creeps, a deployment jumps."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

# One step must hold most of what has moved.
JUMP_SHARE = 0.6
# Medians of so many panes on both sides of each step, so that one odd pane is no jump.
JUMP_PANES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """``panes``: how many of the newest values lie behind the step; ``before`` and ``after``: the
    levels on its two sides, in the effect's unit."""

    panes: int
    before: float
    after: float


def find_jump(recent: Sequence[float], tolerance: float) -> Jump | None:
    """The likeliest step of the effects, oldest first, if it makes most of where they are now.

    Of all places where a step is large enough the one that splits the series into two levels best
    (least squares, the change point of a shift in mean). The level behind it must reach the
    ``tolerance``, and the step 60 % of the present level: a stream that has drifted for months can
    still jump, by more than it had drifted.

    >>> find_jump([0.0] * 5 + [0.2] * 4, 0.1)
    Jump(panes=4, before=0.0, after=0.2)
    >>> find_jump([t / 40 for t in range(20)], 0.1) is None
    True
    """
    now = median(recent[-JUMP_PANES:]) if recent else 0.0
    values = np.array(recent, np.float64)
    best, likeliest = None, 0.0
    for at in range(1, len(recent)):
        before = median(recent[max(0, at - JUMP_PANES) : at])
        after = median(recent[at : at + JUMP_PANES])
        if after < tolerance or after - before < JUMP_SHARE * max(now, tolerance):
            continue
        # Medians say whether there is a step; the means of all on both sides, where it likely is.
        left, right = values[:at], values[at:]
        weight = len(left) * len(right) / len(values)
        fit = weight * float(right.mean() - left.mean()) ** 2
        if best is None or fit > likeliest:
            best, likeliest = Jump(panes=len(right), before=before, after=after), fit
    return best
