"""The daemon's own series for Prometheus; docs/metrics.md lists them all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from driftd.clock import wall_now
from driftd.errors import OutsideError

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STORE_SECONDS = (0.001, 0.0025, *SECONDS)
COMMAND_SECONDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0)
RECORDS = (1.0, 10.0, 100.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 20_000.0, 50_000.0)
# Series that exist as 0 before anything has happened; a test holds them against the agents.
COMMANDS = (
    "alias", "challenger", "decisions", "evaluate", "profile", "tag", "traffic", "train",
)  # fmt: skip
ENDS = ("done", "failed", "refused")
DECISIONS = (
    "canary", "fail gate", "hold", "pass gate", "promoted", "roll back", "ticket", "train",
)  # fmt: skip
INCIDENTS = ("data_fault", "input_drift", "operational", "quality")
VARIANTS = ("champion", "challenger", "shadow")


class Table(Collector):
    """A gauge whose whole set of series is replaced at once: what a worker no longer owns is gone."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._rows: Mapping[tuple[str, ...], float] = {}

    def put(self, rows: Mapping[tuple[str, ...], float]) -> None:
        """The series from now on: values of the labels -> value."""
        self._rows = dict(rows)

    def collect(self) -> Iterable[Metric]:
        """The gauge, with as many series as there are now."""
        family = GaugeMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in sorted(self._rows.items()):
            family.add_metric(labels, value)
        return [family]


