"""What the report shows of the past: quality and input effects a pane, computed from the store."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from agents.codec import decode_arm
from detectors.catalog import DISTANCES
from detectors.contract import FloatArray, IntArray, events
from detectors.profile import Profile
from detectors.quality import QualitySketch
from driftd.store.rows import PaneRow, QualityRow
from driftd.store.store import Store

LIVE = ("champion", "challenger")


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityPoint:
    """Matured quality of one pane: of the answers that went out, pooled over live arms."""

    start: float
    version: str
    sketch: QualitySketch
    predictions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHistory:
    """One feature's distance to the training reference a pane; arrays of shape (panes,)."""

    stream: str
    distance: str
    starts: FloatArray
    effects: FloatArray
    missing: FloatArray


def quality_history(store: Store, model: str) -> list[QualityPoint]:
    """Quality a pane and version, live arms only, oldest first."""
    rows = store.control.quality(model, float("-inf"), float("inf"))
    points: dict[tuple[float, str], QualityPoint] = {}
    for row in rows:
        if row.variant in LIVE:
            point = _point(row)
            key = (row.bucket, row.version)
            before = points.get(key)
            points[key] = point if before is None else _pooled(before, point)
    return [points[key] for key in sorted(points)]


def _point(row: QualityRow) -> QualityPoint:
    return QualityPoint(
        start=row.bucket,
        version=row.version,
        sketch=QualitySketch.from_dict(msgspec.msgpack.decode(row.blob)),
        predictions=row.predictions,
    )


def _pooled(a: QualityPoint, b: QualityPoint) -> QualityPoint:
    return QualityPoint(
        start=a.start,
        version=a.version,
        sketch=a.sketch.merge(b.sketch),
        predictions=a.predictions + b.predictions,
    )


def rolling(points: Sequence[QualityPoint], panes: int) -> tuple[FloatArray, list[QualitySketch]]:
    """Sketches of the last ``panes`` panes at each pane, all versions pooled."""
    starts = sorted({point.start for point in points})
    by_start = {start: QualitySketch.empty() for start in starts}
    for point in points:
        by_start[point.start] = by_start[point.start].merge(point.sketch)
    windows = []
    for i in range(len(starts)):
        window = QualitySketch.empty()
        for start in starts[max(0, i - panes + 1) : i + 1]:
            window = window.merge(by_start[start])
        windows.append(window)
    return np.array(starts, float), windows


def stream_histories(
    panes: Sequence[PaneRow], profile: Profile, streams: Sequence[str]
) -> list[StreamHistory]:
    """How far each pane lay from the training reference, in the stream's own distance."""
    starts, counts = live_counts(panes)
    histories = []
    for name in streams:
        reference = profile.streams.get(name)
        if reference is None:
            continue
        layout = reference.layout
        kind = {"category": "psi", "vector": "mmd"}.get(layout.kind, "ks")
        if reference.n == 0:
            continue
        normal, m = reference.shares, reference.n
        effects, missing = [], []
        for pane in counts:
            cells = pane.get(name)
            if cells is None or len(cells) != layout.size or cells.sum() == 0:
                effects.append(np.nan)
                missing.append(np.nan)
                continue
            present = events(layout, cells)
            missing.append(float(cells[-1] / (cells[-1] + present)))
            effects.append(
                DISTANCES[kind].measure(layout, normal, cells, m=m).value if present else np.nan
            )
        if not np.isfinite(effects).any():
            continue
        histories.append(
            StreamHistory(
                stream=name,
                distance=kind,
                starts=starts,
                effects=np.array(effects),
                missing=np.array(missing),
            )
        )
    return histories


def live_counts(panes: Sequence[PaneRow]) -> tuple[FloatArray, list[dict[str, IntArray]]]:
    """Starts of the stored panes, oldest first, and what live arms counted in each."""
    merged: dict[float, dict[str, IntArray]] = {}
    for row in panes:
        pane = merged.setdefault(row.start, {})
        if row.variant in LIVE and row.blob:
            for stream, cells in decode_arm(row.blob).counts.items():
                before = pane.get(stream)
                same = before is not None and len(before) == len(cells)
                pane[stream] = before + cells if before is not None and same else cells
    starts = sorted(merged)
    return np.array(starts, float), [merged[start] for start in starts]
