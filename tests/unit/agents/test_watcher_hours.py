"""Panes of an hour: a week is learned without hours, two weeks with them."""

import numpy as np

from agents.events import Arm, ArmCounts, PaneClosed
from agents.watcher import Watcher
from detectors.profile import Profile, StreamProfile
from detectors.sketches.numeric import NumericLayout
from policies.specs import ClockSpec, ModelSpec, RegistrySpec
from tests.support.watched import Watch

HOUR = 3_600.0
EVENTS = 150
WEEK, TWO_WEEKS = 7 * 24, 14 * 24


def temps(hour: int, warmer: float = 0.0) -> list[float]:
    """Warm at noon, cold at night."""
    rng = np.random.default_rng([5, hour])
    noon = -1.5 * np.cos(hour % 24 * np.pi / 12)
    return [float(value) for value in rng.normal(noon + warmer, 1, EVENTS)]


LAYOUT = NumericLayout.from_reference([t for hour in range(240) for t in temps(hour + 9_000)])
PROFILE = Profile(
    version="1",
    n=EVENTS,
    since=-1.0,
    until=0.0,
    streams={"temp": StreamProfile(layout=LAYOUT, counts=LAYOUT.fold(temps(0)))},
)
SPEC = ModelSpec(
    model="m",
    registry=RegistrySpec(name="m"),
    clock=ClockSpec(pane_s=HOUR, bucket_s=HOUR),
)


def live(life: Watch, first: int, last: int, warmer: float = 0.0) -> None:
    """Close the hours [first, last)."""
    for hour in range(first, last):
        counts = ArmCounts(n=EVENTS, counts={"temp": LAYOUT.fold(temps(hour, warmer))})
        life.pane(
            PaneClosed(
                start=hour * HOUR, end=(hour + 1) * HOUR, arms={Arm("1", "champion"): counts}
            )
        )


def slots(life: Watch) -> int:
    """How many slots the present baseline has; 0 without one."""
    return life.fitted.slots if life.fitted is not None else 0


def test_hours_of_the_week_are_learned_when_two_weeks_are_there() -> None:
    life = Watch(watcher=Watcher(SPEC, PROFILE))
    live(life, 0, WEEK - 1)
    known = [slots(life)]
    for last in (WEEK, TWO_WEEKS - 1, TWO_WEEKS, TWO_WEEKS + 100):
        live(life, int(life.state.closed / HOUR), last)
        known.append(slots(life))

    assert known == [0, 1, 1, 48, 48]
    assert life.history_asked == 2
    assert life.changes == ()

    before = life.state.closed
    live(life, TWO_WEEKS + 100, TWO_WEEKS + 112, warmer=1.0)
    incident = life.open("input_drift")
    assert incident.onset == before
    assert "temp" in {moved.stream for moved in incident.streams}


def test_an_open_incident_does_not_become_normal_by_a_finer_baseline() -> None:
    life = Watch(watcher=Watcher(SPEC, PROFILE))
    live(life, 0, WEEK)
    live(life, WEEK, TWO_WEEKS + 48, warmer=4.0)

    assert "input_drift" in life.told("opened")
    assert slots(life) == 1
