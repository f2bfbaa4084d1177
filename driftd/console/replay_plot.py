"""A replay as one figure: incidents and rules as bars over event time, evidence beneath."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from agents.incidents import Incident
from agents.watching.streams import WHOLE
from driftd.console.figures import MUTED, png_of, quiet, svg_of
from driftd.console.plots import KIND_COLOURS, VERSION_COLOURS, dates
from driftd.data.replay.watching import Replayed

STREAMS, RULES_MAX = 6, 8
_WIDTH = 9.6


def replay_png(found: Replayed) -> bytes:
    """The figure as a PNG file."""
    return png_of(_figure(found))


def replay_svg(found: Replayed) -> str:
    """The figure as SVG text."""
    return svg_of(_figure(found))


def _figure(found: Replayed) -> Figure:
    rules = list(dict.fromkeys(one.rule for one in found.firings))[:RULES_MAX]
    rows = [*KIND_COLOURS, *rules]
    figure = Figure(figsize=(_WIDTH, 3.4 + 0.25 * len(rows)))
    heights = [0.6 + 0.25 * len(rows), 2.2, 1.6]
    bars, evidence, effects = figure.subplots(
        3, 1, sharex=True, height_ratios=heights, gridspec_kw={"hspace": 0.4}
    )
    _bars(bars, found, rows)
    for place, name in enumerate(found.timeline.streams(STREAMS)):
        at, gathered, ratio = found.timeline.of(name)
        colour = VERSION_COLOURS[place % len(VERSION_COLOURS)]
        # Drawn up to just above the alarm: how far beyond it a drift goes on says nothing more.
        evidence.plot(dates(at), np.clip(gathered, 0, 1.1), color=colour, lw=1.1, label=name)
        if name != WHOLE:
            # The mean of all is told much smaller effects, so its curve would hide the others.
            effects.plot(dates(at), ratio, color=colour, lw=1.0)
    for axes in (evidence, effects):
        axes.axhline(1, color=MUTED, linewidth=0.8, linestyle="--")
    effects.set_ylim(bottom=0)
    if evidence.lines[1:]:
        evidence.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=7, frameon=False)
    quiet(bars, f"{found.model}: what would have fired")
    quiet(evidence, "Evidence of the streams that moved most (1: alarm)", "evidence")
    quiet(effects, "Their effects above normal", "tolerances")
    bars.set_yticks(range(len(rows)), [row.replace("_", " ") for row in rows])
    bars.set_ylim(len(rows) - 0.4, -0.6)
    low, high = dates([found.since, found.until])
    effects.set_xlim(low, high)
    locator = AutoDateLocator()
    effects.xaxis.set_major_locator(locator)
    effects.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    return figure


def _bars(axes: Axes, found: Replayed, rows: list[str]) -> None:
    end = found.learned if found.learned is not None else found.until
    axes.axvspan(*dates([found.since, end]), color="#f5f7fa")
    axes.text(float(dates([found.since])[0]), -0.45, " learning", fontsize=7, color=MUTED, va="top")
    for incident in found.incidents.values():
        _bar(axes, rows.index(incident.kind), _span(incident, found), KIND_COLOURS[incident.kind])
    for firing in found.firings:
        if firing.rule in rows:
            until = firing.end if firing.end is not None else found.until
            _bar(axes, rows.index(firing.rule), (firing.start, until), "#52606d")


def _span(incident: Incident, found: Replayed) -> tuple[float, float]:
    return incident.onset, incident.closed if incident.closed is not None else found.until


def _bar(axes: Axes, row: int, span: tuple[float, float], colour: str) -> None:
    # A mark at its start, so that what was short is seen as well.
    axes.plot(dates(span), [row, row], color=colour, linewidth=8, solid_capstyle="butt")
    axes.plot(dates(span[:1]), [row], "|", color=colour, markersize=9, markeredgewidth=2)
