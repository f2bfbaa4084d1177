"""The scalar engine: learns each stream's noise, tells drift from jumps that pass."""

import json
from math import inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.contract import FloatArray
from detectors.sequential import scalar
from detectors.sequential.scalar import ScalarFit, ScalarState, expected_delay, fit, step

LOG_A = log(2 * 4_320 * 4)


def noise(panes: int, streams: int) -> FloatArray:
    """Deterministic numbers in [0, 1) that no library version can change."""
    t, k = np.arange(1, panes + 1)[:, None], np.arange(1, streams + 1)
    return np.asarray(np.mod(np.sin(t * 12.9898 + k * 78.233) * 43758.5453, 1.0))


def regimes(panes: int) -> FloatArray:
    """KS-like effects of four streams: quiet, AR(.5), AR(.9), AR(.9) with heavy-tailed shocks."""
    u = noise(panes, 8)
    heavy = np.sign(u[:, 3] - 0.5) * (1 / np.maximum(np.abs(u[:, 3] - 0.5) * 2, 0.01) - 1) * 0.03
    shock = np.column_stack([0 * heavy, (u[:, 1] - 0.5) * 0.2, (u[:, 2] - 0.5) * 0.2, heavy])
    level = np.zeros((panes, 4))
    for t in range(1, panes):
        level[t] = np.array([0, 0.5, 0.9, 0.9]) * level[t - 1] + shock[t]
    return np.asarray(np.abs(np.tanh(0.4 * level) + (u[:, 4:] - 0.5) * 0.03))


def run(learned: ScalarFit, effects: FloatArray) -> tuple[ScalarState, FloatArray, FloatArray]:
    """The last state, and how often each stream alarmed on the drift and on the fast tier."""
    state = ScalarState.start(effects.shape[1])
    slow = fast = np.zeros(effects.shape[1])
    for t, x in enumerate(effects):
        state, alarms, _, quick = step(learned, state, x, at=600.0 * t)
        slow, fast = slow + alarms, fast + quick
    return state, slow, fast


# Frozen outputs of the published reference implementation of the method, for the input above with
# 1,008 burn-in panes, tolerance .05 and A = 4320 x 4.
EXPECTED = {
    "mean": [0.0076671184, 0.0234620557, 0.0469423872, 0.2378369681],
    "sigma": [0.0042984128, 0.0186462809, 0.1221435495, 0.8095440546],
    "panes": [3.0, 3.0, 15.0, 103.0],
    "jump": [0.0170726497, 0.0652276359, 0.0896207111, 1.0],
    "decay": [0.9751822036, 0.9259271248, 0.9167628711, 0.942864397],
    "share": [0.0328136362, 0.1674559629, 1.0, 0.9974374889],
    "hill": [0.2204702041, 0.2204702041, 0.2418775386, 0.4955283102],
}


@pytest.fixture(scope="module")
def learned() -> ScalarFit:
    # The published method looks at single panes only.
    return fit(regimes(1_400)[:1_008], 0.05, log(4_320 * 4), widths=())


@pytest.mark.parametrize("name", EXPECTED)
def test_learns_the_published_numbers(learned: ScalarFit, name: str) -> None:
    assert getattr(learned, name).tolist() == pytest.approx(EXPECTED[name], rel=1e-6)


def test_accumulates_the_published_evidence(learned: ScalarFit) -> None:
    effects, state = regimes(1_400), ScalarState.start(4)
    first: dict[int, int] = {}
    seen: dict[int, list[float]] = {}
    for t in range(1_008, 1_400):
        x = effects[t] + (0.12 if t >= 1_200 else 0.0)
        state, alarms, evidence, _ = step(learned, state, x, at=float(t))
        seen[t] = evidence.tolist()
        for stream in np.flatnonzero(alarms).tolist():
            first.setdefault(stream, t)

    assert first == {0: 1_202, 1: 1_203, 2: 1_246}
    assert seen[1_100] == pytest.approx([0, 0, 0.07131197781, 0.44267725302], rel=1e-6)
    assert seen[1_205] == pytest.approx(
        [1.00403697229, 0.5582678999, 0.39198370407, 0.22924550343], rel=1e-6
    )
    assert expected_delay(learned, 0.2).tolist() == [4.0, 4.0, 32.0, inf]


