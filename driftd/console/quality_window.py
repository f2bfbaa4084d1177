"""How good the versions of a model were lately, pooled from what has matured; read once, kept."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from math import nan

import msgspec
import numpy as np

from detectors.quality import QualitySketch
from driftd.store.rows import QualityRow

# A day of few labels says little, so that a week is pooled; a fast model has enough much sooner.
SPAN_S = 7 * 86_400.0
PANES_MAX = 200
METRICS = ("accuracy", "auc", "brier", "brier_skill", "f1")


@dataclass(slots=True)
class QualityWindow:
    """One model's newest matured panes: at most ``SPAN_S`` of event time and ``PANES_MAX``."""

    _buckets: dict[float, dict[str, list[tuple[QualitySketch, int]]]] = field(default_factory=dict)

    @property
    def newest(self) -> float | None:
        """Start of the newest pane that matured; None before the first."""
        return max(self._buckets, default=None)

    def add(self, rows: Iterable[QualityRow]) -> None:
        """Take rows of panes that are new; forget what lies behind the window."""
        for row in rows:
            sketch = QualitySketch.from_dict(msgspec.msgpack.decode(row.blob))
            arms = self._buckets.setdefault(row.bucket, defaultdict(list))
            arms[row.version].append((sketch, row.predictions))
        starts = sorted(self._buckets)
        kept = {start for start in starts[-PANES_MAX:] if start > starts[-1] - SPAN_S}
        self._buckets = {start: self._buckets[start] for start in starts if start in kept}

    def sketch(self, version: str) -> QualitySketch:
        """All labels of one version in the window, whichever way it was asked."""
        return _pooled([sketch for sketch, _ in self._of(version)])

    def arrival(self, versions: Iterable[str]) -> float:
        """The share of their predictions that got a label; NaN where nothing has matured."""
        found = [one for version in versions for one in self._of(version)]
        predictions = sum(n for _, n in found)
        return sum(sketch.n for sketch, _ in found) / predictions if predictions else nan

    def _of(self, version: str) -> list[tuple[QualitySketch, int]]:
        return [one for arms in self._buckets.values() for one in arms.get(version, ())]


def scores(sketch: QualitySketch) -> Mapping[str, float]:
    """The metrics of a sketch by name; NaN where one is undefined."""
    return {name: float(getattr(sketch, name)) for name in METRICS}


def _pooled(sketches: list[QualitySketch]) -> QualitySketch:
    if not sketches:
        return QualitySketch.empty()
    names = [item.name for item in fields(QualitySketch)]
    # A histogram stays an array, a count stays a number.
    sums = {name: np.sum([getattr(one, name) for one in sketches], axis=0) for name in names}
    return QualitySketch(**sums)
