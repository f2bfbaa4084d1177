"""What the report shows of an incident: how its streams looked before and since, and what to do."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from agents.watching.fitted import Fitted
from agents.watching.incidents import QUIET_PANES
from agents.watching.why.catalog import CAUSES
from detectors.baseline import slot_of
from detectors.contract import FloatArray, IntArray, events
from detectors.profile import Profile
from driftd.console.history import live_counts
from driftd.console.incident_plots import BeforeSince, incident_plot, missing_plot
from driftd.store.rows import PaneRow
from driftd.store.store import Store
from policies.specs import ModelSpec

# Of each stream so many panes are shown, the newest of its time in the incident.
PANES_SHOWN = 14
PLOTS_MAX = 6
# What to do about an incident without a cause, by its kind.
THEN: Mapping[str, str] = {
    "data_fault": "Tell who owns the feed: the onset and the streams are what they need.",
    "input_drift": "Nothing today while quality holds; if it is the new normal, accept the incident.",
    "operational": "Look at the server, its logs and what was deployed at the onset.",
    "quality": "See whether inputs moved or broke at the same time; else a training is due.",
}
HARMED = "Quality fell while this moved: work on the quality incident; this one says where to look."


class IncidentViews:
    """Makes views of the incidents of one model, from what the store holds."""

    def __init__(self, store: Store, spec: ModelSpec, panes: Sequence[PaneRow]) -> None:
        self._pane_s = spec.clock.pane_s
        row = store.profiles.current(spec.model)
        self._profile = Profile.from_bytes(row.blob) if row is not None else None
        blob = store.control.baseline(spec.model)
        self._fitted = Fitted.from_bytes(blob) if blob else None
        starts, counts = live_counts(panes)
        self._starts, self._counts = starts, counts

    def view(self, body: bytes) -> dict[str, Any]:
        """An incident as plain values, with ``then`` (what to do), and for each of its streams
        ``times`` (effect in tolerances, None where it has none) and ``plot`` (SVG or empty)."""
        incident: dict[str, Any] = msgspec.json.decode(body)
        incident.setdefault("cause_kind", "")
        incident.setdefault("sure", 0.0)
        known = CAUSES.get(incident["cause_kind"])
        incident["title"] = known.title if known is not None else ""
        harmed = incident["kind"] == "input_drift" and incident["severity"] != "info"
        usual = HARMED if harmed else THEN.get(incident["kind"], "")
        incident["then"] = known.then if known is not None else usual
        plotted: set[str] = set()
        for moved in incident["streams"]:
            moved.setdefault("sure", 0.0)
            moved["times"] = times(moved)
            moved["plot"] = ""
            feature = feature_of(moved["stream"])
            if feature not in plotted and len(plotted) < PLOTS_MAX:
                moved["plot"] = self._plot(feature, moved, incident)
                if moved["plot"]:
                    plotted.add(feature)
        return incident

    def _plot(self, feature: str, moved: Mapping[str, Any], incident: Mapping[str, Any]) -> str:
        shown = self._shown(feature, moved, incident)
        if shown is None:
            return ""
        if moved["stream"].endswith("?"):
            return missing_plot(feature, shown.missing_before, shown.missing_since)
        return incident_plot(shown) if shown.events else ""

    def _shown(
        self, feature: str, moved: Mapping[str, Any], incident: Mapping[str, Any]
    ) -> BeforeSince | None:
        reference = self._profile.streams.get(feature) if self._profile is not None else None
        if reference is None or reference.layout.kind == "vector":
            return None
        since = float(moved["since"])
        # An incident ends after some quiet panes, which no more show what was wrong.
        closed = incident["closed"] or float("inf")
        until = max(closed - QUIET_PANES * self._pane_s, since + self._pane_s)
        inside = np.flatnonzero((self._starts >= since - 1e-6) & (self._starts < until - 1e-6))
        inside = inside[self._starts[inside] >= self._newest(inside) - PANES_SHOWN * self._pane_s]
        layout = reference.layout
        total, before = np.zeros(layout.size, np.int64), np.zeros(layout.size - 1)
        for place in inside:
            cells = self._counts[place].get(feature)
            if cells is None or len(cells) != layout.size:
                continue
            total = total + cells
            n = events(layout, cells)
            before += n * self._normal(feature, reference.shares, float(self._starts[place]))
        n = events(layout, total)
        if not total.sum():
            return None
        fit = self._fitted.shares.get(f"{feature}?") if self._fitted is not None else None
        return BeforeSince(
            stream=feature,
            layout=layout,
            before=before / n if n else reference.shares,
            since=_shares(total),
            events=n,
            missing_before=reference.missing_share if fit is None else fit.normal,
            missing_since=int(total[-1]) / int(total[-1] + n),
        )

    def _newest(self, inside: NDArray[np.intp]) -> float:
        """The end of the last of these panes."""
        return float(self._starts[inside[-1]]) + self._pane_s - 1e-6 if len(inside) else 0.0

    def _normal(self, feature: str, training: FloatArray, start: float) -> FloatArray:
        """Normal of the same hours where that was learned on these cells, else training's shares."""
        baseline = self._fitted.baselines.get(feature) if self._fitted is not None else None
        if self._fitted is None or baseline is None or baseline.counts.shape[1] != len(training):
            return training
        normal = baseline.normal(slot_of(start, self._fitted.slots))
        return normal if np.isfinite(normal).all() else training


def feature_of(stream: str) -> str:
    """The feature behind a stream of an incident: ``temp`` of ``temp?``, ``temp=``.

    >>> feature_of("temp?"), feature_of("carrier!unseen"), feature_of("temp="), feature_of("@score")
    ('temp', 'carrier', 'temp', '@score')
    """
    return stream.removesuffix("!unseen").rstrip("?=")


def times(moved: Mapping[str, Any]) -> float | None:
    """How many times the tolerated effect a stream moved; None where that says nothing."""
    effect, tolerance = moved.get("effect"), moved.get("tolerance")
    if effect is None or not tolerance or moved.get("rule") or not isfinite(effect / tolerance):
        return None
    if moved.get("distance") in ("auc", "count") or moved["stream"].endswith("="):
        return None
    return float(effect / tolerance)


def _shares(counts: IntArray) -> FloatArray:
    present = counts[:-1].astype(np.float64)
    shares: FloatArray = present / max(present.sum(), 1.0)
    return shares
