"""The usual monitoring table as shipped: each row fires when it should, and only that row."""

from collections.abc import Callable, Iterator, Sequence
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.events import LATENCY, ArmCounts, ArmQuality, PaneClosed, QualityMatured, QueryRead
from agents.watcher import Watcher
from driftd.yamlfile import parse_yaml
from policies.checker import check
from policies.specs import ModelSpec
from tests.support.watched import CHAMPION, DAY, PROFILE, USUAL, Watch, labels, values

FILE = Path(__file__).parents[3] / "configs" / "policies" / "classic.yaml"
MINUTES_5, HOUR = 300.0, 3_600.0
WEEK = 7 * DAY
Events = Iterator[PaneClosed | QualityMatured | QueryRead]


def policy(text: str = "") -> ModelSpec:
    spec, mistakes = check(parse_yaml(text or FILE.read_text()).values)
    assert mistakes == ()
    assert spec is not None
    return spec


SPEC = policy()


def training() -> dict[str, list[Any]]:
    """Rows of the training window in no order: what a day looks like when nothing changed."""
    days = [values(day, USUAL) for day in range(-28, 0)]
    order = np.random.default_rng(5).permutation(len(days) * len(days[0]["temp"]))
    columns = {name: [v for day in days for v in day[name]] for name in days[0]}
    return {name: [column[i] for i in order] for name, column in columns.items()}


ROWS = training()


def closed(start: float, n: int, columns: dict[str, list[Any]]) -> PaneClosed:
    streams = PROFILE.streams
    counts = {name: streams[name].layout.fold(column) for name, column in columns.items()}
    arms = {CHAMPION: ArmCounts(n=n, counts=counts)}
    return PaneClosed(start=start, end=start + MINUTES_5, arms=arms)


def a_day(warmer: float = 0.0, late: float = 0.2) -> Events:
    """288 buckets of 20 events, as in training but for this."""
    rng = np.random.default_rng(9)
    for i in range(288):
        rows = rng.integers(0, len(ROWS["temp"]), 20)
        columns = {name: [column[row] for row in rows] for name, column in ROWS.items()}
        columns["temp"] = [None if t is None else t + warmer for t in columns["temp"]]
        if late != 0.2:
            columns["@prediction"] = np.where(rng.random(20) < late, "late", "on_time").tolist()
        yield closed(i * MINUTES_5, 20, columns)


def an_hour_missing(share: float) -> Events:
    for i in range(12):
        temp: list[Any] = [None if j < share * 600 else 0.1 for j in range(600)]
        yield closed(i * MINUTES_5, 600, {"temp": temp, "distance": [900.0] * 600})


def an_hour_slow(share: float) -> Events:
    layout = Watcher(SPEC, PROFILE)._streams.layouts[LATENCY]
    for i in range(12):
        times = np.where(np.arange(600) < share * 600, 140.0, 30.0)
        counts = {LATENCY: layout.fold(times)}
        arms = {CHAMPION: ArmCounts(n=600, counts=counts)}
        yield PaneClosed(start=i * MINUTES_5, end=(i + 1) * MINUTES_5, arms=arms)


def nine_days_of_traffic(last_hour: float) -> Events:
    """Nights have a fifth of the requests of days; the last hour has so much of its usual."""
    steps = int(9 * DAY / MINUTES_5)
    for i in range(steps):
        usual = 120 + 80 * cos(2 * pi * (i * MINUTES_5 - 14 * HOUR) / DAY)
        n = round(usual * (last_hour if i >= steps - 12 else 1.0))
        arms = {CHAMPION: ArmCounts(n=n)}
        yield PaneClosed(start=i * MINUTES_5, end=(i + 1) * MINUTES_5, arms=arms)


def a_gpu(*busy: float) -> Events:
    """Five minutes each: the lowest value in them; a peak of 99 % is in all."""
    for i, value in enumerate(busy):
        start = WEEK + i * MINUTES_5
        end = start + MINUTES_5
        yield QueryRead(query="gpu_busy", start=start, end=end, low=value, high=0.99)


