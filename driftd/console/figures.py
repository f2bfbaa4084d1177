"""What every figure of driftd has in common: colours, quiet axes, SVG or PNG out."""

import io
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
BEFORE, AFTER = "#9fb3c8", "#e8833a"


def quiet(axes: Axes, title: str, unit: str = "") -> None:
    """A title to the left, a faint grid, no frame."""
    axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold")
    axes.set_ylabel(unit, fontsize=8, color=MUTED)
    axes.tick_params(labelsize=8, colors=MUTED)
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)


def svg_of(figure: Figure) -> str:
    """The figure as SVG text; the same figure gives the same text."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "driftd"}):
        text = _saved(figure, "svg", {"Date": None}).decode()
    return text[text.index("<svg") :]


def png_of(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    return _saved(figure, "png", {"Software": None})


def _saved(figure: Figure, form: str, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, bbox_inches="tight", dpi=130, metadata=metadata)
    return buffer.getvalue()
