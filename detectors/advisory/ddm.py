"""DDM: a share of wrong answers that rose by three standard deviations above its lowest."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Any, ClassVar

from river.drift.binary import DDM

from detectors.advisory.contract import Opinion


@dataclass(frozen=True, slots=True)
class Ddm:
    """River's DDM (Gama et al. 2004), updated with counts at the end of each pane.

    It knows p = wrong / n since it began, s = sqrt(p (1 - p) / n) and the lowest p + s so far, and
    says drift where p + s > p_min + 3 s_min. These are functions of counts: a pane is n events at
    once, never one event with the pane's mean; looked at once a pane it also has fewer false alarms
    than looked at once an event. The state is river's own four numbers. After a drift it begins
    anew. ``usual`` = p_min.

    >>> state, panes = {}, 0
    >>> for _ in range(20):
    ...     state, said = Ddm().step(state, 40, 400)
    >>> said.drift, said.usual
    (False, 0.1)
    >>> while not said.drift:
    ...     state, said, panes = *Ddm().step(state, 80, 400), panes + 1
    >>> panes
    2
    """

    name: ClassVar[str] = "ddm"

    def step(self, state: Mapping[str, Any], wrong: int, n: int) -> tuple[dict[str, Any], Opinion]:
        """Take one pane."""
        known = _Counted(state)
        known.update_pane(wrong, n)
        opinion = Opinion(drift=known.drift_detected, usual=known.lowest)
        return ({} if opinion.drift else known.plain()), opinion


class _Counted(DDM):  # type: ignore[misc]  # river has no types
    """River's DDM that goes on from stored numbers and takes counts; a test holds it to its base."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        super().__init__()
        if state:
            self._p.update(float(state["p"]), float(state["n"]))
        if "p_min" in state:
            self._p_min, self._s_min = float(state["p_min"]), float(state["s_min"])
            self._ps_min = self._p_min + self._s_min

    def update_pane(self, wrong: int, n: int) -> None:
        """``n`` events at once: all but one add to the share, and with the last it is looked at."""
        if n > 1:
            self._p.update(wrong / n, n - 1)
        self.update(wrong / n)

    @property
    def lowest(self) -> float:
        """The share at which p + s was lowest."""
        return nan if self._p_min is None else float(self._p_min)

    def plain(self) -> dict[str, float]:
        """What goes on."""
        plain = {"n": float(self._p.n), "p": float(self._p.get())}
        if self._p_min is not None:
            plain |= {"p_min": self.lowest, "s_min": float(self._s_min)}
        return plain
