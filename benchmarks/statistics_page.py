"""The tables and plots of docs/statistics.md, from what `make bench NAME=validity` wrote.

make bench NAME=statistics_page ARGS="--validity validity.json"

Writes docs/images/*.svg and the tables between the marks of docs/statistics.md.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.special import ndtr

from benchmarks.panes.regimes import FEATURES, REGIMES, simulate
from benchmarks.panes.watch import learned, month
from detectors.sequential import scalar
from driftd.console.figures import AFTER, BEFORE, GRID, INK, MUTED, quiet, svg_of

ROOT = Path(__file__).parents[1]
PAGE, IMAGES = ROOT / "docs/statistics.md", ROOT / "docs/images"
SHIFTS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5)
NAIVE = {
    "p_below_01": "p < .01",
    "benjamini_hochberg": "Benjamini-Hochberg",
    "three_in_a_row": "three in a row",
}
SEED, ONSET_DAYS, SHOWN_DAYS = 5, 5, 7


def main() -> int:
    """Write everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--validity", type=Path, required=True, help="the JSON of that benchmark")
    regimes = json.loads(parser.parse_args().validity.read_text())["regimes"]
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "budget.svg").write_text(svg_of(budget(regimes)))
    (IMAGES / "evidence.svg").write_text(svg_of(evidence()))
    page = PAGE.read_text()
    for mark, lines in {
        "budget": budget_table(regimes),
        "power": power_table(regimes),
        "sensitive": sensitive_table(regimes),
        "effects": effects_table(),
    }.items():
        page = between(page, mark, lines)
    PAGE.write_text(page)
    return 0


def between(page: str, mark: str, lines: Sequence[str]) -> str:
    """The page with the lines between ``<!-- mark -->`` and ``<!-- end -->``."""
    begin = f"<!-- {mark} -->\n"
    head, rest = page.split(begin, 1)
    _, tail = rest.split("<!-- end -->", 1)
    return head + begin + "\n".join(lines) + "\n<!-- end -->" + tail


def budget_table(regimes: Mapping[str, Any]) -> list[str]:
    """False alarms of every regime beside those of p-values."""
    lines = [
        f"| regime | driftd, 30 days | 95 % interval | transients | {' | '.join(NAIVE.values())} |",
        "|---|---|---|---|---|---|---|",
    ]
    for told in regimes.values():
        low, high = told["interval_95"]
        naive = [
            f"{told['naive'][name]['incidents_per_30d']:,.0f}" if told["naive"] else ""
            for name in NAIVE
        ]
        lines.append(
            f"| {told['says']} | **{told['incidents_per_30d']:.2f}** | {low:.2f} to {high:.2f} "
            f"| {told['transients_per_30d']:.1f} | {' | '.join(naive)} |"
        )
    return lines


def power_table(regimes: Mapping[str, Any]) -> list[str]:
    """Delays at the default tolerance."""
    names = {
        "half_sd": ".5 sd",
        "one_sd": "1 sd",
        "ramp": "ramp to .5 sd",
        "all_tenth_sd": "all by .1 sd",
    }
    return [
        f"| regime | a pane | panes a decision needs | {' | '.join(names.values())} |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {told['says']} | {_pane(name)} | {_needed(told)} | "
            + " | ".join(_delay(told["delays"].get(change)) for change in names)
            + " |"
            for name, told in regimes.items()
        ),
    ]


def sensitive_table(regimes: Mapping[str, Any]) -> list[str]:
    """What ``tolerate`` .05 finds, and what it costs."""
    names = {
        "quarter_sd": ".25 sd",
        "spread": "spread x 1.5",
        "ramp": "ramp",
        "all_tenth_sd": "all by .1 sd",
    }
    return [
        f"| regime | driftd, 30 days | {' | '.join(names.values())} |",
        "|---|---|---|---|---|---|",
        *(
            f"| {told['says']} | {told['tolerate_05']['incidents_per_30d']:.2f} | "
            + " | ".join(_delay(told["tolerate_05"]["delays"].get(change)) for change in names)
            + " |"
            for told in regimes.values()
            if told["tolerate_05"]
        ),
    ]


def effects_table() -> list[str]:
    """What a shift of a normal feature is in each distance."""
    ks = [2 * ndtr(shift / 2) - 1 for shift in SHIFTS]
    return [
        f"| shift of the mean, in sd | {' | '.join(f'{shift:g}' for shift in SHIFTS)} |",
        "|---|" + "---|" * len(SHIFTS),
        f"| KS | {' | '.join(f'{value:.3f}' for value in ks)} |",
        f"| PSI | {' | '.join(f'{shift**2:.3f}' for shift in SHIFTS)} |",
    ]