class Metrics:
    """The daemon's own series, on a registry of their own so that a test can have several.

    Those of ``by_model`` belong to models: they are shown for the models that this worker owns.
    Series that an alert looks at exist from the start, as 0: a rate that begins at 1 is no rate.
    """

    def __init__(self) -> None:
        # A gauge beside each counter with the time of its birth: nobody asks for it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry, self.by_model = CollectorRegistry(), CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._topics: set[str] = set()
        self._ingest()
        self._control()
        self._models()
        self._outside()

    def _ingest(self) -> None:
        self.records = self._counter("records", "Kafka records counted", "topic")
        self.rejected = self._counter(
            "rejected", "Records refused, skipped or repaired, by reason", "topic", "reason"
        )
        self.gap = self._counter(
            "gap_records",
            "Offsets without a record: lost before we came, or skipped (markers, compaction)",
            "topic",
            "kind",
        )
        self.dead_letters = self._counter(
            "dead_letters", "Dead letters sent, or suppressed by the rate limit", "outcome"
        )
        self.flushes = self._counter("flushes", "Ingest transactions", "outcome")
        self.flush_seconds = self._histogram(
            "flush_seconds", "Time to fold and write one ingest transaction", SECONDS
        )
        self.flush_records = self._histogram(
            "flush_records", "Records in one ingest transaction", RECORDS
        )
        self.texts = self._counter(
            "texts", "Texts drawn to be watched as vectors, by what became of them",
            "encoder", "outcome",
        )  # fmt: skip
        self.lag = Table(
            "driftd_ingest_lag_records", "Records of owned partitions not yet read", ["topic"]
        )
        self.registry.register(self.lag)
        for outcome in ("sent", "suppressed"):
            self.dead_letters.labels(outcome)
        for outcome in ("written", "lost"):
            self.flushes.labels(outcome)

    def _control(self) -> None:
        self.step_seconds = self._histogram(
            "control_step_seconds", "Time of one control step", SECONDS
        )
        self.commands = self._counter("commands", "Outbox commands ended", "kind", "outcome")
        self.command_seconds = self._histogram(
            "command_seconds", "Time from a command's decision to its end", COMMAND_SECONDS, "kind"
        )
        self.command_retries = self._counter(
            "command_retries", "Attempts of commands that reached nobody", "kind"
        )
        self.policy_refused = self._counter("policy_refused", "Bad policy files refused", "file")
        self.alerts_sent = self._counter("alerts", "Alerts, by what became of them", "outcome")
        for outcome in ("sent", "partial", "failed", "dropped"):
            self.alerts_sent.labels(outcome)
        self.queries = self._counter("queries", "Answers of Prometheus", "query", "outcome")
        for kind, outcome in product(COMMANDS, ENDS):
            self.commands.labels(kind, outcome)
        for kind in COMMANDS:
            self.command_seconds.labels(kind)
            self.command_retries.labels(kind)

    def _models(self) -> None:
        counter = partial(self._counter, registry=self.by_model)
        self.steps = counter("control_steps", "Control transactions", "model", "outcome")
        self.decisions = counter("decisions", "Decisions taken", "model", "what")
        self.incidents = counter("incidents_opened", "Incidents opened", "model", "kind")
        self.predictions = counter("predictions", "Answers in closed panes", "model", "variant")
        self.errors = counter(
            "prediction_errors", "Failed requests in closed panes", "model", "variant"
        )
        self.late = counter("late_events", "Events that came after their pane had closed", "model")
        self.labels = counter("labels", "Labels, by what became of them", "model", "outcome")

    def _outside(self) -> None:
        self._reached = Gauge(
            "driftd_outside_success_timestamp_seconds", "When a system outside last did as asked",
            ["system"], registry=self.registry,
        )  # fmt: skip
        self._missed = self._counter(
            "outside_failures", "Calls of a system outside that failed", "system"
        )
        self.store_seconds = self._histogram(
            "store_seconds", "Time of one transaction of the store", STORE_SECONDS, "kind"
        )
        self.store_errors = self._counter(
            "store_errors", "Transactions of the store that failed", "kind"
        )
        self.retention_deleted = self._counter(
            "retention_deleted", "Rows that had served their time", "table"
        )
        for kind in ("read", "write"):
            self.store_seconds.labels(kind)
            self.store_errors.labels(kind)

    def know_topic(self, topic: str, reasons: Iterable[str]) -> None:
        """Begin the counters of a topic at 0, and keep those that it has."""
        if topic in self._topics:
            return
        self._topics.add(topic)
        for kind in ("lost", "skipped"):
            self.gap.labels(topic, kind)
        for reason in reasons:
            self.rejected.labels(topic, reason)

    def know(self, model: str) -> None:
        """Begin the counters of a model at 0, and keep those that it has."""
        for outcome in ("written", "idle", "lost", "failed"):
            self.steps.labels(model, outcome)
        for what in DECISIONS:
            self.decisions.labels(model, what)
        for kind in INCIDENTS:
            self.incidents.labels(model, kind)
        for variant in VARIANTS:
            self.predictions.labels(model, variant)
            self.errors.labels(model, variant)
        for outcome in ("joined", "late", "unmatched"):
            self.labels.labels(model, outcome)
        self.late.labels(model)

    @contextmanager
    def asking(self, system: str) -> Iterator[None]:
        """Note whether a system outside did what it is asked in the block."""
        try:
            yield
        except OutsideError:
            self.missed(system)
            raise
        self.reached(system)

    def reached(self, system: str) -> None:
        """A system outside did what it was asked."""
        self._missed.labels(system)
        self._reached.labels(system).set(wall_now())

    def missed(self, system: str) -> None:
        """A system outside did not answer, or not well."""
        self._reached.labels(system)
        self._missed.labels(system).inc()

    def transaction(self, kind: str, seconds: float, failed: bool) -> None:
        """One transaction of the store: ``kind`` is read or write."""
        self.store_seconds.labels(kind).observe(seconds)
        if failed:
            self.store_errors.labels(kind).inc()

    def _counter(
        self, name: str, text: str, *labels: str, registry: CollectorRegistry | None = None
    ) -> Counter:
        return Counter(f"driftd_{name}", text, labels, registry=registry or self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"driftd_{name}", text, labels, buckets=buckets, registry=self.registry)


def count_all(counter: Counter, amounts: Mapping[str, int], **labels: str) -> None:
    """Add a bundle of amounts, each under its own ``reason``."""
    for reason, amount in sorted(amounts.items()):
        counter.labels(**labels, reason=reason).inc(amount)
