"""Canary evidence from pairs: stratified by day, valid under peeking, slow where it knows little."""

import json
from math import inf, isnan, log, sqrt

import numpy as np
import pytest
from scipy.stats import norm

from detectors.contract import FloatArray
from detectors.sequential.paired import CLUSTERS_MIN, PairedSpec, PairedState, step

SPEC = PairedSpec(margin_roll_back=0.0, margin_promote=0.01)


def days(batches: list[FloatArray], spec: PairedSpec = SPEC, divisor: float = 1.0) -> PairedState:
    state = PairedState()
    for d in batches:
        state = step(spec, state, d, design_effect=divisor)
    return state


def normal_days(
    rng: np.random.Generator, mean: float, *, count: int = 14, size: int = 150, day_sd: float = 0.0
) -> list[FloatArray]:
    return [rng.normal(mean + day_sd * rng.normal(), 0.12, size) for _ in range(count)]


@pytest.mark.parametrize(
    ("s", "v", "kappa", "expected"),
    [
        (3.0, 10.0, 1.3, -0.520791843833419),
        (-3.0, 10.0, 1.3, -2.048592626801414),
        (40.0, 100.0, 0.5, 6.756362753183592),
        (0.0, 1.0, 1.0, -0.34657359027997264),
    ],
)
def test_the_mixture_is_the_published_one(
    s: float, v: float, kappa: float, expected: float
) -> None:
    # Frozen outputs of the published reference implementation. 40 clusters with that sum and V.
    n = 40
    d = np.where(np.arange(n) % 2, 1.0, -1.0) * sqrt(v * (n - 1) / n / n) + s / n
    state = step(PairedSpec(kappa=kappa), PairedState(), d)

    assert state.total == pytest.approx(s, abs=1e-9)
    assert state.variance == pytest.approx(v)
    assert state.log_e_roll_back == pytest.approx(expected)


def test_the_mixture_is_the_integral_over_half_normal_bets() -> None:
    s, v, kappa = 4.0, 9.0, 0.8
    bets = np.linspace(0, 12, 200_001)
    density = 2 * norm.pdf(bets, scale=kappa)
    integral = float(np.trapezoid(density * np.exp(bets * s - bets**2 * v / 2), bets))
    d = np.where(np.arange(40) % 2, 1.0, -1.0) * sqrt(v * 39 / 40 / 40) + s / 40

    assert step(PairedSpec(kappa=kappa), PairedState(), d).log_e_roll_back == pytest.approx(
        log(integral), rel=1e-6
    )


def test_equal_versions_are_rarely_rolled_back_however_often_one_looks() -> None:
    rng = np.random.default_rng(1)
    runs = [days(normal_days(rng, 0.0, count=30, size=40)).harmful(0.05) for _ in range(300)]

    assert np.mean(runs) <= 25 / 300


def test_a_challenger_at_the_margin_is_rarely_promoted() -> None:
    rng = np.random.default_rng(2)
    promoted = 0
    for _ in range(300):
        state = PairedState()
        for d in normal_days(rng, 0.01, count=30, size=40):
            state = step(SPEC, state, d)
            if state.good(0.05):
                promoted += 1
                break

    assert promoted <= 25


def test_harm_is_found_and_an_equal_challenger_is_let_through_with_a_margin() -> None:
    rng = np.random.default_rng(3)
    worse = [days(normal_days(rng, 0.03)).harmful(0.01) for _ in range(40)]
    equal = [days(normal_days(rng, 0.0)).good(0.05) for _ in range(40)]
    better = [
        days(normal_days(rng, -0.02), PairedSpec(margin_promote=0.0)).good(0.05) for _ in range(40)
    ]

    assert np.mean(worse) == 1.0
    assert np.mean(equal) >= 0.7
    assert np.mean(better) == 1.0


def test_a_hard_day_for_both_versions_cancels() -> None:
    # Batches whose loss differs wildly leave the differences alone; only d is ever looked at.
    rng = np.random.default_rng(4)
    level = np.repeat([0.1, 0.5, 0.2], 200)
    champion = level + rng.normal(0, 0.02, 600)
    challenger = level + rng.normal(0, 0.02, 600)
    state = days(np.split(challenger - champion, 3))

    assert not state.harmful(0.05)
    assert state.good(0.05)


