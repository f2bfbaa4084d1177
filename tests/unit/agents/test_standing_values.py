"""A weekday stands still for a day and a sensor should not: only one of them is stuck."""

import numpy as np
import pytest

from agents.events import Arm, ArmCounts, PaneClosed
from agents.watcher import Watcher
from agents.watching.fitted import Fitted
from detectors.contract import Layout
from detectors.profile import Profile, StreamProfile
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout
from policies.specs import ClockSpec, ModelSpec, RegistrySpec
from tests.support.watched import Watch

HOUR, DAY_HOURS, EVENTS = 3_600.0, 24, 100
LEARNED = 14 * DAY_HOURS
DAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")
# 1970-01-05 was a Monday.
START = 4 * DAY_HOURS
LAYOUTS: dict[str, Layout] = {
    "temp": NumericLayout.from_reference(np.random.default_rng(1).normal(size=5_000)),
    "weekday": CategoryLayout(DAYS),
    "month": CategoryLayout(("january", "february")),
}


def values(hour: int, *, stuck: bool) -> dict[str, list[object]]:
    """A temperature that varies unless it is stuck, and a calendar."""
    rng = np.random.default_rng([3, hour])
    day = (hour - START) // DAY_HOURS
    return {
        "temp": [0.5] * EVENTS if stuck else rng.normal(size=EVENTS).tolist(),
        "weekday": [DAYS[day % 7]] * EVENTS,
        "month": ["january" if day < 27 else "february"] * EVENTS,
    }


@pytest.fixture(scope="module")
def learned() -> Watch:
    """A model after two weeks of hours."""
    profile = Profile(
        version="1",
        n=EVENTS,
        since=0.0,
        until=1.0,
        streams={
            name: StreamProfile(layout=layout, counts=np.ones(layout.size, np.int64))
            for name, layout in LAYOUTS.items()
        },
    )
    spec = ModelSpec(
        model="m", registry=RegistrySpec(name="m"), clock=ClockSpec(pane_s=HOUR, bucket_s=HOUR)
    )
    life = Watch(watcher=Watcher(spec, profile))
    live(life, LEARNED)
    return life


def live(life: Watch, hours: int, *, stuck: bool = False) -> None:
    """Close so many hours more."""
    first = int(life.state.closed / HOUR) or START
    for hour in range(first, first + hours):
        told = values(hour, stuck=stuck)
        counts = {name: LAYOUTS[name].fold(column) for name, column in told.items()}
        arm = ArmCounts(n=EVENTS, counts=counts)
        start = hour * HOUR
        life.pane(PaneClosed(start=start, end=start + HOUR, arms={Arm("1", "champion"): arm}))


def test_a_calendar_is_never_stuck(learned: Watch) -> None:
    life = learned.copy()
    live(life, 20 * DAY_HOURS)

    named = {moved.stream for c in life.changes for moved in c.incident.streams}
    causes = {c.incident.cause_kind for c in life.changes}
    # The month that changed has moved, and that is no broken feed.
    assert "month" in named
    assert "stuck" not in causes
    assert "data_fault" not in {c.incident.kind for c in life.changes}


def test_a_sensor_is_stuck_after_a_day(learned: Watch) -> None:
    life = learned.copy()
    live(life, DAY_HOURS, stuck=True)

    (fault,) = [one for one in life.state.incidents if one.kind == "data_fault"]
    assert fault.cause_kind == "stuck"
    assert {moved.stream.rstrip("=") for moved in fault.streams} == {"temp"}


def test_what_varies_is_kept_with_the_baseline(learned: Watch) -> None:
    assert learned.fitted is not None
    assert learned.fitted.varying == {"temp"}
    assert Fitted.from_bytes(learned.fitted.to_bytes()).varying == {"temp"}
