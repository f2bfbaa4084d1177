"""The one catalog of metrics that a policy may name, and what each of them allows."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from detectors.catalog import DISTANCES

Worse = Literal["up", "down"]
# How a value is judged: as a share of events (the proportion engine, exact at any number of them)
# or as a number a pane (the scalar engine).
Judged = Literal["share", "scalar"]
Unit = Literal["share", "ms", "per second", "number"]
Against = Literal["training", "baseline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """``name`` and what may be asked of it.

    ``against``: the references that know it, for ``worse_by``. ``of``: it exists a stream, and a
    rule may name one. ``offline``: an evaluation on archived data knows it. ``paired_loss``: two
    answers to one request can be compared on it. ``ratio``: the canary compares rates of its bad
    events. ``events``: it is a mean over events, so that few of them say little.
    """

    name: str
    unit: Unit
    worse: Worse
    judged: Judged
    says: str
    against: frozenset[Against] = frozenset()
    needs_labels: bool = False
    of: bool = False
    offline: bool = False
    paired_loss: bool = False
    ratio: bool = False
    events: bool = True


_TRAINING: frozenset[Against] = frozenset({"training"})
_BASELINE: frozenset[Against] = frozenset({"baseline"})


def _quality(
    name: str,
    worse: Worse,
    judged: Judged,
    says: str,
    *,
    unit: Unit = "share",
    paired: bool = False,
) -> Metric:
    # Labels have no hour of the week of their own: the training data is what they are held against.
    return Metric(
        name=name,
        unit=unit,
        worse=worse,
        judged=judged,
        says=says,
        against=_TRAINING,
        needs_labels=True,
        offline=True,
        paired_loss=paired,
    )


def _latency(quantile: int) -> Metric:
    return Metric(
        name=f"latency_p{quantile}",
        unit="ms",
        worse="up",
        judged="share",
        says=f"the time that {quantile} of 100 answers stay below",
        against=_BASELINE,
        offline=True,
        ratio=True,
    )


_FAR = "how far a stream lies from its baseline, the sampling floor removed; without `of`, of all"
# The one metric that is no size: it falls with every event, and no decision rests on it but a rule's.
KS_P = Metric(
    name="ks_p",
    unit="share",
    worse="down",
    judged="scalar",
    says="how likely a KS distance this large is if nothing changed and events are independent",
    of=True,
)


def _distance(name: str) -> Metric:
    return Metric(name=name, unit="number", worse="up", judged="scalar", says=_FAR, of=True)


def compares_names(name: str) -> bool:
    """Whether a metric of a stream can be measured on names, as the predicted label is one."""
    distance = DISTANCES.get("ks" if name == KS_P.name else name)
    return distance is None or "category" in distance.kinds


_METRICS = (
    _quality("accuracy", "down", "share", "answers that were right", paired=True),
    _quality("auc", "down", "scalar", "how well scores put positives before negatives"),
    _quality("brier", "up", "scalar", "the mean squared error of the scores", paired=True),
    _quality(
        "brier_skill",
        "down",
        "scalar",
        "1 - brier / (p (1 - p)), p the positive share of the same window; 0 = no better than p",
        unit="number",
    ),
    Metric(
        name="error_rate",
        unit="share",
        worse="up",
        judged="share",
        says="requests that failed",
        against=_BASELINE,
        ratio=True,
    ),
    _quality("f1", "down", "share", "the harmonic mean of precision and recall"),
    KS_P,
    Metric(
        name="label_arrival",
        unit="share",
        worse="down",
        judged="share",
        says="predictions whose label is there at maturity",
        against=_BASELINE,
    ),
    *(_latency(quantile) for quantile in (50, 90, 95, 99)),
    Metric(
        name="missing_ratio",
        unit="share",
        worse="up",
        judged="share",
        says="values of a feature that are missing; without `of`, of the one that misses most",
        against=_TRAINING | _BASELINE,
        of=True,
    ),
    _quality("precision", "down", "share", "positive answers that were right"),
    _quality("recall", "down", "share", "positives that were found"),
    Metric(
        name="request_rate",
        unit="per second",
        worse="down",
        judged="scalar",
        says="predictions a second",
        against=_BASELINE,
        events=False,
    ),
    *(_distance(name) for name in DISTANCES),
)

METRICS: Mapping[str, Metric] = MappingProxyType(
    {metric.name: metric for metric in sorted(_METRICS, key=lambda metric: metric.name)}
)
