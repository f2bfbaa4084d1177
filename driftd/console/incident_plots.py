"""One stream of an incident, before and since: two histograms side by side on the same scales."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from detectors.contract import FloatArray, Layout
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout
from detectors.sketches.positive import PositiveLayout
from driftd.console.figures import AFTER, BEFORE, INK, MUTED, quiet, svg_of

BARS, NAMES = 32, 12
NAME_CHARACTERS = 18
SIZE = (8.2, 2.0)
# How much of both sides the bars span, where the edges allow it.
_SPAN = (0.005, 0.995)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BeforeSince:
    """A stream's shares of the present cells, shape (layout.size - 1,), and of missing values."""

    stream: str
    layout: Layout
    before: FloatArray
    since: FloatArray
    events: int
    missing_before: float
    missing_since: float


def incident_plot(shown: BeforeSince) -> str:
    """The figure as SVG; empty for a stream whose cells nobody can read, such as an embedding."""
    figure = Figure(figsize=SIZE)
    if isinstance(shown.layout, CategoryLayout):
        _names(figure, shown, shown.layout)
    elif isinstance(shown.layout, NumericLayout | PositiveLayout) and len(shown.layout.bounds) > 1:
        _numbers(figure, shown, shown.layout.bounds)
    else:
        return ""
    return svg_of(figure)


def missing_plot(stream: str, before: float, since: float) -> str:
    """How often a value is missing, before and since, as two bars of one scale."""
    figure = Figure(figsize=(SIZE[0], 0.9))
    axes = figure.subplots()
    axes.barh([1, 0], [100 * before, 100 * since], 0.6, color=[BEFORE, AFTER])
    axes.set_yticks([1, 0], ["before", "since"])
    axes.set_xlim(0, 100)
    for at, share in ((1, before), (0, since)):
        axes.text(min(100 * share + 1, 93), at, f"{share:.1%}", va="center", fontsize=8, color=INK)
    quiet(axes, f"{stream}: values that are missing")
    axes.set_xlabel("% of the events", fontsize=8, color=MUTED)
    return svg_of(figure)


def _names(figure: Figure, shown: BeforeSince, layout: CategoryLayout) -> None:
    weight = np.maximum(shown.before, shown.since)
    # What holds or moved most, in the layout's order, so that both sides read alike.
    cells = np.sort(np.argsort(-weight, kind="stable")[:NAMES])
    cells = cells[weight[cells] > 0]
    at = np.arange(len(cells))
    names = [_short(layout.label(int(cell))) for cell in cells]
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, shares, colour in ((left, shown.before, BEFORE), (right, shown.since, AFTER)):
        axes.bar(at, 100 * shares[cells], 0.75, color=colour)
    _finish(left, right, shown)
    for axes in (left, right):
        axes.set_xticks(at, names, rotation=40, ha="right", fontsize=7)


def _numbers(figure: Figure, shown: BeforeSince, edges: FloatArray) -> None:
    bars = _bars(edges, [np.cumsum(shown.before), np.cumsum(shown.since)])
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    width = float(bars[1] - bars[0])
    beyond = False
    for axes, shares, colour in ((left, shown.before, BEFORE), (right, shown.since, AFTER)):
        below = np.cumsum(shares)
        heights = np.diff(np.interp(bars, edges, below[:-1]))
        axes.bar(bars[:-1], 100 * heights, width, align="edge", color=colour)
        # What lies beyond all that training saw has no place: it stands beside, hatched.
        low, high = np.interp(bars[0], edges, below[:-1]), np.interp(bars[-1], edges, below[:-1])
        ends = [float(low), float(1 - high)]
        beyond = beyond or max(ends) > 0.02
        axes.bar(
            [bars[0] - 2 * width, bars[-1] + width], [100 * end for end in ends], width,
            align="edge", color="none", edgecolor=colour, hatch="////",
        )  # fmt: skip
    _finish(left, right, shown)
    unit = f"value of {shown.stream}" + (" (hatched: beyond these)" if beyond else "")
    for axes in (left, right):
        axes.set_xlabel(unit, fontsize=8, color=MUTED)


def _bars(edges: FloatArray, sides: list[FloatArray]) -> FloatArray:
    """Edges of equally wide bars over the middle of both sides, within the edges of the cells."""
    places = [int(np.searchsorted(side[:-1], q)) for side in sides for q in _SPAN]
    first, last = np.clip([min(places) - 1, max(places)], 0, len(edges) - 1)
    low, high = float(edges[first]), float(edges[last])
    if high <= low:
        low, high = float(edges[0]), float(edges[-1])
    return np.linspace(low, high, BARS + 1)


def _finish(left: Axes, right: Axes, shown: BeforeSince) -> None:
    quiet(left, f"{shown.stream}: before", "% of the events")
    quiet(right, f"since ({shown.events:,} events)")


def _short(name: str) -> str:
    return name if len(name) <= NAME_CHARACTERS else f"{name[: NAME_CHARACTERS - 1]}…"
