"""How each stream's evidence and effect went over time, in a bounded number of points."""

from collections.abc import Sequence

import numpy as np

from agents.watching.state import Reading
from detectors.contract import FloatArray

POINTS_MAX = 4_096
"""Beyond it two neighbours become one point, the larger of both."""


class Timeline:
    """Readings pane by pane; streams may come and go, what was not read is NaN."""

    def __init__(self) -> None:
        self._at: list[float] = []
        self._values: dict[str, list[tuple[float, float]]] = {}
        self._every = 1
        self._skipped = 0

    def add(self, at: float, readings: Sequence[Reading]) -> None:
        """The readings of the pane that ended at ``at``."""
        fresh = {
            one.stream: (one.evidence, one.effect / one.tolerance if one.tolerance else np.nan)
            for one in readings
            if one.state != "learning"
        }
        if self._at and self._skipped + 1 < self._every:
            self._skipped += 1
            for name, pair in fresh.items():
                row = self._row(name)
                row[-1] = _larger(row[-1], pair)
            return
        self._skipped = 0
        self._at.append(at)
        for name in {*self._values, *fresh}:
            row = self._row(name)
            row += [(np.nan, np.nan)] * (len(self._at) - len(row))
            row[-1] = fresh.get(name, (np.nan, np.nan))
        if len(self._at) >= 2 * POINTS_MAX:
            self._halve()

    def streams(self, most: int) -> list[str]:
        """The streams whose evidence or effect rose highest, the highest first; none that never rose."""
        peaks = {name: _peak(row) for name, row in self._values.items()}
        peaks = {name: peak for name, peak in peaks.items() if max(peak) > 0}
        return sorted(peaks, key=lambda name: (*(-peak for peak in peaks[name]), name))[:most]

    def of(self, stream: str) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Times, evidence (1 = alarm) and effect in tolerances, shape (points,) each."""
        row = np.array(self._row(stream), np.float64).reshape(-1, 2)
        return np.array(self._at, np.float64), row[:, 0], row[:, 1]

    def _row(self, name: str) -> list[tuple[float, float]]:
        row = self._values.setdefault(name, [])
        row += [(np.nan, np.nan)] * (len(self._at) - len(row))
        return row

    def _halve(self) -> None:
        self._every *= 2
        self._at = self._at[1::2]
        for name, row in self._values.items():
            pairs = zip(row[::2], row[1::2], strict=False)
            self._values[name] = [_larger(a, b) for a, b in pairs]


def _larger(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return float(np.fmax(a[0], b[0])), float(np.fmax(a[1], b[1]))


def _peak(row: Sequence[tuple[float, float]]) -> tuple[float, float]:
    values = np.nan_to_num(np.array(row, np.float64).reshape(-1, 2), nan=0.0)
    return min(float(values[:, 0].max(initial=0.0)), 1.0), float(values[:, 1].max(initial=0.0))
