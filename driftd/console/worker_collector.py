"""What Prometheus reads of the worker process itself."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker at one scrape. ``refused``: files of the policy directory
    that are refused; ``stalled``: part -> seconds since it last came round; ``up``: system
    outside -> whether it can be reached just now."""

    ready: bool
    refused: int
    stalled: Mapping[str, float]
    up: Mapping[str, bool]


class WorkerCollector(Collector):
    """Renders ``read()`` at each scrape; it must not wait for anything outside."""

    def __init__(self, read: Callable[[], WorkerView]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Nothing: the daemon is not built yet when this is registered."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All series, as of now."""
        view = self._read()
        ready = _family("ready", "Whether this worker takes part; what /ready says")
        ready.add_metric([], float(view.ready))
        refused = _family("policy_files_refused", "Policy files whose present content is refused")
        refused.add_metric([], view.refused)
        stalled = _family(
            "stalled_seconds", "Seconds since a part last came round; a minute or two is a stall",
            "part",
        )  # fmt: skip
        for part, seconds in sorted(view.stalled.items()):
            stalled.add_metric([part], seconds)
        up = _family("outside_up", "Whether a system outside can be reached just now", "system")
        for system, is_up in sorted(view.up.items()):
            up.add_metric([system], float(is_up))
        return [ready, refused, stalled, up]


def _family(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"driftd_{name}", text, labels=labels)
