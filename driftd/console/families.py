"""The gauges by model: name, meaning, labels. Each is bounded by the policies and by named limits."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

FAMILIES: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "model_info": ("What is known of a model, as 1", ("model", "owner", "mode", "champion", "candidate")),
        "stage": ("The stage that a model is in, as 1", ("model", "stage")),
        "paused": ("Whether a model is paused", ("model",)),
        "learning": ("Whether a model still learns what is normal", ("model",)),
        "watermark_timestamp_seconds": ("Event time up to which all topics of a model were read", ("model",)),
        "closed_timestamp_seconds": ("Event time up to which all panes of a model are closed", ("model",)),
        "policy_revision": ("Revision of the policy that a model was last stepped by", ("model",)),
        "policy_published_revision": ("Newest published revision of a model's policy", ("model",)),
        "rollout_open": ("Whether a second version answers requests or is about to", ("model",)),
        "canary_step": ("Step of the canary, from 0", ("model",)),
        "canary_weight_ratio": ("Share of live traffic on the candidate", ("model",)),
        "canary_shadow_ratio": ("Share of requests that both versions answer", ("model",)),
        "judge_evidence": ("Evidence of a judge of the canary, of harm or proof; 1 decides", ("model", "judge", "of")),
        "judge_seen": ("Subjects or answers that a judge has judged", ("model", "judge")),
        "traffic_epoch": ("Number of the newest routing of a model; 0 before the first", ("model",)),
        "incidents_open": ("Open incidents", ("model", "kind", "severity")),
        "incidents": ("Incidents in the store, by what became of them", ("model", "state")),
        "commands_open": ("Commands of the outbox that have not ended", ("model", "kind")),
        "command_oldest_age_seconds": ("Age of the oldest command that has not ended; 0 without one", ("model", "kind")),
        "command_attempts": ("Attempts of the open command that was tried most often", ("model",)),
        "inbox_messages": ("Wishes and results that wait for a control step", ("model",)),
        "trainings_running": ("Trainings that run now", ("model",)),
        "streams": ("Watched streams, by the state of their newest reading", ("model", "state")),
        "stream_evidence": ("Evidence of the strongest streams; 1 alarms", ("model", "stream")),
        "stream_effect": ("Effect of the strongest streams, above what is normal", ("model", "stream", "distance")),
        "quality_score": ("Quality of a version over its newest matured panes; NaN: undefined", ("model", "arm", "metric")),
        "quality_labels": ("Labels behind quality_score", ("model", "arm")),
        "label_arrival_ratio": ("Share of matured predictions that got a label; NaN: none matured", ("model",)),
    }
)  # fmt: skip
TRAININGS = "trainings"


class Families:
    """One scrape's series, filled model by model."""

    def __init__(self) -> None:
        self._gauges = {
            name: GaugeMetricFamily(f"driftd_{name}", text, labels=labels)
            for name, (text, labels) in FAMILIES.items()
        }
        self._trainings = CounterMetricFamily(
            f"driftd_{TRAININGS}", "Trainings that were begun for a model", labels=("model",)
        )

    def add(self, name: str, value: float, *labels: str) -> None:
        """One series. Raises ``KeyError`` for a family that does not stand in the table."""
        family = self._trainings if name == TRAININGS else self._gauges[name]
        family.add_metric(labels, value)

    def all(self) -> Iterable[Metric]:
        """Every family, with series or without."""
        return [*self._gauges.values(), self._trainings]
