"""Canary evidence from bad events: valid under peeking, ramps, cycles and shared incidents."""

import json
from math import isnan, log

import numpy as np
import pytest

from detectors.contract import FloatArray
from detectors.sequential.event_split import (
    EventSplitSpec,
    EventSplitState,
    design_effect,
    step,
)

SPEC = EventSplitSpec(roll_back_above=1.0, promote_below=1.5)


def canary(
    rng: np.random.Generator,
    champion: FloatArray,
    ratio: float,
    *,
    spec: EventSplitSpec = SPEC,
    weight: FloatArray | float = 0.1,
    n: int = 1_000,
    divisor: float = 1.0,
) -> EventSplitState:
    """One canary, a batch for each of the champion's rates; the state at its end."""
    state = EventSplitState()
    for rate, share in zip(champion, np.broadcast_to(weight, champion.shape), strict=True):
        new = int(rng.binomial(n, share))
        state = step(
            spec,
            state,
            challenger_events=int(rng.binomial(new, rate * ratio)),
            challenger_n=new,
            champion_events=int(rng.binomial(n - new, rate)),
            champion_n=n - new,
            design_effect=divisor,
        )
    return state


def share(states: list[bool]) -> float:
    return float(np.mean(states))


def test_accumulates_the_published_evidence() -> None:
    # Frozen outputs of the published reference implementation for the same four batches.
    state = EventSplitState()
    for new_bad, old_bad, new, old in (
        (3, 20, 100, 900),
        (5, 31, 220, 1_500),
        (0, 11, 90, 1_000),
        (9, 40, 250, 1_750),
    ):
        state = step(
            SPEC,
            state,
            challenger_events=new_bad,
            challenger_n=new,
            champion_events=old_bad,
            champion_n=old,
        )

    assert state.log_e_roll_back == pytest.approx(-1.1574885943121842)
    assert state.log_e_promote == pytest.approx(-1.2965606422489149)
    assert (state.challenger_events, state.challenger_n) == (17, 660)
    assert (state.champion_events, state.champion_n) == (102, 5_150)


@pytest.mark.parametrize(
    ("rates", "weight"),
    [
        (np.full(120, 0.05), 0.1),
        (np.full(120, 0.002), 0.1),
        (0.1 + 0.05 * np.sin(np.arange(120) / 8), np.repeat([0.01, 0.1, 0.5], 40)),
        (np.where(np.arange(120) % 30 < 5, 0.25, 0.01), 0.1),
    ],
    ids=["steady", "rare", "ramp and daily cycle", "shared incidents"],
)
def test_equal_arms_are_rarely_rolled_back_however_often_one_looks(
    rates: FloatArray, weight: FloatArray
) -> None:
    rng = np.random.default_rng(4)
    runs = [canary(rng, rates, 1.0, weight=weight).harmful(0.05) for _ in range(150)]

    # 5 % at most: 13 of 150 or more would come by chance once in 30.
    assert share(runs) <= 13 / 150


def test_a_challenger_at_the_margin_is_rarely_promoted() -> None:
    rng = np.random.default_rng(6)
    runs = [canary(rng, np.full(60, 0.02), 1.5).good(0.05) for _ in range(150)]

    assert share(runs) <= 13 / 150


def test_clear_harm_is_found_and_an_equal_challenger_is_let_through() -> None:
    rng = np.random.default_rng(8)
    worse = [canary(rng, np.full(60, 0.02), 3.0).harmful(0.01) for _ in range(30)]
    equal = [canary(rng, np.full(120, 0.05), 1.0).good(0.05) for _ in range(30)]

    assert share(worse) == 1.0
    assert share(equal) >= 0.9


def test_events_that_come_together_need_the_design_effect() -> None:
    rng = np.random.default_rng(9)
    # Each failing caller sends ten errors.
    callers = [
        (int(rng.binomial(100, 0.005)) * 10, int(rng.binomial(900, 0.005)) * 10)
        for _ in range(60 * 100)
    ]

    def harmful(batches: list[tuple[int, int]], divisor: float) -> bool:
        state = EventSplitState()
        for new, old in batches:
            state = step(
                SPEC,
                state,
                challenger_events=min(new, 1_000),
                challenger_n=1_000,
                champion_events=min(old, 9_000),
                champion_n=9_000,
                design_effect=divisor,
            )
        return state.harmful(0.05)

    runs = [callers[i : i + 60] for i in range(0, len(callers), 60)]
    learned = design_effect(np.array([old for _, old in callers]), np.full(len(callers), 9_000))

    assert learned == pytest.approx(10, rel=0.2)
    assert share([harmful(run, 1.0) for run in runs]) > 0.2
    assert share([harmful(run, learned) for run in runs]) <= 0.09


def test_harm_once_proven_stays_and_promotion_needs_evidence_now() -> None:
    def batch(state: EventSplitState, bad: int, times: int) -> EventSplitState:
        for _ in range(times):
            state = step(
                SPEC,
                state,
                challenger_events=bad,
                challenger_n=1_000,
                champion_events=50,
                champion_n=1_000,
            )
        return state

    harmed = batch(EventSplitState(), 150, 3)
    recovered = batch(harmed, 20, 30)
    promoted = batch(EventSplitState(), 40, 10)

    assert harmed.harmful(0.01)
    assert recovered.harmful(0.01)
    assert recovered.log_e_roll_back < log(1 / 0.01)
    assert promoted.good(0.05)
    assert not batch(promoted, 300, 10).good(0.05)


def test_one_arm_alone_tells_nothing() -> None:
    state = step(
        SPEC,
        EventSplitState(),
        challenger_events=5,
        challenger_n=10,
        champion_events=0,
        champion_n=0,
    )

    assert state == EventSplitState()
    assert isnan(state.ratio)


def test_a_question_that_is_not_asked_has_no_evidence() -> None:
    spec = EventSplitSpec(roll_back_above=None, promote_below=None)
    state = canary(np.random.default_rng(1), np.full(20, 0.05), 5.0, spec=spec)

    assert (state.log_e_roll_back, state.log_e_promote) == (0.0, 0.0)
    assert not state.harmful(0.5)


def test_the_ratio_is_stratified() -> None:
    # Pooled, the ratio would be about 2.7: the arms differ only in when they had traffic.
    rng = np.random.default_rng(3)
    rates = np.repeat([0.01, 0.10], 60)
    state = canary(rng, rates, 1.0, weight=np.repeat([0.05, 0.5], 60), n=5_000)

    assert state.ratio == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("ratio", [0.0, -1.0, float("inf"), float("nan")])
def test_ratios_must_be_positive(ratio: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        EventSplitSpec(roll_back_above=ratio)


def test_more_bad_events_than_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="bad events"):
        step(
            SPEC,
            EventSplitState(),
            challenger_events=11,
            challenger_n=10,
            champion_events=0,
            champion_n=10,
        )


def test_few_batches_have_no_design_effect() -> None:
    assert design_effect(np.array([0, 50]), np.array([100, 100])) == 1.0
    assert design_effect(np.zeros(30, int), np.full(30, 100)) == 1.0


def test_a_limit_far_above_ten_still_has_worse_alternatives() -> None:
    spec = EventSplitSpec(roll_back_above=20.0)
    state = canary(np.random.default_rng(2), np.full(20, 0.001), 200.0, spec=spec)

    assert state.harmful(0.01)


def test_survives_json() -> None:
    state = canary(np.random.default_rng(1), np.full(20, 0.05), 1.2)

    assert EventSplitState.from_dict(json.loads(json.dumps(state.to_dict()))) == state
