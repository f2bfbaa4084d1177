"""Two histograms of one stream over each other: how it looked, and how it looks."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from detectors.contract import FloatArray, IntArray
from detectors.profile import StreamProfile
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout
from detectors.sketches.positive import PositiveLayout
from driftd.console.figures import AFTER, BEFORE, MUTED, quiet, svg_of

BARS, NAMES = 32, 14
NAME_CHARACTERS = 18
# How much of both sides the bars span; what lies outside stands in the outermost ones.
_SPAN = (0.005, 0.995)
_BETWEEN_MAX = 40


def before_after_plot(stream: str, before: StreamProfile, after: StreamProfile) -> str:
    """Shares of the present values before and after, as SVG; empty for a stream without cells that
    a person can read (an embedding), or with nothing on one side."""
    if not before.n or not after.n:
        return ""
    layout = before.layout
    figure = Figure(figsize=(4.6, 2.1))
    axes = figure.subplots()
    if isinstance(layout, CategoryLayout):
        _names(axes, layout, before.shares, after.shares)
    elif isinstance(layout, NumericLayout | PositiveLayout):
        _numbers(axes, layout.bounds, before.counts, after.counts)
    else:
        return ""
    quiet(axes, stream, "share")
    axes.legend(fontsize=7, frameon=False)
    return svg_of(figure)


def _names(axes: Axes, layout: CategoryLayout, before: FloatArray, after: FloatArray) -> None:
    # The cells that moved most and those that hold most; their order is the layout's.
    held, moved = np.maximum(before, after), np.abs(after - before)
    both = [np.argsort(-weight, kind="stable")[: NAMES // 2] for weight in (moved, held)]
    cells = np.unique(np.concatenate(both))
    cells = cells[held[cells] > 0]
    at = np.arange(len(cells))
    axes.bar(at - 0.2, before[cells], 0.4, color=BEFORE, label="before")
    axes.bar(at + 0.2, after[cells], 0.4, color=AFTER, label="after")
    names = [layout.label(int(cell)) for cell in cells]
    short = [n if len(n) <= NAME_CHARACTERS else f"{n[: NAME_CHARACTERS - 1]}…" for n in names]
    axes.set_xticks(at, short, rotation=35, ha="right")


def _numbers(axes: Axes, edges: FloatArray, before: IntArray, after: IntArray) -> None:
    sides = [_below(counts) for counts in (before, after)]
    bars = _bars(edges, sides)
    if len(bars) < 2:
        axes.bar([0, 1], [sides[0][0], sides[1][0]], color=[BEFORE, AFTER])
        return
    width = np.diff(bars)
    for share, colour, name in zip(sides, (BEFORE, AFTER), ("before", "after"), strict=True):
        inner = np.interp(bars[1:-1], edges, share[:-1])
        heights = np.diff(np.concatenate([[0.0], inner, [1.0]]))
        axes.bar(bars[:-1], heights, width, align="edge", color=colour, alpha=0.65, label=name)
    axes.set_xlabel("what lies beyond stands in the outermost bars", fontsize=7, color=MUTED)


def _below(counts: IntArray) -> FloatArray:
    """Cumulative shares of the present cells, shape (edges + 1,)."""
    present = counts[:-1].astype(np.float64)
    below: FloatArray = np.cumsum(present) / present.sum()
    return below


def _bars(edges: FloatArray, sides: list[FloatArray]) -> FloatArray:
    """Edges of equally wide bars over the middle of both sides."""
    if len(edges) == 0:
        return edges
    places = [int(np.searchsorted(side[:-1], q)) for side in sides for q in _SPAN]
    ends = np.clip([min(places), max(places)], 0, len(edges) - 1)
    low, high = float(edges[ends[0]]), float(edges[ends[1]])
    whole = np.unique(np.round(edges))
    if np.allclose(np.round(edges), edges, atol=1e-9) and high - low <= _BETWEEN_MAX:
        # Whole numbers: a bar each, around it.
        return np.arange(whole.min(), whole.max() + 2) - 0.5
    return np.linspace(low, high, BARS + 1) if high > low else np.array([low - 0.5, low + 0.5])
