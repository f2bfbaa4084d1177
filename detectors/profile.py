"""A model's reference: where its streams are counted, and how its training window looked there."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from detectors.contract import FloatArray, IntArray, Layout, events
from detectors.quality import QualitySketch
from detectors.sketches.category import CategoryLayout
from detectors.sketches.layouts import layout_from_dict
from detectors.sketches.numeric import NumericLayout
from detectors.sketches.positive import PositiveLayout

FORMAT = 1
BYTES_MAX = 256 * 1024 * 1024
# Format -> what makes a document of that format one of the next.
_UPCASTS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StreamProfile:
    """One stream's layout and its reference counts, shape (layout.size,), missing cell last."""

    layout: Layout
    counts: IntArray

    @property
    def n(self) -> int:
        """How many values are present."""
        return events(self.layout, self.counts)

    @property
    def shares(self) -> FloatArray:
        """Shares of the present cells, shape (layout.size - 1,); NaN if nothing is present."""
        present = self.counts[:-1].astype(np.float64)
        return present / present.sum() if self.n else np.full(len(present), np.nan)

    @property
    def missing_share(self) -> float:
        """Share of missing values; NaN without any value at all."""
        missing = int(self.counts[-1])
        return missing / (missing + self.n) if missing + self.n else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """What one version was trained on: ``n`` rows with event times in [since, until).

    >>> stream = StreamProfile(layout=NumericLayout((1.0,)), counts=np.array([3, 1, 0]))
    >>> profile = Profile(version="3", n=4, since=0.0, until=60.0, streams={"temp": stream})
    >>> Profile.from_bytes(profile.to_bytes()).streams["temp"].shares.tolist()
    [0.75, 0.25]
    """

    version: str
    n: int
    since: float
    until: float
    streams: Mapping[str, StreamProfile] = field(default_factory=dict)
    quality: QualitySketch | None = None

    @property
    def layouts(self) -> dict[str, Layout]:
        """Stream -> layout. They belong to the model: later versions are folded on them too."""
        return {name: stream.layout for name, stream in self.streams.items()}

    def to_bytes(self) -> bytes:
        """Compressed JSON that carries its format version."""
        document = {
            "format": FORMAT,
            "version": self.version,
            "n": self.n,
            "since": self.since,
            "until": self.until,
            "streams": {
                name: {"layout": stream.layout.to_dict(), "counts": stream.counts.tolist()}
                for name, stream in sorted(self.streams.items())
            },
            "quality": self.quality.to_dict() if self.quality else None,
        }
        return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 6)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Profile":
        """The profile that ``to_bytes`` of this or an earlier release wrote.

        ValueError if the bytes are no profile or come from a later release.
        """
        document = _upcast(_open(data))
        try:
            return cls(
                version=document["version"],
                n=document["n"],
                since=document["since"],
                until=document["until"],
                streams={name: _stream(name, row) for name, row in document["streams"].items()},
                quality=QualitySketch.from_dict(q) if (q := document["quality"]) else None,
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"the profile is damaged: {error}") from error


def default_layouts(latency_thresholds: Sequence[float] = ()) -> dict[str, Layout]:
    """Layouts of the streams that need no reference; latencies and thresholds in milliseconds.

    Scores are probabilities: 256 equal cells on [0, 1], the last one open upwards.

    >>> {name: layout.size for name, layout in default_layouts((100.0,)).items()}
    {'@score': 257, '@prediction': 3, '@latency_ms': 2087}
    """
    return {
        "@score": NumericLayout(tuple((np.arange(1, 256) / 256).tolist())),
        "@prediction": CategoryLayout(()),
        "@latency_ms": PositiveLayout(tuple(latency_thresholds)),
    }


def _open(data: bytes) -> dict[str, Any]:
    reader = zlib.decompressobj()
    try:
        document = json.loads(reader.decompress(data, BYTES_MAX))
    except (zlib.error, ValueError) as error:
        raise ValueError(
            "these bytes are no profile; make one with: driftd data profile"
        ) from error
    if not (reader.eof and isinstance(document, dict)):
        raise ValueError("these bytes are no profile, or one that was cut off")
    return document


def _upcast(document: dict[str, Any]) -> dict[str, Any]:
    version = document.get("format")
    while version != FORMAT:
        step = _UPCASTS.get(version) if isinstance(version, int) else None
        if step is None:
            raise ValueError(
                f"a profile of format {version}; this release reads up to format {FORMAT}"
            )
        document = step(document)
        version = document.get("format")
    return document


def _stream(name: str, row: dict[str, Any]) -> StreamProfile:
    layout, counts = layout_from_dict(row["layout"]), np.array(row["counts"], np.int64)
    if counts.shape != (layout.size,):
        raise ValueError(f"stream {name}: {len(counts)} counts for {layout.size} cells")
    return StreamProfile(layout=layout, counts=counts)
