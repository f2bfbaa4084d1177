"""ADWIN: a window that drops its older part as soon as that part differs from the newer one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import nan
from typing import Any, ClassVar

from river.drift import ADWIN

from detectors.advisory.contract import Opinion

DELTA = 0.002
# What is kept and fed again each pane: some 5 ms, at half a microsecond an event.
EVENTS_MAX = 10_000
PANES_MAX = 500


@dataclass(frozen=True, slots=True)
class Adwin:
    """River's ADWIN (Bifet, Gavaldà 2007) on wrong answers, 0 or 1 an event.

    A pane is given as its counts, spread evenly: of 40 wrong answers of 400 every tenth. Their order
    inside a pane says nothing, and pane means would be taken for single events: then even 10 % ->
    20 % is never seen. River's window is no plain value, so the newest panes are kept as (wrong, n)
    and fed again: at most 10,000 events, the oldest panes are dropped first and a pane above that
    is scaled down. River's cut is kept too: panes older than its window are dropped. Only a rise
    counts. ``usual``: the share of wrong answers over the panes before this one.

    >>> state, panes = {}, 0
    >>> for _ in range(20):
    ...     state, said = Adwin().step(state, 40, 400)
    >>> said.drift, said.usual
    (False, 0.1)
    >>> while not said.drift:
    ...     state, said, panes = *Adwin().step(state, 80, 400), panes + 1
    >>> panes
    1
    """

    name: ClassVar[str] = "adwin"

    def step(self, state: Mapping[str, Any], wrong: int, n: int) -> tuple[dict[str, Any], Opinion]:
        """Take one pane."""
        if n > EVENTS_MAX // 2:
            wrong, n = round(wrong * EVENTS_MAX / 2 / n), EVENTS_MAX // 2
        kept = [(int(bad), int(of)) for bad, of in state.get("panes", ())]
        while kept and (len(kept) >= PANES_MAX or sum(of for _, of in kept) + n > EVENTS_MAX):
            del kept[0]
        before = sum(of for _, of in kept)
        usual = sum(bad for bad, _ in kept) / before if before else nan
        window = ADWIN(delta=DELTA)
        for pane in kept:
            for event in spread(*pane):
                window.update(event)
        cut = False
        for event in spread(wrong, n):
            window.update(event)
            cut = cut or window.drift_detected
        kept.append((wrong, n))
        if cut:
            width = window.width
            while len(kept) > 1 and sum(of for _, of in kept[1:]) >= width:
                del kept[0]
        drift = bool(cut and wrong / n > usual)
        return {"panes": [list(pane) for pane in kept]}, Opinion(drift=drift, usual=usual)


def spread(wrong: int, n: int) -> Iterator[int]:
    """``n`` events of which ``wrong`` are 1, as evenly as can be.

    >>> list(spread(2, 6))
    [0, 0, 1, 0, 0, 1]
    """
    return ((i + 1) * wrong // n - i * wrong // n for i in range(n))
