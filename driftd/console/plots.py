"""The report's plots, as SVG text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from detectors.contract import FloatArray
from driftd.console.figures import INK, MUTED, quiet, svg_of
from driftd.console.history import QualityPoint, StreamHistory, rolling

KIND_COLOURS = {
    "input_drift": "#5b8def",
    "data_fault": "#e8833a",
    "quality": "#c0392b",
    "operational": "#8e6bbf",
}
VERSION_COLOURS = ("#2a7f62", "#5b8def", "#c77d1a", "#8e6bbf", "#c0392b", "#52606d")
MARKS = {"promote": ("^", "#2a7f62"), "roll back": ("v", "#c0392b"), "train": ("o", "#52606d")}
WIDTH = 9.6


def _style(axes: Axes, title: str, unit: str) -> None:
    quiet(axes, title, unit)
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def dates(times: FloatArray | Sequence[float]) -> FloatArray:
    """Event times in matplotlib's days."""
    return np.asarray(times, float) / 86_400.0


def story_plot(
    incidents: Sequence[dict[str, Any]],
    rollouts: Sequence[tuple[float, float, str]],
    marks: Sequence[tuple[float, str]],
    span: tuple[float, float],
) -> str:
    """Incidents and rollouts as bars over event time, decisions as marks above them."""
    figure = Figure(figsize=(WIDTH, 2.6))
    axes = figure.subplots()
    rows = ["rollout", *KIND_COLOURS]
    for incident in incidents:
        end = incident["closed"] or span[1]
        axes.plot(
            dates([incident["onset"], end]), [rows.index(incident["kind"])] * 2,
            color=KIND_COLOURS[incident["kind"]], linewidth=9, solid_capstyle="butt",
        )  # fmt: skip
    for start, end, version in rollouts:
        axes.plot(dates([start, end]), [0, 0], color="#9fb3c8", linewidth=9, solid_capstyle="butt")
        axes.text(float(dates([start])[0]), -0.42, f"version {version}", fontsize=7, color=MUTED)
    for at, what in marks:
        marker, colour = MARKS[what]
        axes.plot(dates([at]), [-0.9], marker=marker, color=colour, markersize=7, linestyle="none")
    for what, (marker, colour) in MARKS.items():
        axes.plot([], [], marker=marker, color=colour, linestyle="none", label=what, markersize=6)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=7, frameon=False)
    axes.set_ylim(len(rows) - 0.4, -1.4)
    low, high = dates(span)
    axes.set_xlim(low - 2, high + 2)
    _style(axes, "The story", "")
    axes.set_yticks(range(len(rows)), [row.replace("_", " ") for row in rows])
    return svg_of(figure)


def quality_plot(points: Sequence[QualityPoint], panes: int, unit: str) -> str:
    """Brier skill and AUC of the answers that went out, over a window of panes."""
    figure = Figure(figsize=(WIDTH, 3.6))
    skill, auc = figure.subplots(2, 1, sharex=True)
    starts, windows = rolling(points, panes)
    x = dates(starts)
    skill.axhline(0, color=MUTED, linewidth=0.8)
    skill.plot(x, [w.brier_skill for w in windows], color=INK, linewidth=1.4)
    auc.plot(x, [w.auc for w in windows], color=INK, linewidth=1.4)
    versions = sorted({p.version for p in points}, key=lambda v: (len(v), v))
    for i, version in enumerate(versions):
        mine = [p for p in points if p.version == version]
        days = dates([p.start for p in mine])
        colour = VERSION_COLOURS[i % len(VERSION_COLOURS)]
        skill.plot(
            days, [p.sketch.brier_skill for p in mine], ".", color=colour, markersize=3,
            alpha=0.55, label=f"version {version}",
        )  # fmt: skip
        auc.plot(days, [p.sketch.auc for p in mine], ".", color=colour, markersize=3, alpha=0.55)
    values = [p.sketch.brier_skill for p in points if np.isfinite(p.sketch.brier_skill)]
    if values:
        low, high = np.quantile(values, [0.02, 0.98])
        skill.set_ylim(float(low) - 0.05, float(high) + 0.05)
    skill.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=7, frameon=False, markerscale=2)
    _style(skill, f"Brier skill (line: last {unit}; dots: one pane)", "skill")
    _style(auc, "AUC", "")
    return svg_of(figure)


def streams_plot(histories: Sequence[StreamHistory]) -> str:
    """A small plot a stream: the distance to the training reference a pane."""
    columns = 3
    rows = max(1, -(-len(histories) // columns))
    figure = Figure(figsize=(WIDTH, 1.45 * rows + 0.3))
    grid = np.atleast_1d(figure.subplots(rows, columns, sharex=True, squeeze=False)).ravel()
    for axes, history in zip(grid, histories, strict=False):
        x = dates(history.starts)
        axes.plot(x, history.effects, color="#5b8def", linewidth=1.0)
        axes.fill_between(x, 0, history.missing, color="#e8833a", alpha=0.35, linewidth=0)
        _style(axes, f"{history.stream}", history.distance.upper())
        axes.set_ylim(bottom=0)
    for axes in grid[len(histories) :]:
        axes.set_visible(False)
    figure.tight_layout(h_pad=0.6)
    return svg_of(figure)
