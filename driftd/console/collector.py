"""What Prometheus reads of the models that this worker owns, rendered from the store at each scrape."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from driftd.console.status import model_status
from driftd.errors import DriftdError
from driftd.store.store import Store
from policies.specs import ModelSpec

log = structlog.get_logger()

# A series for every feature of every model would drown Prometheus; the strongest are looked at.
STREAMS_MAX = 10


class StoreCollector(Collector):
    """Gauges by model. Blocks on the store; one that is away is a 0 of ``driftd_store_up``."""

    def __init__(
        self,
        store: Store,
        specs: Callable[[], Mapping[str, ModelSpec]],
        owns: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._specs = specs
        self._owns = owns

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read the store."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All series, as of now."""
        up = GaugeMetricFamily("driftd_store_up", "Whether the store could be read")
        paused = GaugeMetricFamily("driftd_paused_all", "Whether everything is paused")
        try:
            paused.add_metric([], float(self._store.flags.paused_all()))
            models = [
                model_status(self._store, spec, 0)
                for name, spec in sorted(self._specs().items())
                if self._owns(name)
            ]
        except DriftdError as error:
            log.warning("miss scrape", why=str(error))
            up.add_metric([], 0.0)
            return [up]
        up.add_metric([], 1.0)
        return [up, paused, *_of_models(models)]


def _of_models(models: list[dict[str, Any]]) -> list[Metric]:
    stage = _family("stage", "The stage that a model is in", "model", "stage")
    closed = _family("closed_timestamp_seconds", "Event time up to which all is known", "model")
    held = _family("paused", "Whether a model is paused", "model")
    incidents = _family("incidents_open", "Open incidents", "model", "kind", "severity")
    commands = _family("commands_open", "Commands that have not ended", "model", "kind")
    weight = _family("canary_weight", "Share of live traffic on the candidate", "model")
    judges = _family("judge_evidence", "Evidence of a judge, 1 decides", "model", "judge", "of")
    evidence = _family("stream_evidence", "Evidence of a stream, 1 alarms", "model", "stream")
    effect = _family("stream_effect", "Effect of a stream", "model", "stream", "distance")
    for one in models:
        name = one["model"]
        stage.add_metric([name, one["stage"]], 1.0)
        held.add_metric([name], float(one["paused"]))
        weight.add_metric([name], float(one["weight"] or 0.0))
        if one["closed"] is not None:
            closed.add_metric([name], one["closed"])
        kinds = Counter((i["kind"], i["severity"]) for i in one["incidents"])
        for (kind, severity), count in sorted(kinds.items()):
            incidents.add_metric([name, kind, severity], count)
        for kind, count in sorted(Counter(c["kind"] for c in one["commands"]).items()):
            commands.add_metric([name, kind], count)
        for judge in one["judges"]:
            judges.add_metric([name, judge["name"], "harm"], judge["harm"])
            judges.add_metric([name, judge["name"], "proof"], judge["proof"])
        for reading in strongest(one["readings"], STREAMS_MAX):
            evidence.add_metric([name, reading["stream"]], reading["evidence"] or 0.0)
            if reading["effect"] is not None:
                labels = [name, reading["stream"], reading["distance"]]
                effect.add_metric(labels, reading["effect"])
    return [stage, closed, held, incidents, commands, weight, judges, evidence, effect]


def strongest(readings: Iterable[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The readings with the most evidence, the strongest first."""
    ranked = sorted(readings, key=lambda r: (-(r["evidence"] or 0.0), r["stream"]))
    return ranked[:count]


def _family(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"driftd_{name}", text, labels=labels)
