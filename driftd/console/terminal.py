"""The terminal view of a model: `driftd status` and the demo show the same."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agents.watching.why.catalog import CAUSES
from driftd.console.model_series import strongest

STREAMS_SHOWN, DECISIONS_SHOWN = 10, 8
BAR = 12
STATE_STYLE = {"drift": "bold red", "transient": "yellow", "quiet": "green", "learning": "dim"}
SEVERITY_STYLE = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


def fleet_table(models: Sequence[dict[str, Any]]) -> Table:
    """One line a model."""
    table = Table(box=None, header_style="dim", expand=True)
    for column in ("model", "stage", "champion", "known up to", "open incidents"):
        table.add_column(column)
    table.add_column("newest decision", overflow="ellipsis", no_wrap=True, ratio=1)
    for one in models:
        newest = one["decisions"][0] if one["decisions"] else None
        table.add_row(
            one["model"],
            stage_text(one),
            one["champion"] or "–",
            one["closed_text"],
            ", ".join(i["kind"].replace("_", " ") for i in one["incidents"]) or "none",
            f"{newest['what']}: {newest['why']}" if newest else "–",
        )
    return table


def model_panel(status: dict[str, Any]) -> Panel:
    """Everything about one model that fits a terminal."""
    parts: list[RenderableType] = [
        Text.assemble(
            ("stage ", "dim"), (stage_text(status), "bold"),
            ("   champion ", "dim"), status["champion"] or "–",
            ("   previous ", "dim"), status["previous"] or "–",
            ("   known up to ", "dim"), status["closed_text"],
        )
    ]  # fmt: skip
    waiting = [command for command in status["commands"] if command["reason"]]
    if waiting:
        parts.append(_waiting(waiting))
    if status["judges"]:
        parts.append(_judges(status["judges"]))
    if status["incidents"]:
        parts.append(_incidents(status["incidents"]))
    if status["readings"]:
        parts.append(_readings(status["readings"]))
    if status["decisions"]:
        parts.append(decisions_table(status["decisions"][:DECISIONS_SHOWN]))
    return Panel(Group(*parts), title=status["model"], title_align="left", border_style="dim")


def stage_text(status: dict[str, Any]) -> str:
    """E.g. ``canary, step 1: 10 % live, 100 % shadow``."""
    text = str(status["stage"])
    if status["step"] is not None and status["stage"] == "canary":
        text += f", step {status['step'] + 1}: {status['weight']:.0%} of traffic"
        text += f", version {status['candidate']}"
    if status["held"]:
        text += f" ({status['held']})"
    if status.get("paused_all"):
        return text + " (everything is paused)"
    return text + (" (paused)" if status["paused"] else "")


def bar(share: float | None) -> Text:
    """Evidence from 0 to 1 as a bar."""
    filled = round(BAR * min(1.0, max(0.0, share or 0.0)))
    style = "red" if (share or 0) >= 1 else "blue"
    return Text("━" * filled, style=style) + Text("━" * (BAR - filled), style="grey30")


def decisions_table(decisions: Sequence[dict[str, Any]]) -> Table:
    """The newest decisions, newest first."""
    table = Table(box=None, header_style="dim", expand=True)
    table.add_column("decided", no_wrap=True)
    table.add_column("what", no_wrap=True, style="bold")
    table.add_column("why", overflow="ellipsis", no_wrap=True, ratio=1)
    for decision in decisions:
        table.add_row(decision["at_text"], decision["what"], decision["why"])
    return table


def _waiting(commands: Sequence[dict[str, Any]]) -> Table:
    """Commands that could not be done yet, and why."""
    table = Table(box=None, header_style="dim", expand=True)
    table.add_column("waits", no_wrap=True, style="yellow")
    table.add_column("tried", no_wrap=True)
    table.add_column("why", overflow="ellipsis", no_wrap=True, ratio=1)
    for command in commands:
        table.add_row(command["kind"], str(command["attempt"]), command["reason"])
    return table


def _judges(judges: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="dim")
    for column in ("judge", "harm", "proof", "judged"):
        table.add_column(column)
    for judge in judges:
        table.add_row(judge["name"], bar(judge["harm"]), bar(judge["proof"]), f"{judge['seen']:,}")
    return table


def _incidents(incidents: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="dim", expand=True)
    table.add_column("open incident", no_wrap=True)
    table.add_column("what happened", overflow="ellipsis", no_wrap=True, ratio=1)
    for incident in incidents:
        style = SEVERITY_STYLE[incident["severity"]]
        kind = Text(incident["kind"].replace("_", " "), style=style)
        table.add_row(kind, incident_text(incident))
        known = CAUSES.get(incident.get("cause_kind", ""))
        if known is not None:
            table.add_row("", Text(known.then, style="dim"))
    return table


def incident_text(incident: dict[str, Any]) -> str:
    """The probable cause and how sure it is, or what moved where nobody can tell why."""
    if not incident.get("cause"):
        return str(incident["summary"])
    sure = incident.get("sure") or 0.0
    return f"{incident['cause']}" + (f" ({sure:.0%} sure)" if sure else "")


def _readings(readings: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="dim")
    for column in ("stream", "state", "effect", "tolerated", "evidence"):
        table.add_column(column)
    for reading in strongest(readings, STREAMS_SHOWN):
        effect = reading["effect"]
        table.add_row(
            reading["stream"],
            Text(reading["state"], style=STATE_STYLE.get(reading["state"], "")),
            "–" if effect is None else f"{effect:+.3f} {reading['distance']}",
            f"{reading['tolerance']:.3f}",
            bar(reading["evidence"]),
        )
    return table
