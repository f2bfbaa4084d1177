"""What one committed control step adds to the counters of its model."""

from collections.abc import Mapping

import msgspec

from driftd.metrics import VARIANTS, Metrics
from driftd.store.rows import DecisionRow, StepWrite


def count_step(metrics: Metrics, write: StepWrite, labels: Mapping[str, int]) -> None:
    """Count a step that is in the store. ``labels``: what became of them -> how many."""
    model = write.model
    metrics.know(model)
    for decision in write.decisions:
        metrics.decisions.labels(model, decision.what).inc()
        if decision.what == "incident opened":
            metrics.incidents.labels(model, _kind(decision)).inc()
    for pane in write.panes:
        if pane.variant in VARIANTS:
            metrics.predictions.labels(model, pane.variant).inc(pane.n)
            metrics.errors.labels(model, pane.variant).inc(pane.errors)
    metrics.late.labels(model).inc(sum(row.n for row in write.late))
    for outcome, count in labels.items():
        metrics.labels.labels(model, outcome).inc(count)


def _kind(decision: DecisionRow) -> str:
    return str(msgspec.json.decode(decision.evidence)["kind"])
