"""A model that is asked rarely: it is told that its panes hold too little to learn from."""

from agents.events import Arm, ArmCounts, PaneClosed
from agents.watcher import Watcher
from benchmarks.panes.regimes import START_S, Regime, simulate
from benchmarks.panes.watch import profile_of, spec_of
from tests.support.watched import Watch

PANE = 3_600.0


def live(events: int) -> Watch:
    """Eight days of hours with so many events each."""
    regime = Regime(says="hours", pane_s=PANE)
    life = Watch(watcher=Watcher(spec_of(regime, 0.1), profile_of(simulate(regime, 1, 1))))
    for pane in range(8 * 24):
        arm = ArmCounts(n=events, counts={})
        start = START_S + PANE * pane
        life.pane(PaneClosed(start=start, end=start + PANE, arms={Arm("1", "champion"): arm}))
    return life


def test_small_panes_are_told_once_with_what_to_do() -> None:
    notes = [d for d in live(5).decisions if d.what == "panes too small"]
    assert len(notes) == 1
    assert "0 of 168 panes" in notes[0].why
    assert "set clock.pane" in notes[0].why


def test_panes_with_enough_events_are_not() -> None:
    assert not [d for d in live(30).decisions if d.what == "panes too small"]
