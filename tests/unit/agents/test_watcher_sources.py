"""Feature events of a subscribed source are streams of the model too."""

from dataclasses import replace

from agents.events import ArmCounts, PaneClosed
from agents.watcher import Watcher
from detectors.profile import Profile
from policies.specs import EventsSpec
from tests.support.watched import DAY, PROFILE, USUAL, Day, Watch, pane, spec

LEARNED = 61
WITH_WEATHER = Profile(
    version="1",
    n=PROFILE.n,
    since=PROFILE.since,
    until=PROFILE.until,
    streams={
        **{name: stream for name, stream in PROFILE.streams.items() if name != "temp"},
        "weather.temp": PROFILE.streams["temp"],
    },
)


def day(number: int, how: Day = USUAL, *, silent: bool = False) -> PaneClosed:
    """A day whose temperatures come from the source ``weather``."""
    closed = pane(number, how)
    ((arm, counts),) = closed.arms.items()
    own = {name: cells for name, cells in counts.counts.items() if name != "temp"}
    weather = ArmCounts(n=0 if silent else 400, counts={"temp": counts.counts["temp"]})
    return replace(
        closed,
        arms={arm: replace(counts, counts=own)},
        sources={"weather": ArmCounts() if silent else weather},
    )


def learned() -> Watch:
    """A watcher after its burn-in."""
    policy = replace(spec(), events=EventsSpec(sources=("weather",)))
    life = Watch(watcher=Watcher(policy, WITH_WEATHER))
    for number in range(LEARNED):
        life.pane(day(number))
    return life


def test_a_sources_feature_drifts_like_any_other() -> None:
    life = learned()
    for number in range(LEARNED, LEARNED + 10):
        life.pane(day(number, Day(warmer=2.0)))

    assert "weather.temp" in {moved.stream for moved in life.open("input_drift").streams}
    assert {"weather.temp?", "weather.temp"} <= set(life.readings)


def test_a_source_that_stops_is_a_data_fault_and_the_predictions_go_on() -> None:
    life = learned()
    for number in range(LEARNED, LEARNED + 3):
        life.pane(day(number, silent=True))

    fault = life.open("data_fault")
    assert fault.cause == "the feed weather has stopped"
    assert (fault.onset, fault.opened) == (LEARNED * DAY, (LEARNED + 2) * DAY)
    assert life.readings["carrier"].state == "quiet"