def test_the_onset_is_the_first_pane_of_the_shift() -> None:
    effects = regimes(1_400)[1_008:, :2]
    effects[150:] += 0.12
    two = fit(regimes(1_400)[:1_008, :2], 0.05, LOG_A)
    state = ScalarState.start(2)
    for t, x in enumerate(effects[:160]):
        state, _, _, _ = step(two, state, x, at=600.0 * t)

    assert state.since.tolist() == [150 * 600.0, 150 * 600.0]


def test_quiet_streams_have_no_onset(learned: ScalarFit) -> None:
    state, alarms, _ = run(learned, regimes(1_400)[1_008:, :])

    assert alarms[:2].tolist() == [0, 0]
    assert np.isnan(state.since[:2]).all()


def test_a_shock_that_passes_is_a_transient_and_no_drift() -> None:
    burn_in = regimes(1_400)[:1_008]
    engine = fit(burn_in, 0.05, LOG_A)
    stream = int(engine.panes.argmax())
    shock = np.tile(engine.mean, (60, 1))
    shock[:, stream] += 0.9 * 0.9 ** np.arange(60.0)
    _, slow, fast = run(ScalarFit.from_dict({**engine.to_dict(), "sigma": [0.02] * 4}), shock)

    assert engine.panes[stream] > 30
    assert slow[stream] == 0
    assert fast[stream] >= 1


def test_a_gap_moves_nothing(learned: ScalarFit) -> None:
    state, _, _ = run(learned, regimes(1_300)[1_200:])
    before = state.to_dict()
    for t in range(500):
        state, alarms, _, fast = step(learned, state, np.full(4, np.nan), at=float(t))
        assert not alarms.any()
        assert not fast.any()

    assert str(state.to_dict()) == str(before)


def test_one_pane_alone_never_alarms(learned: ScalarFit) -> None:
    for effect in (1.0, 1e300):
        _, slow, fast = run(learned, np.full((2, 4), effect))
        assert slow.sum() == 0
        assert fast.sum() == 0


def test_an_alarm_starts_again_from_nothing_and_keeps_its_onset() -> None:
    engine = fit(regimes(1_400)[:1_008, :1], 0.05, LOG_A)
    state, alarms, t = ScalarState.start(1), np.array([False]), 0
    while not alarms[0]:
        state, alarms, evidence, _ = step(engine, state, np.array([0.3]), at=100.0 + t)
        t += 1

    assert evidence[0] >= 1
    assert state.log_m.tolist() == [[-inf] * 4]
    assert state.since.tolist() == [100.0]


def test_streams_do_not_touch_each_other(learned: ScalarFit) -> None:
    effects = regimes(1_400)[1_008:]
    alone = ScalarFit.from_dict(
        {k: v if k == "log_threshold" else v[1:2] for k, v in learned.to_dict().items()}
    )
    together, _, _ = run(learned, effects)
    single, _, _ = run(alone, effects[:, 1:2])

    assert single.log_m[0].tolist() == together.log_m[1].tolist()


def test_forgets_only_the_marked_streams(learned: ScalarFit) -> None:
    state, _, _ = run(learned, regimes(1_230)[1_200:] + 0.05)
    after = state.forget(np.array([True, False, False, True]))

    assert np.isneginf(after.log_m[[0, 3]]).all()
    assert after.log_m[[1, 2]].tolist() == state.log_m[[1, 2]].tolist()
    assert np.isnan(after.since[[0, 3]]).all()


def test_survives_json_with_its_infinities(learned: ScalarFit) -> None:
    for state in (ScalarState.start(4), run(learned, regimes(1_230)[1_200:])[0]):
        again = ScalarState.from_dict(json.loads(json.dumps(state.to_dict())))
        assert str(again.to_dict()) == str(state.to_dict())
    again_fit = ScalarFit.from_dict(json.loads(json.dumps(learned.to_dict())))
    assert again_fit.to_dict() == learned.to_dict()
    assert ScalarState.from_dict(ScalarState.start(0).to_dict()).log_m.shape == (0, 4)


@pytest.mark.parametrize("panes", [12, 20, 60, 61, 150])
def test_learns_from_few_panes(panes: int) -> None:
    rng = np.random.default_rng(panes)
    burn_in = np.abs(rng.normal(0.01, 0.01, (panes, 5)))
    burn_in[: panes - 12, 1] = np.nan
    engine = fit(burn_in, 0.1, log(2 * 30 * 5))

    assert engine.learned.all()
    assert ((engine.panes >= 3) & (engine.panes <= panes)).all()
    assert (expected_delay(engine, 0.5) < 4 * panes).all()


