"""Writes docs/metrics.md, the table of all series: `python -m configs.prometheus.make_metrics_page`."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from driftd.console.collector import StoreCollector
from driftd.console.worker_collector import WorkerCollector, WorkerView
from driftd.daemon import Daemon
from driftd.heartbeat import Heartbeat
from driftd.metrics import Metrics
from driftd.roles import Role
from driftd.serving.metrics import Metrics as ServerMetrics
from driftd.serving.metrics import State
from driftd.store.migrate import migrate
from driftd.store.store import open_store

FILE = Path(__file__).parents[2] / "docs" / "metrics.md"
HEAD = """\
# Metrics

Every series of `GET /metrics`, of the workers (`driftd run`) and of the servers (`driftd serve`). This page is made by
`python -m configs.prometheus.make_metrics_page`; [monitoring.md](monitoring.md) says what to do with them.

Series of a model are shown by the worker that owns it, and by no other; during a hand-over for a moment by two or none, so
aggregate them by `model` and never by `instance`. Of streams the ten with the most evidence are shown, per model.
A histogram has `_bucket`, `_sum` and `_count`. NaN says that a value is not defined, such as the AUC of labels of one class.
"""


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """One family: ``labels`` are names."""

    name: str
    kind: str
    labels: tuple[str, ...]
    says: str


def worker_registry(folder: Path) -> CollectorRegistry:
    """All that a worker registers, on an empty store in ``folder``."""
    url = f"sqlite:///{folder / 'driftd.db'}"
    migrate(url)
    metrics = Metrics()
    # Only what a heartbeat reads when it is made.
    policies = SimpleNamespace(stale=frozenset())
    daemon = SimpleNamespace(metrics=metrics, role=Role.ALL, policies=policies)
    Heartbeat(cast("Daemon", daemon))
    view = WorkerView(ready=True, refused=0, stalled={"control": 0.0}, up={"kafka": True})
    metrics.registry.register(WorkerCollector(lambda: view))
    store = open_store(url)
    metrics.registry.register(StoreCollector(store, dict, lambda _: True, metrics))
    return metrics.registry


def server_registry() -> CollectorRegistry:
    """All that a server registers, its model's name apart."""
    metrics = ServerMetrics("m")
    nothing: dict[str, int] = {}
    state = State(epoch=0, versions={}, restarts=nothing, shadow_waiting=0, events=nothing)
    metrics.watch(lambda: state)
    return metrics.registry


def series_of(registry: CollectorRegistry) -> Iterator[Series]:
    """Every family of a registry, those without a series too."""
    for collector in tuple(registry._collector_to_names):  # noqa: SLF001 - it has no public list
        if isinstance(collector, MetricWrapperBase):
            yield _series(next(iter(collector.describe())), tuple(collector._labelnames))  # noqa: SLF001
            continue
        for family in collector.collect():
            names = getattr(family, "_labelnames", ()) or _labels_seen(family)
            yield _series(family, tuple(names))


def _labels_seen(family: object) -> tuple[str, ...]:
    samples = getattr(family, "samples", ())
    return tuple(sorted({name for sample in samples for name in sample.labels}))


def _series(family: object, labels: tuple[str, ...]) -> Series:
    name, kind = str(getattr(family, "name", "")), str(getattr(family, "type", ""))
    shown = f"{name}_total" if kind == "counter" else name
    return Series(shown, kind, labels, str(getattr(family, "documentation", "")))


def page() -> str:
    """The whole page."""
    with tempfile.TemporaryDirectory() as folder:
        worker = sorted(set(series_of(worker_registry(Path(folder)))))
    models = sorted(set(series_of(Metrics().by_model)))
    named = {one.name for one in models}
    worker = sorted([*models, *(one for one in worker if one.name not in named)])
    server = sorted(
        Series(one.name, one.kind, ("model", *one.labels), one.says)
        for one in series_of(server_registry())
    )
    return "\n".join([HEAD, *_table("Workers", worker), "", *_table("Servers", server), ""])


def _table(title: str, found: list[Series]) -> Iterator[str]:
    yield from (f"## {title}", "", "| series | type | labels | meaning |", "|---|---|---|---|")
    for one in found:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        yield f"| `{one.name}` | {one.kind} | {labels} | {one.says.rstrip('.')} |"


if __name__ == "__main__":
    FILE.write_text(page())
