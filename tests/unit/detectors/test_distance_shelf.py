"""Distances: what each promises, and the numbers of those that others define too."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from detectors.catalog import DISTANCES
from detectors.contract import FloatArray, IntArray, Layout
from detectors.distances.ks import KS
from detectors.distances.psi import PSI
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout
from detectors.sketches.positive import PositiveLayout
from detectors.sketches.vector import VectorLayout

LAYOUTS: dict[str, Layout] = {
    "numeric": NumericLayout.from_reference(np.random.default_rng(1).normal(size=5_000)),
    "positive": PositiveLayout(thresholds=(100.0,)),
    "category": CategoryLayout(("a", "b", "c"), rare=("d",)),
    "vector": VectorLayout.from_reference(np.random.default_rng(1).normal(size=(1_000, 2))),
}


def shares(counts: IntArray) -> FloatArray:
    present: FloatArray = counts[:-1] / counts[:-1].sum()
    return present


def sample(kind: str, n: int, shift: float, seed: int) -> IntArray:
    rng = np.random.default_rng(seed)
    if kind == "category":
        weights = np.array([0.5 - shift / 10, 0.3, 0.15, 0.05 + shift / 10])
        return LAYOUTS[kind].fold(rng.choice(list("abcd"), n, p=weights))
    if kind == "vector":
        return LAYOUTS[kind].fold(rng.normal(shift, 1, (n, 2)))
    values = rng.normal(shift, 1, n)
    return LAYOUTS[kind].fold(values if kind == "numeric" else np.exp(3 + values))


def test_the_shelf_is_sorted_and_each_thing_knows_its_name() -> None:
    assert list(DISTANCES) == sorted(DISTANCES)
    assert {name: distance.name for name, distance in DISTANCES.items()} == {
        name: name for name in DISTANCES
    }


PAIRS = [(name, kind) for name, each in DISTANCES.items() for kind in sorted(each.kinds)]
each_pair = pytest.mark.parametrize(("name", "kind"), PAIRS)


@each_pair
def test_grows_with_the_change_and_is_0_on_average_without_one(name: str, kind: str) -> None:
    normal = shares(sample(kind, 200_000, 0.0, 99))

    def mean(shift: float) -> float:
        panes = (sample(kind, 1_000, shift, seed) for seed in range(40))
        effects = [
            DISTANCES[name].measure(LAYOUTS[kind], normal, pane, m=200_000) for pane in panes
        ]
        return float(np.mean([effect.value for effect in effects]))

    assert abs(mean(0.0)) < 0.006
    assert 0.01 < mean(0.3) < mean(0.6)


@each_pair
@pytest.mark.parametrize("n", [50, 200, 5_000])
def test_quiet_hours_do_not_look_like_drift(name: str, kind: str, n: int) -> None:
    normal = shares(sample(kind, 200_000, 0.0, 99))
    panes = (sample(kind, n, 0.0, seed) for seed in range(200))
    effects = [DISTANCES[name].measure(LAYOUTS[kind], normal, pane, m=0).value for pane in panes]

    assert abs(np.mean(effects)) < 0.4 * n**-0.5


@each_pair
def test_an_empty_pane_or_no_baseline_is_a_gap(name: str, kind: str) -> None:
    layout, distance = LAYOUTS[kind], DISTANCES[name]
    pane = sample(kind, 100, 0.0, 1)
    only_missing = layout.fold([None, None])

    assert np.isnan(distance.measure(layout, shares(pane), only_missing, m=10).value)
    assert np.isnan(distance.measure(layout, np.full(layout.size - 1, np.nan), pane, m=0).value)


@each_pair
def test_missing_values_change_nothing(name: str, kind: str) -> None:
    layout, normal = LAYOUTS[kind], shares(sample(kind, 5_000, 0.0, 2))
    pane = sample(kind, 500, 0.5, 3)
    holes = pane + layout.fold([None] * 77)

    assert DISTANCES[name].measure(layout, normal, pane, m=0) == DISTANCES[name].measure(
        layout, normal, holes, m=0
    )


@settings(deadline=None, max_examples=150)
@given(
    reference=st.lists(st.integers(-20, 20).map(lambda i: i / 4), min_size=2, max_size=200),
    current=st.lists(
        st.one_of(
            st.integers(-25, 25).map(lambda i: i / 4),
            st.floats(-1e300, 1e300),
            st.just(float("inf")),
        ),
        min_size=2,
        max_size=200,
    ),
)
def test_ks_is_exactly_scipys_where_the_reference_is_kept_whole(
    reference: list[float], current: list[float]
) -> None:
    layout = NumericLayout.from_reference(reference)
    effect = KS().measure(
        layout, shares(layout.fold(reference)), layout.fold(current), m=len(reference)
    )

    assert effect.raw == pytest.approx(
        ks_2samp(reference, current, method="asymp").statistic, abs=1e-12
    )


def test_ks_of_many_values_is_never_above_scipys_and_close_to_it() -> None:
    rng = np.random.default_rng(5)
    reference, current = rng.normal(size=20_000), rng.normal(0.1, 1.1, 5_000)
    layout = NumericLayout.from_reference(reference)
    raw = KS().measure(layout, shares(layout.fold(reference)), layout.fold(current), m=0).raw
    exact = ks_2samp(reference, current, method="asymp").statistic

    assert exact - 0.004 <= raw <= exact + 1e-12


def test_ks_says_where_the_gap_is() -> None:
    layout = NumericLayout.from_reference([0.0] * 90 + [5.0] * 10)
    effect = KS().measure(layout, shares(layout.fold([0] * 9 + [5])), layout.fold([5] * 50), m=0)

    assert effect.where == "0.0"
    assert effect.raw == pytest.approx(0.9)
    assert effect.n == 50


def test_psi_is_the_textbook_sum() -> None:
    layout = CategoryLayout(("a", "b"))
    normal = np.array([0.5, 0.5, 0.0, 0.0])
    effect = PSI().measure(layout, normal, layout.fold(["a"] * 70_000 + ["b"] * 30_000), m=100_000)
    expected = 0.2 * np.log(0.7 / 0.5) - 0.2 * np.log(0.3 / 0.5)

    assert effect.raw == pytest.approx(expected, rel=1e-3)


def test_psi_of_small_samples_without_a_shift_is_small() -> None:
    # Replacing empty bins by the smallest float gives 14.4 here.
    rng = np.random.default_rng(0)
    past, now = rng.normal(size=100), rng.normal(size=100)
    layout = NumericLayout.from_reference(past)
    effect = PSI().measure(layout, shares(layout.fold(past)), layout.fold(now), m=100)

    assert abs(effect.value) < 0.2


def test_psi_points_at_names_the_reference_never_saw() -> None:
    layout = CategoryLayout(("a", "b"))
    normal = np.array([0.6, 0.4, 0.0, 0.0])
    effect = PSI().measure(
        layout, normal, layout.fold(["a"] * 50 + ["b"] * 35 + ["x"] * 15), m=1_000
    )

    assert effect.where == "unseen"
    assert effect.value > 0.2


def test_many_rare_names_do_not_drown_psi() -> None:
    names = [f"n{i}" for i in range(100)]
    layout = CategoryLayout(tuple(names))
    rng = np.random.default_rng(1)
    normal = np.append(np.full(100, 0.01), [0.0, 0.0])
    effects = [
        PSI().measure(layout, normal, layout.fold(rng.choice(names, 100)), m=0).value
        for _ in range(100)
    ]

    assert abs(np.mean(effects)) < 0.02