def test_days_that_vary_together_are_shown_and_a_design_effect_makes_them_safe() -> None:
    rng = np.random.default_rng(5)
    plain = days(normal_days(rng, 0.0, count=40))
    shaky = days(normal_days(rng, 0.0, count=40, day_sd=0.03))
    runs = [normal_days(rng, 0.0, day_sd=0.03) for _ in range(150)]

    assert plain.day_effect == pytest.approx(1.0, abs=0.5)
    assert shaky.day_effect > 4
    assert np.mean([days(run).harmful(0.05) for run in runs]) > 0.08
    assert np.mean([days(run, divisor=10.0).harmful(0.05) for run in runs]) <= 0.08


def test_rare_differences_do_not_promote_before_they_could_be_seen() -> None:
    # 1 answer in 50 is wrong only at the challenger: mean .02, twice the margin.
    rng = np.random.default_rng(6)
    promoted = 0
    for _ in range(300):
        state = PairedState()
        for _ in range(40):
            state = step(SPEC, state, (rng.random(10) < 0.02).astype(float))
            if state.good(0.05):
                promoted += 1
                break

    assert promoted <= 15


def test_versions_that_never_differ_are_let_through_in_the_end() -> None:
    few, many = days([np.zeros(100)]), days([np.zeros(1_000)] * 3)

    assert not few.good(0.05)
    assert many.good(0.05)
    assert not many.harmful(0.5)


def test_nothing_is_decided_on_few_clusters() -> None:
    state = days([np.full(CLUSTERS_MIN - 1, 0.9)])

    assert not state.harmful(0.9)
    assert state.log_e_promote == 0
    assert state.interval() == (-inf, inf)


def test_the_interval_holds_the_truth_at_every_look() -> None:
    rng = np.random.default_rng(7)
    missed = 0
    for _ in range(200):
        state = PairedState()
        for d in normal_days(rng, 0.02, count=20, size=30):
            state = step(SPEC, state, d)
            low, high = state.interval(0.05)
            if not low <= 0.02 <= high:
                missed += 1
                break

    assert missed <= 18
    assert 0 < high - low < 0.05


def test_the_bet_is_fixed_once_and_for_all() -> None:
    rng = np.random.default_rng(8)
    state = days([rng.normal(0, 0.1, 30)])

    assert state.kappa == pytest.approx(0.01 * 30 / state.variance)
    assert step(SPEC, state, rng.normal(0, 5.0, 30)).kappa == state.kappa


def test_one_cluster_a_day_counts_its_square() -> None:
    state = days([np.array([0.1])] * 30)

    assert state.variance == pytest.approx(30 * 0.01)
    assert isnan(state.day_effect)


def test_harm_once_proven_stays_and_promotion_needs_evidence_now() -> None:
    rng = np.random.default_rng(9)
    harmed = days(normal_days(rng, 0.05) + normal_days(rng, -0.06, count=30))
    lost = days(normal_days(rng, -0.02) + normal_days(rng, 0.08, count=10))

    assert harmed.harmful(0.01)
    assert harmed.log_e_roll_back < log(1 / 0.01)
    assert not lost.good(0.05)


def test_empty_and_missing_differences_move_nothing() -> None:
    state = days([np.random.default_rng(1).normal(0, 0.1, 50)])

    assert step(SPEC, state, np.array([])) == state
    assert step(SPEC, state, np.array([np.nan, np.inf])) == state
    assert PairedState().mean != PairedState().mean  # NaN: nothing is known yet


def test_a_question_that_is_not_asked_has_no_evidence() -> None:
    spec = PairedSpec(margin_roll_back=None)
    state = days(normal_days(np.random.default_rng(1), 0.5), spec)

    assert not state.harmful(0.9)
    assert not state.good(0.9)


@pytest.mark.parametrize("options", [{"target": 0.0}, {"kappa": -1.0}, {"largest": 0.0}])
def test_senseless_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        PairedSpec(**options)


def test_survives_json() -> None:
    state = days(normal_days(np.random.default_rng(1), 0.01))

    assert PairedState.from_dict(json.loads(json.dumps(state.to_dict()))) == state
