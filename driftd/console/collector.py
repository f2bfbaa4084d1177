"""What Prometheus reads of the models that this worker owns, rendered from the store at each scrape."""

from collections.abc import Callable, Iterable, Mapping
from threading import Lock

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agents.snapshot import SnapshotError
from driftd.clock import wall_now
from driftd.console.families import Families
from driftd.console.model_series import Known, ModelView, add_model
from driftd.console.quality_window import QualityWindow
from driftd.errors import DriftdError
from driftd.metrics import Metrics
from driftd.store.scrapes import Scraped
from driftd.store.store import Store
from driftd.telemetry import Complaints
from policies.specs import ModelSpec

log = structlog.get_logger()


class StoreCollector(Collector):
    """Gauges by model, and the counters of ``metrics.by_model``, of the models that ``owns`` names.

    Blocks on the store; one that is away is a 0 of ``driftd_store_up``. All models are read in one
    transaction, and the state of one only when its revision has changed.
    """

    def __init__(
        self,
        store: Store,
        specs: Callable[[], Mapping[str, ModelSpec]],
        owns: Callable[[str], bool],
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._specs = specs
        self._owns = owns
        self._metrics = metrics
        self._complaints = Complaints(log)
        self._known: dict[str, Known] = {}
        self._windows: dict[str, QualityWindow] = {}
        self._one_at_a_time = Lock()

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read the store."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All series, as of now."""
        with self._one_at_a_time:
            return self._collect()

    def _collect(self) -> list[Metric]:
        try:
            specs = self._specs()
            owned = {name: spec for name, spec in sorted(specs.items()) if self._owns(name)}
            for name in owned:
                self._metrics.know(name)
            scraped = self._read(owned)
        except DriftdError as error:
            self._complaints.say("store", "miss scrape", why=str(error))
            return [_gauge("store_up", "Whether the store could be read", 0.0)]
        self._complaints.over("store")
        return [
            _gauge("store_up", "Whether the store could be read", 1.0),
            _gauge("paused_all", "Whether everything is paused", scraped.paused_all),
            _gauge("models", "Models whose policy is in force", len(specs)),
            _lineages(scraped.lineages),
            *self._gauges(owned, scraped).all(),
            *_only(self._metrics.by_model, owned),
        ]

    def _read(self, owned: Mapping[str, ModelSpec]) -> Scraped:
        # What another worker owns by now may change unseen; whoever gets it back reads it anew.
        self._known = {name: one for name, one in self._known.items() if name in owned}
        self._windows = {name: self._windows.get(name, QualityWindow()) for name in owned}
        matured = {
            name: window.newest
            for name, window in self._windows.items()
            if window.newest is not None
        }
        known = {name: one.revision for name, one in self._known.items()}
        scraped = self._store.scrapes.read(owned, known, matured)
        for name, rows in scraped.quality.items():
            self._windows[name].add(rows)
        for name, row in scraped.states.items():
            try:
                self._known[name] = Known.of(row)
            except SnapshotError as error:
                self._complaints.say(name, "leave model out of scrape", model=name, why=str(error))
                self._known.pop(name, None)
        return scraped

    def _gauges(self, owned: Mapping[str, ModelSpec], scraped: Scraped) -> Families:
        families, now = Families(), wall_now()
        for name, spec in owned.items():
            known = self._known.get(name)
            if known is None:
                # Published a moment ago: its first step has yet to come.
                continue
            view = ModelView(
                spec=spec, known=known, window=self._windows[name], scraped=scraped, now=now
            )
            add_model(families, view)
        return families


def _only(registry: CollectorRegistry, owned: Iterable[str]) -> Iterable[Metric]:
    """The families of a registry without the series of other workers' models."""
    names = set(owned)
    for family in registry.collect():
        shown = Metric(family.name, family.documentation, family.type, family.unit)
        shown.samples = [s for s in family.samples if s.labels["model"] in names]
        yield shown


def _lineages(lineages: Mapping[str, int]) -> GaugeMetricFamily:
    # A counter of this process would begin with the loss itself; the store knew the topic before.
    text = "Times that partitions of a topic began anew: made anew, or read too late"
    family = GaugeMetricFamily("driftd_topic_lineages", text, labels=("topic",))
    for topic, count in sorted(lineages.items()):
        family.add_metric([topic], count)
    return family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"driftd_{name}", text, value=float(value))
