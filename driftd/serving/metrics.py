"""The server's counters, each with its model's name, and when each version last answered."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

# A canary lives through a few versions; a server that runs for years through many.
VERSIONS_KEPT_MAX = 100
_LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is read at a scrape rather than counted as it happens. `epoch` is -1 before the first
    routing; `versions` says of each one in memory whether it can answer now."""

    epoch: int
    versions: Mapping[str, bool]
    restarts: Mapping[str, int]
    shadow_waiting: int
    events: Mapping[str, int]


class Metrics:
    """All that is counted here. `read` gives the state that is only looked at when scraped."""

    def __init__(self, model: str) -> None:
        """``model`` stands on every series: one server answers for one model."""
        # A gauge beside each counter with the time of its birth: nobody asks for it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry, self._page = CollectorRegistry(), CollectorRegistry()
        self._page.register(_WithModel(self.registry, model))
        ProcessCollector(registry=self._page)
        PlatformCollector(registry=self._page)
        self.requests = Counter(
            "driftd_serving_requests", "Calls of /predict by HTTP status", ["status"],
            registry=self.registry,
        )  # fmt: skip
        self.predictions = Counter(
            "driftd_serving_predictions", "Instances answered", ["version", "variant"],
            registry=self.registry,
        )  # fmt: skip
        self.failures = Counter(
            "driftd_serving_failures", "Instances that a version could not answer",
            ["version", "variant"], registry=self.registry,
        )  # fmt: skip
        self.failed_over = Counter(
            "driftd_serving_failed_over", "Instances answered by another version instead",
            ["version"], registry=self.registry,
        )  # fmt: skip
        self.latency = Histogram(
            "driftd_serving_latency_seconds", "Time of a call of /predict",
            buckets=_LATENCY_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self.shadow_dropped = Counter(
            "driftd_serving_shadow_dropped", "Shadow instances not answered, for want of room",
            ["version"], registry=self.registry,
        )  # fmt: skip
        self.routings = Counter(
            "driftd_serving_routings", "Records on the traffic topic for this model",
            ["outcome"], registry=self.registry,
        )  # fmt: skip
        for status in ("200", "400", "503"):
            self.requests.labels(status)
        for outcome in ("taken", "older", "malformed"):
            self.routings.labels(outcome)
        self.last_live_answer: dict[str, float] = {}
        """version -> wall seconds of its last live answer."""

    def answered(self, version: str, variant: str, n: int, now: float) -> None:
        """Note `n` live answers."""
        self.predictions.labels(version, variant).inc(n)
        # A rate that begins at 1 is no rate: what may fail later is shown as 0 from here on.
        self.failures.labels(version, variant)
        self.failed_over.labels(version)
        self.shadow_dropped.labels(version)
        if version not in self.last_live_answer:
            while len(self.last_live_answer) >= VERSIONS_KEPT_MAX:
                oldest = min(self.last_live_answer.items(), key=lambda item: item[1])
                del self.last_live_answer[oldest[0]]
        self.last_live_answer[version] = now

    def watch(self, read: Callable[[], State]) -> None:
        """Render `read()` at each scrape."""
        self.registry.register(_StateCollector(read))

    def render(self) -> bytes:
        return generate_latest(self._page)


class _WithModel(Collector):
    """The families of a registry, with the model's name on every sample."""

    def __init__(self, registry: CollectorRegistry, model: str) -> None:
        self._registry, self._model = registry, model

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            shown = Metric(family.name, family.documentation, family.type, family.unit)
            shown.samples = [
                Sample(one.name, {"model": self._model, **one.labels}, one.value, one.timestamp)
                for one in family.samples
            ]
            yield shown


class _StateCollector(Collector):
    def __init__(self, read: Callable[[], State]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        state = self._read()
        yield GaugeMetricFamily(
            "driftd_serving_epoch", "The routing in force; -1 before the first", value=state.epoch
        )
        yield GaugeMetricFamily(
            "driftd_serving_shadow_waiting", "Shadow instances on their way",
            value=state.shadow_waiting,
        )  # fmt: skip
        up = GaugeMetricFamily(
            "driftd_serving_version_up", "1: the version can answer now", labels=["version"]
        )
        for version, is_up in state.versions.items():
            up.add_metric([version], float(is_up))
        yield up
        restarts = CounterMetricFamily(
            "driftd_serving_restarts", "Processes that ended unasked", labels=["version"]
        )
        for version, number in state.restarts.items():
            restarts.add_metric([version], number)
        yield restarts
        events = CounterMetricFamily(
            "driftd_serving_events", "Events given to the recorder and what became of them",
            labels=["outcome"],
        )  # fmt: skip
        for outcome, number in state.events.items():
            events.add_metric([outcome], number)
        yield events