def _pane(name: str) -> str:
    hours = REGIMES[name].pane_s / 3_600
    return "10 min" if hours < 1 else f"{hours:g} h"


def _needed(told: Mapping[str, Any]) -> str:
    median, high = told["panes_a_decision"]
    return f"{median:.0f}, 95 %: {high:.0f}"


def _delay(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    median, high = (found[key] for key in ("median", "q90"))
    return f"{median:.0f} / {high:.0f}" if high else f"{median:.0f} / never" if median else "never"


def budget(regimes: Mapping[str, Any]) -> Figure:
    """Incidents in 30 days, on a logarithmic scale."""
    shown = [told for told in regimes.values() if told["naive"]]
    figure = Figure(figsize=(8.2, 0.34 * len(shown) + 1))
    axes = figure.subplots()
    rows = np.arange(len(shown))[::-1]
    for (name, label), marker in zip(NAIVE.items(), "osd", strict=True):
        values = [max(told["naive"][name]["incidents_per_30d"], 0.01) for told in shown]
        axes.plot(values, rows, marker, color=BEFORE, markersize=5, label=label)
    ours = [max(told["incidents_per_30d"], 0.01) for told in shown]
    highs = [told["interval_95"][1] for told in shown]
    axes.hlines(rows, ours, highs, color=AFTER, linewidth=1.5)
    axes.plot(ours, rows, "o", color=AFTER, markersize=6, label="driftd, and its 95 % interval")
    axes.axvline(1, color=INK, linewidth=1, linestyle="--")
    axes.text(1.1, len(shown) - 0.4, "the budget", fontsize=8, color=INK)
    axes.set_xscale("log")
    axes.set_yticks(rows, [told["says"] for told in shown])
    axes.set_xlabel(
        "incidents in 30 days while nothing is wrong (50 features; .01 stands for none)",
        fontsize=8,
        color=MUTED,
    )
    quiet(axes, "False alarms")
    axes.legend(
        fontsize=8, loc="lower center", bbox_to_anchor=(0.55, 0.01), frameon=True, edgecolor=GRID
    )
    return figure


def evidence() -> Figure:
    """One feature with a daily cycle: KS against training, effect against its hours, evidence."""
    regime = REGIMES["seasonal_ar"]
    simulation = simulate(regime, SEED)
    day = round(86_400 / regime.pane_s)
    onset, end = regime.burn_in + ONSET_DAYS * day, regime.burn_in + SHOWN_DAYS * day
    # The feature that swings most with the day, without its shift.
    shown = int(np.argmax(simulation.levels.std(axis=0)))
    simulation.levels[onset:, shown] += 0.5
    counts = [simulation.counts(feature, slice(0, end)) for feature in range(FEATURES)]
    model = learned(simulation, counts, 0.1)
    effects = month(model, counts)
    reference = simulation.reference[:-1] / simulation.reference[:-1].sum()
    seen = counts[shown][regime.burn_in :]
    shares = np.cumsum(seen, axis=1) / seen.sum(axis=1, keepdims=True)
    naive = np.abs(shares - np.cumsum(reference)).max(axis=1)
    fit, state, told = model.fitted.scalar, scalar.ScalarState.start(len(model.fitted.streams)), []
    gaps = np.full((len(effects), len(model.fitted.streams) - FEATURES), np.nan)
    for pane, row in enumerate(np.hstack([effects, gaps])):
        state, _, gathered, _ = scalar.step(fit, state, row, at=float(pane))
        told.append(min(float(gathered[shown]), 1.0))
    # An open incident stays at 1 until the stream is quiet, whatever the engine gathers anew.
    told = np.where(np.maximum.accumulate(told) >= 1, 1.0, told).tolist()
    days = np.arange(len(effects)) / day
    figure = Figure(figsize=(8.2, 5.4))
    above, middle, below = figure.subplots(3, 1, sharex=True)
    above.plot(days, naive, color=BEFORE, linewidth=0.9)
    middle.plot(days, effects[:, shown], color=AFTER, linewidth=0.9)
    middle.axhline(fit.mean[shown] + fit.tolerance[shown], color=INK, linewidth=1, linestyle="--")
    below.plot(days, told, color=AFTER, linewidth=1.2)
    quiet(above, "KS against the training sample: the day's cycle", "KS")
    quiet(middle, "Effect against the same hours of the week; dashed: tolerated", "KS")
    quiet(below, "Evidence: 1 is an alarm", "ln M / ln A")
    below.set_xlabel(
        "days after the burn-in; the feature moves by .5 sd on day 5", fontsize=8, color=MUTED
    )
    figure.tight_layout()
    return figure


if __name__ == "__main__":
    raise SystemExit(main())
