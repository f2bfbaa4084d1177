"""Measures of joined labels: their arrival, and the quality of the answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan, sqrt

import msgspec
import numpy as np

from agents.events import QualityMatured
from agents.watching.state import Part
from agents.watching.streams import LIVE
from detectors.quality import QualitySketch
from detectors.sketches.layouts import decode_counts, encode_counts

QUALITY = ("accuracy", "auc", "brier", "brier_skill", "f1", "precision", "recall")


class LabelArrival:
    """Predictions whose label has come by the maturity age; ``bad`` counts those without."""

    def join(self, a: Part, b: Part) -> Part:
        return Part(start=a.start, end=b.end, n=a.n + b.n, bad=a.bad + b.bad)

    def events(self, part: Part) -> int:
        return part.n

    def read_labels(self, event: QualityMatured, champion: str) -> Part:
        arms = [quality for arm, quality in event.arms.items() if arm.variant in LIVE]
        n = sum(quality.predictions for quality in arms)
        labelled = min(sum(quality.sketch.n for quality in arms), n)
        return Part(start=event.start, end=event.end, n=n, bad=float(n - labelled))

    def value(self, part: Part) -> float:
        return 1 - part.bad / part.n if part.n else nan


@dataclass(frozen=True, slots=True)
class Quality:
    """A metric of joined labels; ``bad`` of ``n`` is its share form (Brier: loss in [0, 1])."""

    metric: str

    def read_labels(self, event: QualityMatured, champion: str) -> Part:
        sketch = QualitySketch.empty()
        for arm, quality in event.arms.items():
            if arm.version == champion and arm.variant == "champion":
                sketch = sketch.merge(quality.sketch)
        return self._part(event.start, event.end, sketch)

    def join(self, a: Part, b: Part) -> Part:
        return self._part(a.start, b.end, unpack_quality(a).merge(unpack_quality(b)))

    def value(self, part: Part) -> float:
        return float(getattr(unpack_quality(part), self.metric))

    def events(self, part: Part) -> int:
        return unpack_quality(part).n

    def _part(self, start: float, end: float, sketch: QualitySketch) -> Part:
        bad, n = SHARE_FORMS.get(self.metric, _labelled)(sketch)
        return Part(start=start, end=end, n=n, bad=float(bad), blob=_pack_quality(sketch))


def _labelled(sketch: QualitySketch) -> tuple[float, int]:
    return 0.0, sketch.n


# Metric -> (bad, n) of a sketch such that bad / n is a share: what the proportion engine takes.
SHARE_FORMS: Mapping[str, Callable[[QualitySketch], tuple[float, int]]] = {
    "accuracy": lambda s: (s.fp + s.fn, s.n),
    "brier": lambda s: (s.brier_sum, s.scored),
    "f1": lambda s: (s.fp + s.fn, s.tp + s.fp + s.fn),
    "precision": lambda s: (s.fp, s.tp + s.fp),
    "recall": lambda s: (s.fn, s.tp + s.fn),
}


def standard_error(metric: str, part: Part) -> float:
    """Of ``auc`` (Hanley, McNeil 1982) and ``brier_skill`` (of its Brier score, p̄ taken as known)."""
    sketch = unpack_quality(part)
    if metric == "brier_skill":
        share = sketch.positives / sketch.n if sketch.n else 0.0
        return sketch.brier_error / (share * (1 - share)) if 0 < share < 1 else nan
    auc, ones = sketch.auc, int(sketch.positive_scores.sum())
    zeros = int(sketch.negative_scores.sum())
    if not ones or not zeros:
        return nan
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (ones - 1) * (q1 - auc**2) + (zeros - 1) * (q2 - auc**2)
    return sqrt(max(spread, 0.0) / (ones * zeros))


def unpack_quality(part: Part) -> QualitySketch:
    """The labels of a part; an empty part has none."""
    if not part.blob:
        return QualitySketch.empty()
    plain, positive, negative = msgspec.msgpack.decode(part.blob)
    return QualitySketch(
        **plain, positive_scores=decode_counts(positive), negative_scores=decode_counts(negative)
    )


def _pack_quality(sketch: QualitySketch) -> bytes:
    plain = sketch.to_dict()
    scores = [
        encode_counts(np.array(plain.pop(f"{side}_scores"))) for side in ("positive", "negative")
    ]
    return msgspec.msgpack.encode([plain, *scores])
