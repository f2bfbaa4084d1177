"""Buckets become panes."""

from collections.abc import Iterable, Mapping

from agents.events import PaneClosed
from agents.watching.streams import PaneCounts, merge
from detectors.contract import Layout

_EDGE_S = 1e-6


def panes_between(
    buckets: Iterable[PaneClosed],
    start: float,
    end: float,
    pane_s: float,
    layouts: Mapping[str, Layout],
) -> list[PaneCounts]:
    """The panes of [start, end) that these buckets make, oldest first."""
    grouped: dict[int, list[PaneClosed]] = {}
    for bucket in sorted(buckets, key=lambda bucket: bucket.start):
        if bucket.start >= start - _EDGE_S and bucket.end <= end + _EDGE_S:
            grouped.setdefault(int(bucket.start // pane_s), []).append(bucket)
    return [merge(grouped[index], layouts) for index in sorted(grouped)]
