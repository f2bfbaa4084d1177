"""A wrong clock or unit is told by the constant change that would explain the pane."""

import numpy as np
import pytest

from detectors.catalog import DISTANCES
from detectors.contract import FloatArray, IntArray, Layout
from detectors.distances.ks import KS
from detectors.shift import find_shift
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout


def departures(rng: np.random.Generator, n: int) -> FloatArray:
    """Minutes of day like a day of flights: 05:00 to 23:59, three rushes, often on round minutes."""
    rush = rng.choice([420.0, 900.0, 1_080.0], n, p=[0.4, 0.3, 0.3])
    minutes = np.clip(rng.normal(rush, 110.0, n), 300, 1_439)
    return np.asarray(
        np.where(rng.random(n) < 0.4, np.round(minutes / 5) * 5, np.round(minutes)) % 1_440
    )


def distances(rng: np.random.Generator, n: int) -> FloatArray:
    """Miles to about 100 destinations, near ones more often."""
    places = np.round(np.random.default_rng(0).lognormal(6.6, 0.7, 100)) + 80
    return np.asarray(rng.choice(places, n))


def setting(reference: FloatArray) -> tuple[NumericLayout, FloatArray]:
    layout = NumericLayout.from_reference(reference)
    counts = layout.fold(reference)
    return layout, counts[:-1] / counts[:-1].sum()


@pytest.mark.parametrize("name", [n for n, d in DISTANCES.items() if "numeric" in d.kinds])
@pytest.mark.parametrize("hours", [4, -5, 3])
@pytest.mark.parametrize("n", [900, 20_000])
def test_a_clock_in_another_zone_is_named_by_its_hours(name: str, hours: int, n: int) -> None:
    rng = np.random.default_rng(n + hours)
    layout, normal = setting(departures(rng, 26_000))
    pane = layout.fold((departures(rng, n) + 60 * hours) % 1_440)
    found = find_shift(layout, normal, pane, DISTANCES[name], 1_440.0, tolerance=0.1, m=26_000)

    assert found is not None
    assert (found.kind, found.amount) == ("shift", 60.0 * hours)
    assert found.effect_after < 0.06
    assert found.effect_before > 0.1


@pytest.mark.parametrize("day", [24.0, 1_440.0, 86_400.0])
def test_clocks_that_count_hours_minutes_or_seconds_are_told_alike(day: float) -> None:
    rng = np.random.default_rng(8)
    unit = day / 1_440
    layout, normal = setting(departures(rng, 26_000) * unit)
    pane = layout.fold((departures(rng, 900) * unit + day / 6) % day)
    found = find_shift(layout, normal, pane, KS(), day, tolerance=0.1, m=26_000)

    assert found is not None
    assert found.amount == day / 6


def test_miles_in_kilometres_are_named_by_their_factor() -> None:
    rng = np.random.default_rng(1)
    layout, normal = setting(distances(rng, 20_000))
    pane = layout.fold(distances(rng, 900) * 1.609344)
    found = find_shift(layout, normal, pane, KS(), tolerance=0.1, m=20_000)

    assert found is not None
    assert (found.kind, found.amount) == ("factor", 1.609344)
    assert found.effect_after < 0.05


@pytest.mark.parametrize(("amount", "near"), [(7.3, 0.5), (-12.0, 0.6)])
def test_a_shift_of_a_number_is_found_within_its_noise(amount: float, near: float) -> None:
    rng = np.random.default_rng(2)
    layout, normal = setting(rng.normal(36, 9, 20_000))
    pane = layout.fold(rng.normal(36, 9, 5_000) + amount)
    found = find_shift(layout, normal, pane, KS(), tolerance=0.1, m=20_000)

    assert found is not None
    assert found.kind == "shift"
    assert found.amount == pytest.approx(amount, abs=near)


def test_a_moderate_season_looks_like_a_shift_and_the_caller_has_to_know() -> None:
    rng = np.random.default_rng(3)
    layout, normal = setting(rng.normal(36, 9, 20_000))
    warmer = layout.fold(rng.normal(46, 8, 900))
    found = find_shift(layout, normal, warmer, KS(), tolerance=0.1)

    assert found is not None
    assert found.kind == "shift"
    assert 8 <= found.amount <= 12
    assert found.effect_before > 0.35
    assert found.effect_after < 0.06


def test_a_change_of_shape_is_no_shift() -> None:
    rng = np.random.default_rng(4)
    layout, normal = setting(rng.normal(0, 1, 20_000))
    two_humps = layout.fold(np.concatenate([rng.normal(-1.5, 0.2, 500), rng.normal(1.5, 0.2, 500)]))

    assert find_shift(layout, normal, two_humps, KS(), tolerance=0.1) is None


def test_a_clock_feature_that_lost_its_evenings_is_no_shift() -> None:
    rng = np.random.default_rng(5)
    layout, normal = setting(departures(rng, 26_000))
    minutes = departures(rng, 4_000)
    mornings = layout.fold(minutes[minutes < 800])

    assert find_shift(layout, normal, mornings, KS(), 1_440.0, tolerance=0.1) is None


def refused(case: str) -> tuple[Layout, FloatArray, IntArray]:
    rng = np.random.default_rng(6)
    layout, normal = setting(rng.normal(36, 9, 5_000))
    if case == "names":
        names = CategoryLayout(("a", "b"))
        return names, np.array([1.0, 0, 0, 0]), names.fold(["b"] * 500)
    if case == "constant":
        layout, normal = NumericLayout(()), np.array([1.0])
    values = {
        "as usual": rng.normal(36, 9, 500),
        "beyond the reference": rng.normal(90, 2, 500),
        "few events": rng.normal(50, 9, 19),
        "empty": np.full(500, np.nan),
    }
    pane = layout.fold(values.get(case, rng.normal(50, 9, 500)))
    return layout, normal * np.nan if case == "no baseline" else normal, pane


@pytest.mark.parametrize(
    "case",
    ["as usual", "beyond the reference", "few events", "empty", "no baseline", "names", "constant"],
)
def test_no_amount_is_named_without_ground(case: str) -> None:
    layout, normal, pane = refused(case)

    assert find_shift(layout, normal, pane, KS(), tolerance=0.1) is None


def test_whole_atoms_move_as_wholes() -> None:
    rng = np.random.default_rng(7)
    values = rng.integers(0, 60, 5_000).astype(float)
    layout, normal = setting(values)
    found = find_shift(
        layout, normal, layout.fold((rng.integers(0, 60, 2_000) + 10).tolist()), KS(), tolerance=0.1
    )

    assert found is not None
    assert found.amount == pytest.approx(10.0, abs=1.0)
    assert found.effect_after < 0.02
