"""`driftd report MODEL` and the demo's last page: one renderer, HTML with its plots inside."""

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from detectors.profile import Profile
from driftd.console.history import quality_history, stream_histories
from driftd.console.incident_view import IncidentViews
from driftd.console.plots import quality_plot, story_plot, streams_plot
from driftd.console.status import decision_view, model_status, when
from driftd.store.rows import PaneRow
from driftd.store.store import Store
from policies.specs import ModelSpec

STREAMS_SHOWN = 12
DECISIONS_MAX = 5_000
QUALITY_WINDOW_S = 14 * 86_400.0
# Decisions by their name in the journal -> the mark on the story's time line.
CANARY_ENDS = frozenset({"hold", "promoted", "refuse", "roll back", "ticket"})
MARKED = {"promoted": "promote", "roll back": "roll back", "train": "train"}


def render_report(store: Store, spec: ModelSpec, extra: Mapping[str, Any] | None = None) -> bytes:
    """The whole page as UTF-8. ``extra``: ``figures`` (name -> value) and ``notes`` (sentences)
    that stand at the top, e.g. the demo's."""
    status = model_status(store, spec)
    decisions = [decision_view(row) for row in store.views.decisions(spec.model, DECISIONS_MAX)]
    decisions.sort(key=lambda decision: decision["id"])
    panes_stored = store.control.panes(spec.model, float("-inf"), float("inf"))
    views = IncidentViews(store, spec, panes_stored)
    incidents = [views.view(row.body) for row in store.views.incidents(spec.model)]
    until = status["closed"] or 0.0
    records, rejected = store.views.records()
    points = quality_history(store, spec.model)
    span = (points[0].start if points else until - 86_400.0, until)
    panes = max(1, round(QUALITY_WINDOW_S / spec.clock.bucket_s))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("driftd.console", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["when"] = when
    page = environment.get_template("report.html.j2").render(
        status=status,
        decisions=decisions,
        incidents=incidents,
        counts={"records": records, "rejected": rejected},
        story=story_plot(incidents, rollouts(decisions, until), marks(decisions), span),
        quality=quality_plot(points, panes, "14 days") if points else "",
        streams=_streams(store, spec, panes_stored),
        extra=extra or {},
    )
    return page.encode()


def marks(decisions: Sequence[Mapping[str, Any]]) -> list[tuple[float, str]]:
    """(event time, mark) of the decisions that stand on the time line."""
    return [(d["at"], MARKED[d["what"]]) for d in decisions if d["what"] in MARKED]


def rollouts(
    decisions: Sequence[Mapping[str, Any]], until: float
) -> list[tuple[float, float, str]]:
    """(start, end, version) of each canary, as the journal tells it; an open one ends now."""
    spans: list[tuple[float, float, str]] = []
    began: Mapping[str, Any] | None = None
    for decision in decisions:
        if decision["what"] == "canary":
            began = decision
        elif began is not None and decision["what"] in CANARY_ENDS:
            spans.append((began["at"], decision["at"], began["evidence"]["version"]))
            began = None
    if began is not None:
        spans.append((began["at"], until, began["evidence"]["version"]))
    return spans


def _streams(store: Store, spec: ModelSpec, panes: Sequence[PaneRow]) -> str:
    row = store.profiles.current(spec.model)
    if row is None:
        return ""
    profile = Profile.from_bytes(row.blob)
    names = [name for name in profile.streams if not name.startswith("@")][:STREAMS_SHOWN]
    return streams_plot(stream_histories(panes, profile, names)) if panes else ""