def hours_of_labels(right: Sequence[float], n: int) -> Events:
    for i, share in enumerate(right):
        sketch = labels(n, right=share, seed=i)
        arms = {CHAMPION: ArmQuality(predictions=n, sketch=sketch)}
        yield QualityMatured(start=i * HOUR, end=(i + 1) * HOUR, arms=arms)


def days_of_labels(*right: float) -> Events:
    return hours_of_labels([share for share in right for _ in range(24)], 400)


Case = tuple[str, Callable[[], Events], Callable[[], Events]]
TABLE: dict[str, Case] = {
    "accuracy 5 % below training, hourly": (
        "accuracy worse by 5% than training over 1h",
        lambda: hours_of_labels([0.7], 2_000),
        lambda: hours_of_labels([0.79] * 6, 2_000),
    ),
    "PSI of the predicted label, daily": (
        "psi of prediction above 0.2 over 1d",
        lambda: a_day(late=0.45),
        lambda: a_day(late=0.3),
    ),
    "missing values, at once": (
        "missing_ratio above 5% over 5m",
        lambda: an_hour_missing(0.06),
        lambda: an_hour_missing(0.05),
    ),
    "p99 of the latency": (
        "latency_p99 above 100ms over 5m",
        lambda: an_hour_slow(0.02),
        lambda: an_hour_slow(0.01),
    ),
    "half of this hour's traffic": (
        "request_rate worse by 50% than baseline over 5m",
        lambda: nine_days_of_traffic(0.4),
        lambda: nine_days_of_traffic(0.6),
    ),
    "GPU busy for five minutes": (
        "query gpu_busy above 90% over 5m",
        lambda: a_gpu(0.5, 0.93),
        lambda: a_gpu(0.5, 0.89, 0.9),
    ),
    "KS p, daily": (
        "ks_p below 0.01 over 1d",
        lambda: a_day(warmer=0.1),
        a_day,
    ),
    "accuracy falls for three days": (
        "accuracy falling for 3d by 1pp",
        lambda: days_of_labels(0.90, 0.88, 0.86, 0.84),
        lambda: days_of_labels(0.90, 0.88, 0.89, 0.84, 0.86),
    ),
}


def fired(spec: ModelSpec, events: Events) -> set[str]:
    """The rules that were broken in a life of these events."""
    life = Watch(watcher=Watcher(spec, PROFILE))
    for event in events:
        if isinstance(event, PaneClosed):
            life.pane(event)
        elif isinstance(event, QualityMatured):
            life.quality(event)
        else:
            life._take(life.watcher.on_query(life.state, event))
    streams = [moved for change in life.changes for moved in change.incident.streams]
    return {moved.rule for moved in streams if moved.rule}


def test_the_table_is_the_shipped_file() -> None:
    assert [rule.name for rule in SPEC.rules] == [name for name, _, _ in TABLE.values()]
    assert SPEC.clock.bucket_s == MINUTES_5


@pytest.mark.parametrize(("name", "bad", "good"), TABLE.values(), ids=TABLE)
def test_a_row_fires_when_it_should_and_no_other(
    name: str, bad: Callable[[], Events], good: Callable[[], Events]
) -> None:
    assert fired(SPEC, bad()) == {name}
    assert fired(SPEC, good()) == set()


@pytest.mark.parametrize("metric", ["f1", "precision", "recall"])
def test_the_first_row_may_as_well_be_about_another_rate(metric: str) -> None:
    spec = policy(
        FILE.read_text().replace("metric: accuracy, worse_by", f"metric: {metric}, worse_by")
    )

    assert fired(spec, hours_of_labels([0.65], 8_000)) >= {
        f"{metric} worse by 5% than training over 1h"
    }
    assert fired(spec, hours_of_labels([0.8] * 6, 40_000)) == set()
