"""Which predictions wait for their labels: a consistent share of ids, the same in every worker."""

import json
from collections.abc import Sequence
from typing import Any
from zlib import crc32

import msgspec

from driftd.data.samples import encode_labels, encode_predictions, label_text, subject_hash
from driftd.ingest.events import Event
from driftd.store.rows import SampleRow

_IDS = 2.0**32
Columns = dict[str, list[Any]]


def chosen(event_id: str, share: float) -> bool:
    """Whether this id belongs to the sample: a hash decides, so that a prediction, its shadow's
    answer and its label are all kept, or none of them.

    >>> chosen("a", 1.0), chosen("a", 0.0)
    (True, False)
    """
    return share >= 1.0 or crc32(event_id.encode(errors="replace")) / _IDS < share


def copy_for(event: Event) -> Event:
    """A copy that may be cleaned of private fields without changing ``event``."""
    features = None if event.features is None else dict(event.features)
    segment = None if event.segment is None else dict(event.segment)
    vectors = None if event.vectors is None else dict(event.vectors)
    return msgspec.structs.replace(event, features=features, segment=segment, vectors=vectors)


class Sampler:
    """Collects the sampled rows of one flush, a part for each model, bucket and kind."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._predictions: dict[tuple[str, float], Columns] = {}
        self._labels: dict[tuple[str, float], Columns] = {}

    def predictions(
        self, model: str, version: str, variant: str, bucket: float, events: Sequence[Event]
    ) -> None:
        """Keep the chosen ones that answered. Failed requests have nothing that a label could judge."""
        rows = [event for event in events if event.error is None and self._wants(event)]
        if not rows:
            return
        into = self._predictions.setdefault((model, bucket), _columns(_PREDICTION))
        shadow = variant == "shadow"
        into["id"] += [event.id or event.shadow_of for event in rows]
        into["version"] += [version] * len(rows)
        into["variant"] += [variant] * len(rows)
        into["ts"] += [event.ts for event in rows]
        into["score"] += [event.score for event in rows]
        into["prediction"] += [label_text(event.prediction) for event in rows]
        into["latency_ms"] += [event.latency_ms for event in rows]
        into["subject"] += [
            subject_hash(event.subject or event.shadow_of or event.id or "") for event in rows
        ]
        into["shadow_of"] += [event.shadow_of for event in rows]
        # A shadow saw the inputs of the live answer; one copy of them is enough.
        into["features"] += [None if shadow else _as_json(event.features) for event in rows]

    def labels(self, model: str, bucket: float, events: Sequence[Event]) -> None:
        """Keep the labels whose prediction would have been chosen."""
        rows = [event for event in events if event.id and chosen(event.id, self._share)]
        # Privacy may have taken the label away.
        rows = [event for event in rows if event.label is not None]
        if not rows:
            return
        into = self._labels.setdefault((model, bucket), _columns(_LABEL))
        into["id"] += [event.id for event in rows]
        into["ts"] += [event.ts for event in rows]
        into["label"] += [label_text(event.label) for event in rows]

    def rows(self) -> tuple[SampleRow, ...]:
        """All parts, encoded."""
        predictions = [
            SampleRow(
                model=model,
                bucket=bucket,
                kind="prediction",
                n=len(columns["id"]),
                blob=encode_predictions(columns),
            )
            for (model, bucket), columns in sorted(self._predictions.items())
        ]
        labels = [
            SampleRow(
                model=model,
                bucket=bucket,
                kind="label",
                n=len(columns["id"]),
                blob=encode_labels(columns),
            )
            for (model, bucket), columns in sorted(self._labels.items())
        ]
        return (*predictions, *labels)

    def _wants(self, event: Event) -> bool:
        root = event.shadow_of or event.id
        return root is not None and chosen(root, self._share)


_PREDICTION = (
    "id",
    "version",
    "variant",
    "ts",
    "score",
    "prediction",
    "latency_ms",
    "subject",
    "shadow_of",
    "features",
)
_LABEL = ("id", "ts", "label")


def _columns(names: Sequence[str]) -> Columns:
    return {name: [] for name in names}


def _as_json(features: dict[str, Any] | None) -> str | None:
    if features is None:
        return None
    try:
        return msgspec.json.encode(features).decode()
    except UnicodeEncodeError:
        # Half of a surrogate pair has no UTF-8 form; JSON can still escape it.
        return json.dumps(features)
