"""The numeric tests behind the causes, at their edges."""

import numpy as np
import pytest

from detectors.collapse import find_collapse
from detectors.contract import FloatArray, IntArray
from detectors.jump import find_jump
from detectors.mixture import find_mixture
from detectors.quality import QualitySketch
from detectors.recount import recounted
from detectors.sequential import turned
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout
from detectors.sketches.positive import PositiveLayout

RNG = np.random.default_rng(5)
VALUES = RNG.gamma(4.0, 200.0, 20_000)
LAYOUT = NumericLayout.from_reference(VALUES)
NORMAL = LAYOUT.fold(VALUES)[:-1] / len(VALUES)
NAMES = CategoryLayout(("a", "b", "c"), rare=("rare",))


def fresh(n: int = 3_000) -> FloatArray:
    return np.random.default_rng(8).gamma(4.0, 200.0, n)


def test_one_value_has_collapsed() -> None:
    found = find_collapse(LAYOUT, NORMAL, LAYOUT.fold([450.0] * 98 + [900.0, 20.0]))

    assert found is not None
    assert (found.share, found.normal_share < 0.01) == (0.98, True)


@pytest.mark.parametrize(
    "counts",
    [
        LAYOUT.fold(fresh()),
        LAYOUT.fold([1e9] * 500),
        LAYOUT.fold([-5.0] * 500),
        LAYOUT.fold([450.0] * 10),
        LAYOUT.fold([None] * 500),
        LAYOUT.fold([450.0] * 90 + [900.0] * 10),
    ],
    ids=["usual", "all above", "all below", "few", "missing", "mostly"],
)
def test_these_have_not_collapsed(counts: IntArray) -> None:
    assert find_collapse(LAYOUT, NORMAL, counts) is None


def test_what_was_one_value_most_of_the_time_is_not_stuck() -> None:
    rain = NumericLayout.from_reference([0.0] * 900 + [0.1] * 50 + [0.2] * 50)
    normal = rain.fold([0.0] * 900 + [0.1] * 50 + [0.2] * 50)[:-1] / 1_000

    assert find_collapse(rain, normal, rain.fold([0.0] * 500)) is None


def test_unseen_names_have_not_collapsed_onto_one() -> None:
    normal = np.array([0.4, 0.3, 0.3, 0.0, 0.0])

    assert find_collapse(NAMES, normal, NAMES.fold([f"new{i}" for i in range(500)])) is None


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5])
def test_something_concentrated_mixed_in_is_found_with_its_share(share: float) -> None:
    n = int(4_000 * share)
    mixed = np.concatenate([fresh(4_000 - n), np.random.default_rng(2).normal(300, 5, n)])

    found = find_mixture(LAYOUT, NORMAL, LAYOUT.fold(mixed))

    assert found is not None
    assert found.share == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize(
    "bent",
    [fresh(), fresh() * 1.609, fresh() + 150, fresh() * 0.9, fresh(90)],
    ids=["usual", "kilometres", "shifted", "shorter", "few"],
)
def test_what_changed_as_a_whole_is_no_mixture(bent: FloatArray) -> None:
    assert find_mixture(LAYOUT, NORMAL, LAYOUT.fold(bent)) is None


def test_a_renamed_one_is_no_mixture() -> None:
    normal = np.array([0.4, 0.3, 0.3, 0.0, 0.0])

    assert find_mixture(NAMES, normal, NAMES.fold(["a"] * 400 + ["x"] * 300 + ["c"] * 300)) is None


def test_a_layout_counted_on_itself_is_what_it_was() -> None:
    assert recounted(LAYOUT, NORMAL, LAYOUT) == pytest.approx(NORMAL, abs=1e-9)


def test_a_change_of_unit_is_as_if_it_had_been_counted() -> None:
    scaled = recounted(LAYOUT, NORMAL, LAYOUT, scale=0.4536)
    counted = LAYOUT.fold(VALUES * 0.4536)[:-1] / len(VALUES)

    assert scaled is not None
    assert np.abs(np.cumsum(scaled) - np.cumsum(counted)).max() < 0.01


def test_names_keep_their_names_and_others_are_unseen() -> None:
    other = CategoryLayout(("b", "c", "z"), rare=("a",))

    shares = recounted(NAMES, np.array([0.1, 0.2, 0.3, 0.15, 0.25]), other)

    assert shares is not None
    assert shares.tolist() == pytest.approx([0.2, 0.3, 0.0, 0.1, 0.4])


def test_numbers_and_names_are_not_counted_on_each_other() -> None:
    assert recounted(LAYOUT, NORMAL, NAMES) is None
    assert recounted(NAMES, np.full(5, 0.2), LAYOUT) is None
    assert recounted(LAYOUT, np.full(len(NORMAL), np.nan), LAYOUT) is None
    assert recounted(PositiveLayout(), np.full(2086, 1 / 2086), LAYOUT) is None


def test_a_step_is_found_where_it_is_in_noise() -> None:
    noise = np.random.default_rng(3).normal(0, 0.03, 40)
    series = np.concatenate([noise[:30], 0.4 + noise[30:]]).tolist()

    found = find_jump(series, 0.1)

    assert found is not None
    assert found.panes == 10


def test_a_step_in_a_stream_that_had_drifted_is_found() -> None:
    found = find_jump([0.3] * 20 + [0.9] * 5, 0.1)

    assert found is not None
    assert (found.panes, found.before) == (5, 0.3)


@pytest.mark.parametrize(
    "series",
    [[], [0.5], [0.0] * 20, [0.0] * 10 + [0.5] + [0.0] * 10, [t / 100 for t in range(48)]],
    ids=["empty", "one", "calm", "one odd pane", "a ramp"],
)
def test_these_did_not_jump(series: list[float]) -> None:
    assert find_jump(series, 0.1) is None


def test_a_model_at_chance_gathers_no_evidence_of_turned_labels() -> None:
    rng = np.random.default_rng(4)
    state = turned.TurnedState()
    for pane in range(400):
        truth = (rng.random(300) < 0.5).astype(np.int64)
        scores = rng.random(300)
        sketch = QualitySketch.fold(scores, (scores > 0.5).astype(np.int64), truth)
        state, fired = turned.step(state, sketch, 0.2, 0.5, 9.0, at=float(pane))
        assert not fired