def test_one_peak_at_the_end_of_a_short_burn_in_does_not_make_a_stream_slow() -> None:
    burn_in = np.tile(0.01 + 0.005 * noise(60, 1), (1, 3))
    burn_in[-2:, 1] = 0.3
    engine = fit(burn_in, 0.1, LOG_A)

    assert engine.panes.tolist() == [3.0, 3.0, 3.0]


def test_daily_panes_keep_the_budget_and_find_a_shift() -> None:
    rng = np.random.default_rng(11)
    alarms, delays = 0.0, []
    for _ in range(5):
        panes = np.abs(rng.normal(0, 0.03, (60 + 330, 20)))
        engine = fit(panes[:60], 0.1, log(2 * 30 * 20))
        alarms += run(engine, panes[60:])[1].sum()
        delays.extend(run(engine, panes[60:65] + 0.3)[1].tolist())

    assert alarms <= 5 * 11
    assert np.mean(delays) > 0.95


@pytest.mark.parametrize(
    ("values", "tolerance", "log_threshold"),
    [
        (np.zeros((11, 2)), 0.1, 5.0),
        (np.zeros(50), 0.1, 5.0),
        (np.zeros((50, 2)), 0.0, 5.0),
        (np.zeros((50, 2)), np.array([0.1, -0.1]), 5.0),
        (np.zeros((50, 2)), 0.1, 0.0),
    ],
    ids=["few panes", "one row", "no tolerance", "negative", "no threshold"],
)
def test_what_cannot_be_learned_is_refused(
    values: FloatArray, tolerance: float, log_threshold: float
) -> None:
    with pytest.raises(ValueError, match=r"at least|positive"):
        fit(values, tolerance, log_threshold)


def test_a_stream_without_values_never_gives_evidence() -> None:
    burn_in = np.abs(np.random.default_rng(1).normal(0, 0.01, (100, 3)))
    burn_in[:, 1] = np.nan
    burn_in[5:, 2] = np.inf
    engine = fit(burn_in, 0.05, LOG_A)
    state, slow, _ = run(engine, np.full((50, 3), 0.9))

    assert engine.learned.tolist() == [True, False, False]
    assert slow.tolist()[1:] == [0, 0]
    assert np.isnan(state.since[1:]).all()
    assert np.isinf(expected_delay(engine, 0.9)[1:]).all()


@settings(deadline=None, max_examples=25)
@given(
    burn_in=st.lists(
        st.lists(
            st.one_of(st.floats(-1, 1), st.sampled_from([np.nan, np.inf, 1e300, 0.0])),
            min_size=2,
            max_size=2,
        ),
        min_size=12,
        max_size=40,
    ),
    later=st.lists(st.sampled_from([0.0, 0.5, 1.0, np.nan, np.inf, -1e300]), max_size=12),
)
def test_nothing_makes_evidence_nan(burn_in: list[list[float]], later: list[float]) -> None:
    engine = fit(np.array(burn_in), 0.1, 8.0)
    state = ScalarState.start(2)
    for x in later:
        state, _, evidence, _ = step(engine, state, np.array([x, 0.2]), at=0.0)
        assert np.isfinite(evidence).all()
        assert (evidence >= 0).all()


@pytest.mark.parametrize("seasonal", [False, True])
def test_the_budget_holds_for_independent_and_slow_noise(seasonal: bool) -> None:
    rng = np.random.default_rng(3)
    streams, level = 20, np.zeros((2_016 + 4_320, 20))
    if seasonal:
        shock = rng.normal(size=level.shape) * 0.05 * (1 - 0.81) ** 0.5
        for t in range(1, len(level)):
            level[t] = 0.9 * level[t - 1] + shock[t]
    effects = np.abs(np.tanh(0.4 * level) + rng.normal(0, 0.005, level.shape))
    engine = fit(effects[:2_016], 0.05, log(2 * 4_320 * streams))

    assert run(engine, effects[2_016:])[1].sum() <= 1
    assert run(engine, effects[2_016:2_046] + 0.15)[1].min() >= 1


def test_the_bets_are_the_published_ones() -> None:
    assert scalar.BETS.tolist() == [0.25, 0.5, 1.0, 2.0]
