"""Distances beside the libraries that people compare ours with, and at the edges of their domains."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

from detectors.catalog import DISTANCES
from detectors.contract import FloatArray, IntArray
from detectors.distances.chi_square import ChiSquare
from detectors.distances.jensen_shannon import JensenShannon
from detectors.distances.ks import KS
from detectors.distances.psi import PSI
from detectors.distances.total_variation import TotalVariation
from detectors.distances.wasserstein import Wasserstein
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout

COUNTS = st.lists(st.integers(40, 900), min_size=2, max_size=8)


def shares(counts: IntArray) -> FloatArray:
    present: FloatArray = counts[:-1] / counts[:-1].sum()
    return present


def named(counts: list[int]) -> tuple[CategoryLayout, IntArray]:
    layout = CategoryLayout(tuple(f"n{i}" for i in range(len(counts))))
    return layout, np.array([*counts, 0, 0, 0])


def tables(past: list[int], now: list[int]) -> tuple[CategoryLayout, IntArray, IntArray]:
    size = min(len(past), len(now))
    layout, reference = named(past[:size])
    return layout, reference, named(now[:size])[1]


@settings(deadline=None, max_examples=100)
@given(past=COUNTS, now=COUNTS)
def test_chi_square_and_its_p_value_are_scipys(past: list[int], now: list[int]) -> None:
    layout, reference, current = tables(past, now)
    n, m = int(current.sum()), int(reference.sum())
    normal = shares(reference)
    # What expects fewer than five of the n events is put together; SciPy gets the table whole.
    if (normal[: len(reference) - 3] * n).min() < 5:
        return
    table = np.stack([reference[:-3], current[:-3]])
    theirs = chi2_contingency(table, correction=False)
    ours = ChiSquare().measure(layout, normal, current, m=m)

    assert ours.raw * n * m / (n + m) == pytest.approx(theirs.statistic, rel=1e-9, abs=1e-9)
    assert ChiSquare().p_value(layout, normal, current, m=m) == pytest.approx(
        theirs.pvalue, rel=1e-6, abs=1e-12
    )


@settings(deadline=None, max_examples=100)
@given(past=COUNTS, now=COUNTS)
def test_jensen_shannon_and_total_variation_are_the_textbooks(
    past: list[int], now: list[int]
) -> None:
    layout, reference, current = tables(past, now)
    p, q = shares(reference), shares(current)
    if (p[:-2] * current.sum()).min() < 5:
        return

    assert JensenShannon().measure(layout, p, current, m=0).raw == pytest.approx(
        jensenshannon(p, q, 2), abs=1e-7
    )
    assert TotalVariation().measure(layout, p, current, m=0).raw == pytest.approx(
        np.abs(p - q).sum() / 2
    )


WHOLE = st.lists(st.integers(-30, 30).map(lambda i: i / 4), min_size=2, max_size=200)


@settings(deadline=None, max_examples=150)
@given(past=WHOLE, now=WHOLE)
def test_wasserstein_is_scipys_where_the_reference_is_kept_whole(
    past: list[float], now: list[float]
) -> None:
    layout = NumericLayout.from_reference(past)
    # A value that the reference never had lies somewhere in a gap: those are compared below.
    known = np.unique(past)
    within = known[np.abs(np.array(now)[:, None] - known).argmin(axis=1)]
    effect = Wasserstein().measure(layout, shares(layout.fold(past)), layout.fold(within), m=0)
    if np.std(past) == 0:
        assert np.isnan(effect.value)
        return

    expected = wasserstein_distance(past, within) / np.std(past)
    assert effect.raw == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("shift", "scale"), [(0.1, 1.0), (0.5, 1.0), (0.0, 1.5), (-1.0, 0.7)])
@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e150])
def test_wasserstein_of_many_values_is_close_to_scipys(
    shift: float, scale: float, unit: float
) -> None:
    rng = np.random.default_rng(3)
    past, now = rng.normal(size=50_000), rng.normal(shift, scale, 20_000)
    layout = NumericLayout.from_reference(past * unit)
    effect = Wasserstein().measure(
        layout, shares(layout.fold(past * unit)), layout.fold(now * unit), m=len(past)
    )
    low, high = (edge / unit for edge in layout.edges[:: len(layout.edges) - 1])
    kept, cut = np.clip(past, low, high), np.clip(now, low, high)

    assert effect.raw == pytest.approx(wasserstein_distance(kept, cut) / kept.std(), rel=0.01)


def test_one_wild_value_is_no_drift_and_a_changed_unit_is() -> None:
    rng = np.random.default_rng(4)
    past = rng.normal(10, 1, 20_000)
    layout = NumericLayout.from_reference(past)
    normal = shares(layout.fold(past))
    one, all_of_them = np.append(past[:999], 1e300), past[:1_000] * 1_000

    assert abs(Wasserstein().measure(layout, normal, layout.fold(one), m=0).value) < 0.05
    assert Wasserstein().measure(layout, normal, layout.fold(all_of_them), m=0).value > 2


def test_ks_p_is_scipys_asymptotic_one() -> None:
    rng = np.random.default_rng(6)
    past = rng.integers(0, 200, 5_000).astype(float)
    layout = NumericLayout.from_reference(past)
    for shift, n in ((0, 300), (4, 2_000), (10, 2_000)):
        now = (rng.integers(0, 200, n) + shift).astype(np.float64)
        ours = KS().p_value(layout, shares(layout.fold(past)), layout.fold(now), m=len(past))
        statistic = ks_2samp(past, now, method="asymp").statistic
        law = np.sqrt(n * len(past) / (n + len(past))) * statistic
        # Kolmogorov's series, as in every textbook.
        k = np.arange(1, 101)
        textbook = 2 * np.sum((-1.0) ** (k - 1) * np.exp(-2 * k**2 * law**2))

        assert ours == pytest.approx(min(textbook, 1.0), rel=1e-9, abs=1e-12)


def test_the_p_value_of_chi_square_is_calibrated_where_names_are_rare() -> None:
    # Zipf over 60 names, 1,000 events against 10,000: most names expect a handful.
    rng = np.random.default_rng(7)
    weights = 1 / np.arange(1, 61)
    weights /= weights.sum()
    layout, _ = named([1] * 60)
    level = []
    for _ in range(600):
        past, now = rng.multinomial(10_000, weights), rng.multinomial(1_000, weights)
        reference, current = named(past.tolist())[1], named(now.tolist())[1]
        level.append(ChiSquare().p_value(layout, shares(reference), current, m=10_000) < 0.05)

    assert np.mean(level) == pytest.approx(0.05, abs=0.03)


def test_the_customary_psi_is_over_deciles_and_the_value_is_corrected() -> None:
    rng = np.random.default_rng(8)
    past = rng.normal(size=100_000)
    layout = NumericLayout.from_reference(past)
    normal = shares(layout.fold(past))
    panes = [layout.fold(rng.normal(size=100)) for _ in range(300)]
    effects = [PSI().measure(layout, normal, pane, m=100_000) for pane in panes]
    moved = rng.normal(0.5, 1, 20_000)
    deciles = np.quantile(past, np.arange(1, 10) / 10)
    p = np.full(10, 0.1)
    q = np.bincount(np.searchsorted(deciles, moved), minlength=10) / len(moved)

    assert np.mean([effect.raw for effect in effects]) == pytest.approx(0.09, abs=0.02)
    assert abs(np.mean([effect.value for effect in effects])) < 0.02
    assert PSI().measure(layout, normal, layout.fold(moved), m=0).raw == pytest.approx(
        float(((q - p) * np.log(q / p)).sum()), rel=0.03
    )


ODD = {
    "huge": [1e300, -1e300, 1e308, -1e308] * 30,
    "constant": [5.0] * 100,
    "one value": [3.0],
    "infinite": [float("inf"), float("-inf"), 1.0, 2.0] * 30,
    "tiny": [5e-324, 0.0, 1e-300] * 30,
}


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("past", ODD.values(), ids=ODD)
@pytest.mark.parametrize("now", ODD.values(), ids=ODD)
def test_odd_values_give_a_number_or_a_gap_and_no_warning(
    name: str, past: list[float], now: list[float]
) -> None:
    distance = DISTANCES[name]
    if "numeric" not in distance.kinds:
        return
    layout = NumericLayout.from_reference(past)
    normal = shares(layout.fold(past))
    effect = distance.measure(layout, normal, layout.fold(now), m=len(past))

    assert np.isnan(effect.value) or np.isfinite(effect.value)
    assert np.isnan(effect.value) == np.isnan(effect.raw)
    if past == now and np.isfinite(effect.raw) and name != "mmd":
        assert effect.raw == pytest.approx(0, abs=1e-9)
