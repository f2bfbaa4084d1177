"""How good the versions of a model were lately, pooled from what has matured; read once, kept."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """All labels of one version in the window, whichever way it was asked; ``predictions`` are
    those that have matured, with a label or without."""

    sketch: QualitySketch
    predictions: int

    def scores(self) -> Mapping[str, float]:
        """The metrics by name; NaN where one is undefined."""
        return {name: float(getattr(self.sketch, name)) for name in METRICS}


@dataclass(slots=True)
class QualityWindow:
    """One model's newest matured panes: at most ``SPAN_S`` of event time and ``PANES_MAX``."""

    _buckets: dict[float, dict[str, list[tuple[QualitySketch, int]]]] = field(default_factory=dict)
    _pooled: dict[str, Pooled] = field(default_factory=dict)

    @property
    def newest(self) -> float | None:
        """Start of the newest pane that matured; None before the first."""
        return max(self._buckets, default=None)

    def add(self, rows: Sequence[QualityRow]) -> None:
        """Take rows of panes that are new; forget what lies behind the window."""
        if not rows:
            return
        self._pooled.clear()
        for row in rows:
            sketch = QualitySketch.from_dict(msgspec.msgpack.decode(row.blob))
            arms = self._buckets.setdefault(row.bucket, defaultdict(list))
            arms[row.version].append((sketch, row.predictions))
        starts = sorted(self._buckets)
        behind = starts[-1] - SPAN_S
        kept = [start for start in starts[-PANES_MAX:] if start > behind]
        self._buckets = {start: self._buckets[start] for start in kept}

    def pooled(self, version: str) -> Pooled:
        """What is known of one version."""
        if version not in self._pooled:
            found = [one for arms in self._buckets.values() for one in arms.get(version, ())]
            self._pooled[version] = Pooled(
                sketch=_sum([sketch for sketch, _ in found]),
                predictions=sum(predictions for _, predictions in found),
            )
        return self._pooled[version]

    def arrival(self, versions: Iterable[str]) -> float:
        """The share of their predictions that got a label; NaN where nothing has matured."""
        found = [self.pooled(version) for version in versions]
        predictions = sum(one.predictions for one in found)
        return sum(one.sketch.n for one in found) / predictions if predictions else nan


def _sum(sketches: list[QualitySketch]) -> QualitySketch:
    if not sketches:
        return QualitySketch.empty()
    names = [item.name for item in fields(QualitySketch)]
    # A histogram stays an array, a count stays a number.
    sums = {name: np.sum([getattr(one, name) for one in sketches], axis=0) for name in names}
    return QualitySketch(**sums)
