"""The benchmark of false alarms judges arrays; the daemon judges pane by pane. Both must agree."""

import numpy as np
import pytest

from agents.events import Arm, ArmCounts, PaneClosed
from agents.watcher import Watcher
from benchmarks.panes.naive import benjamini_hochberg, three_in_a_row
from benchmarks.panes.regimes import REGIMES, START_S, Regime, simulate
from benchmarks.panes.trial import run
from benchmarks.panes.watch import Learned, alarms, incidents, learned, month, profile_of, spec_of
from tests.support.watched import Watch

HOUR, FEATURES, SHIFT = 3_600.0, 3, 0.8
REGIME = Regime(says="hours", pane_s=HOUR, events=2_000, season=True, ar_sd=0.05)


@pytest.fixture(scope="module")
def told() -> tuple[Watch, Learned, list[np.ndarray]]:
    """One model, whose first feature moves 60 hours after the burn-in, through both paths."""
    simulation = simulate(REGIME, 4, FEATURES)
    first, last = REGIME.burn_in + 60, REGIME.burn_in + 100
    simulation.levels[first:, 0] += SHIFT
    counts = [simulation.counts(feature, slice(0, last)) for feature in range(FEATURES)]
    life = Watch(watcher=Watcher(spec_of(REGIME, 0.1), profile_of(simulation)))
    for pane in range(last):
        cells = {f"f{feature:02}": np.append(c[pane], 0) for feature, c in enumerate(counts)}
        start = START_S + HOUR * pane
        arm = ArmCounts(n=int(counts[0][pane].sum()), counts=cells)
        life.pane(PaneClosed(start=start, end=start + HOUR, arms={Arm("1", "champion"): arm}))
    return life, learned(simulation, counts, 0.1), counts


def test_the_same_is_learned(told: tuple[Watch, Learned, list[np.ndarray]]) -> None:
    life, model, _ = told
    assert life.fitted is not None
    for name in ("mean", "sigma", "panes", "jump", "cap"):
        ours, theirs = getattr(model.fitted.scalar, name), getattr(life.fitted.scalar, name)
        assert theirs[:FEATURES] == pytest.approx(ours[:FEATURES], rel=1e-9), name


def test_the_same_pane_alarms(told: tuple[Watch, Learned, list[np.ndarray]]) -> None:
    life, model, counts = told
    effects = month(model, counts)
    gaps = np.full((len(effects), len(model.fitted.streams) - FEATURES), np.nan)
    drift, _ = alarms(model.fitted.scalar, np.hstack([effects, gaps]))
    first = int(np.flatnonzero(drift[:, 0])[0])

    joined = [
        change.at
        for change in life.changes
        if any(moved.stream == "f00" for moved in change.incident.streams)
    ]
    assert joined[0] == START_S + HOUR * (REGIME.burn_in + first + 1)
    assert 60 <= first <= 66


def test_alarms_close_together_are_one_incident() -> None:
    alarmed = np.zeros((40, 2), bool)
    alarmed[[3, 5, 9, 30], 0] = True
    assert incidents(alarmed) == 2


def test_the_naive_rules_reject_what_they_say() -> None:
    p = np.array([[0.001, 0.02, 0.5], [0.001, 0.04, 0.9], [0.005, 0.2, 0.9]])
    assert benjamini_hochberg(p).tolist() == [
        [True, True, False],
        [True, False, False],
        [True, False, False],
    ]
    assert three_in_a_row(p).tolist() == [[False] * 3, [False] * 3, [True, False, False]]


@pytest.mark.parametrize("regime", ["few_events", "daily_ar"])
def test_a_trial_finds_what_moves_and_is_quiet_before(regime: str) -> None:
    seen = run(regime, 3, all_features=False)
    default = seen.watched[0.10]
    assert default.incidents == 0
    assert np.nanmedian(default.delays["one_sd"]) <= 8
    assert seen.naive["p_below_01"][0] >= default.incidents


def test_every_regime_has_a_burn_in_that_can_be_learned_from() -> None:
    assert all(regime.burn_in >= 60 and regime.month >= 30 for regime in REGIMES.values())
