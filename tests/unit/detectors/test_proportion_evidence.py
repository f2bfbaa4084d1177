"""The proportion engine: exact for any pane size, in both directions."""

import json
from math import inf, isnan, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.sequential.proportion import (
    ProportionState,
    excess_variance,
    expected_panes,
    f1_share,
    step,
)

LOG_A = log(4_320)


def test_accumulates_the_published_evidence() -> None:
    # Frozen outputs of the published reference implementation for the same panes.
    expected = {
        10: (0.0, [1.008013917138602, -2.420577823936759, -17.717804414337856]),
        30: (0.604543667909261, [6.155593996097229, 0.5470758790142309, -15.298123356609041]),
        39: (0.13132864918177153, [1.704287380003802, 1.2553490299761716, -8.845659639963404]),
    }
    state = ProportionState()
    for i in range(40):
        k = 20 + (i * 7) % 11 + (6 if i > 20 else 0)
        state, _, evidence = step(state, k, 500, 0.05, LOG_A, at=float(i), excess_variance=0.001)
        if i in expected:
            assert evidence == pytest.approx(expected[i][0], abs=1e-12)
            assert list(state.log_m) == pytest.approx(expected[i][1])


def test_below_mirrors_above() -> None:
    up, down = ProportionState(), ProportionState()
    for k in (30, 45, 0, 500, 60):
        up, *one = step(up, k, 500, 0.05, LOG_A, at=1.0)
        down, *two = step(down, 500 - k, 500, 0.95, LOG_A, at=1.0, direction="below")
        assert one == pytest.approx(two)


def test_a_gap_moves_nothing() -> None:
    state, _, evidence = step(ProportionState(), 40, 500, 0.05, LOG_A, at=1.0)

    assert step(state, 0, 0, 0.05, LOG_A, at=2.0) == (state, False, evidence)


def test_the_onset_is_the_first_pane_of_the_rise_and_outlives_the_alarm() -> None:
    state, onsets = ProportionState(), []
    for i in range(60):
        k = 20 if i < 40 else 45
        state, alarm, _ = step(state, k, 500, 0.05, LOG_A, at=600.0 * i)
        if i < 40:
            assert isnan(state.since)
        if alarm:
            onsets.append(state.since)

    assert set(onsets) == {600.0 * 40}


@pytest.mark.parametrize("p0", [0.0, 1.0])
def test_a_limit_of_0_or_1_is_no_infinite_evidence(p0: float) -> None:
    direction = "above" if p0 == 0 else "below"
    _, _, evidence = step(
        ProportionState(),
        3,
        6,
        p0,
        LOG_A,
        at=0.0,
        direction=direction,  # type: ignore[arg-type]
    )

    assert np.isfinite(evidence)
    assert evidence > 0
    quiet, alarm, _ = step(
        ProportionState(),
        6 * (p0 == 1),
        6,
        p0,
        LOG_A,
        at=0.0,
        direction=direction,  # type: ignore[arg-type]
    )
    assert not alarm
    assert all(np.isfinite(quiet.log_m))


@settings(deadline=None, max_examples=100)
@given(
    panes=st.lists(
        st.integers(0, 10**7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
    ),
    p0=st.floats(0, 1),
)
def test_evidence_is_always_a_number(panes: list[tuple[int, int]], p0: float) -> None:
    state = ProportionState()
    for k, n in panes:
        state, _, evidence = step(state, k, n, p0, LOG_A, at=0.0)
        assert 0 <= evidence < inf


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="bad events"):
        step(ProportionState(), k, n, 0.1, LOG_A, at=0.0)


def test_panes_min_holds_an_alarm_back() -> None:
    state, alarms = ProportionState(), []
    for i in range(3):
        state, alarm, _ = step(state, 500, 500, 0.05, LOG_A, at=float(i), panes_min=3)
        alarms.append(alarm)

    assert alarms == [False, False, True]


@pytest.mark.parametrize("n", [20, 500, 20_000])
def test_false_alarms_keep_the_budget_at_the_limit_itself(n: int) -> None:
    rng, alarms, runs = np.random.default_rng(n), 0, 5
    for _ in range(runs):
        state = ProportionState()
        for i, k in enumerate(rng.binomial(n, 0.05, 2_000).tolist()):
            state, alarm, _ = step(state, k, n, 0.05, log(2_000), at=float(i))
            alarms += alarm

    # E[run length] is at least A: about one alarm a run at most.
    assert alarms <= 2 * runs


def test_a_clear_rise_is_found_in_about_the_expected_time() -> None:
    rng, found = np.random.default_rng(1), []
    for _ in range(100):
        state, alarm, panes = ProportionState(), False, 0
        while not alarm:
            state, alarm, _ = step(state, int(rng.binomial(500, 0.08)), 500, 0.05, LOG_A, at=0.0)
            panes += 1
        found.append(panes)

    assert expected_panes(0.08, 500, 0.05, LOG_A) == 3
    assert 2 <= np.median(found) <= 4
    assert expected_panes(0.04, 500, 0.05, LOG_A) == inf


def test_learned_excess_variance_keeps_clustered_events_quiet() -> None:
    rng = np.random.default_rng(5)
    shares = np.clip(rng.normal(0.05, 0.02, 3_000), 0, 1)
    bad = rng.binomial(2_000, shares)
    v = excess_variance(bad[:1_000], np.full(1_000, 2_000))
    alarms = {0.0: 0, v: 0}
    for weight in alarms:
        state = ProportionState()
        for k in bad[1_000:].tolist():
            state, alarm, _ = step(state, k, 2_000, 0.06, LOG_A, at=0.0, excess_variance=weight)
            alarms[weight] += alarm

    assert v == pytest.approx(0.02**2 / (0.05 * 0.95), rel=0.15)
    assert alarms[v] <= 1
    assert alarms[0.0] > 20


def test_independent_events_have_almost_no_excess_variance() -> None:
    rng = np.random.default_rng(2)
    n = rng.integers(100, 5_000, 500)

    assert excess_variance(rng.binomial(n, 0.05), n) < 1e-4
    assert excess_variance(np.zeros(50, int), np.full(50, 10)) == 0
    assert excess_variance(np.array([1, 0]), np.array([10, 0])) == 0


def test_f1_is_a_share() -> None:
    tp, fp, fn = 30, 12, 9

    assert f1_share(2 * tp / (2 * tp + fp + fn)) == pytest.approx(tp / (tp + fp + fn))


def test_survives_json_with_its_infinities() -> None:
    for state in (ProportionState(), step(ProportionState(), 9, 50, 0.1, LOG_A, at=5.0)[0]):
        again = ProportionState.from_dict(json.loads(json.dumps(state.to_dict())))
        assert str(again) == str(state)
