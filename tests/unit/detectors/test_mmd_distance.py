"""MMD by random features: against the exact kernel, its definition, and chance."""

import numpy as np
import pytest
from scipy.stats import chi2

from detectors.contract import FloatArray
from detectors.distances.mmd import MMD, hall_buckley_eagleson
from detectors.sketches.numeric import NumericLayout
from detectors.sketches.vector import VectorLayout


def normals(n: int, seed: int, dimension: int = 32) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(n, dimension))


PAST = normals(20_000, 0)
LAYOUT = VectorLayout.from_reference(PAST[:4_000])
COUNTS = LAYOUT.fold(PAST)
NORMAL = COUNTS[:-1] / COUNTS[:-1].sum()


def effect(vectors: FloatArray) -> float:
    return MMD().measure(LAYOUT, NORMAL, LAYOUT.fold(vectors), m=len(PAST)).value


def oracle_d_k(mean: FloatArray, past: FloatArray, n: int, trace: float) -> float:
    """As the design's notes write it, for an m so large that it adds nothing."""
    return float(np.sqrt(max(((mean - past) ** 2).sum() - trace / n, 0) / trace))


def test_is_the_definition_of_d_k() -> None:
    moved = normals(500, 1) * 1.25
    phi, past = LAYOUT.features(moved), LAYOUT.features(PAST)
    trace = float(past.var(axis=0).sum())
    found = MMD().measure(LAYOUT, NORMAL, LAYOUT.fold(moved), m=0)

    assert found.value == pytest.approx(
        oracle_d_k(phi.mean(axis=0), past.mean(axis=0), 500, trace), rel=1e-3
    )
    assert found.raw == pytest.approx(np.sqrt(found.value**2 + 1 / 500), rel=1e-6)


def test_is_close_to_the_exact_kernel_mmd() -> None:
    past, moved = PAST[:1_500], normals(1_500, 2) + 0.25

    def kernel(a: FloatArray, b: FloatArray) -> FloatArray:
        squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
        return np.asarray(np.exp(-squares / (2 * LAYOUT.bandwidth**2)))

    exact = kernel(past, past).mean() + kernel(moved, moved).mean() - 2 * kernel(past, moved).mean()
    counts = LAYOUT.fold(past)
    normal = counts[:-1] / counts[:-1].sum()
    found = MMD().measure(LAYOUT, normal, LAYOUT.fold(moved), m=1_500)
    spread = 1 - kernel(past, past).mean()

    assert found.raw == pytest.approx(np.sqrt(exact / spread), rel=0.05)


# What the design's notes measured: 32-d Gaussian.
@pytest.mark.parametrize(
    ("move", "size"),
    [
        (lambda x: x + 0.25 * np.eye(32)[0], 0.040),
        (lambda x: x + 0.25, 0.205),
        (lambda x: x * 1.25, 0.163),
    ],
    ids=["one coordinate", "all", "scale"],
)
@pytest.mark.parametrize("n", [500, 5_000])
def test_one_change_has_one_size_whatever_the_number_of_events(
    move: object, size: float, n: int
) -> None:
    assert callable(move)
    effects = [effect(move(normals(n, seed))) for seed in range(20)]

    assert np.mean(effects) == pytest.approx(size, abs=0.008)


@pytest.mark.parametrize("n", [30, 200, 2_000])
def test_without_a_change_small_panes_look_no_larger_than_big_ones(n: int) -> None:
    effects = [effect(normals(n, 1_000 + seed)) for seed in range(60)]

    assert abs(np.mean(effects)) < 0.4 * n**-0.5
    assert min(effects) < 0 < max(effects)


def test_p_values_are_those_of_chance_without_a_change() -> None:
    found = np.array(
        [
            MMD().p_value(LAYOUT, NORMAL, LAYOUT.fold(normals(300, 5_000 + seed)), m=len(PAST))
            for seed in range(600)
        ]
    )

    assert 0.02 < np.mean(found < 0.05) < 0.08
    assert np.mean(found < 0.01) < 0.025
    assert MMD().p_value(LAYOUT, NORMAL, LAYOUT.fold(normals(300, 1) + 0.2), m=0) < 1e-6


@pytest.mark.parametrize("t", [0.1, 0.5, 1.0, 3.0])
def test_hall_buckley_eagleson_is_the_oracles_formula(t: float) -> None:
    eigenvalues = np.array([0.4, 0.2, 0.1, 0.05, 0.01])
    moments = (eigenvalues.sum(), (eigenvalues**2).sum(), (eigenvalues**3).sum())
    k1, k2, k3 = moments[0], 2 * moments[1], 8 * moments[2]
    nu = 8 * k2**3 / k3**2
    expected = chi2.sf((t - k1) / np.sqrt(k2) * np.sqrt(2 * nu) + nu, nu)

    assert hall_buckley_eagleson(t, moments) == pytest.approx(expected)


def test_the_layouts_moments_are_those_of_the_reference() -> None:
    eigenvalues = np.linalg.eigvalsh(np.cov(LAYOUT.features(PAST).T))
    for power, moment in enumerate(LAYOUT.moments, start=1):
        assert moment == pytest.approx((eigenvalues**power).sum(), rel=0.05)


def test_says_which_coordinate_moved_and_by_how_much() -> None:
    moved = normals(500, 3) - 2 * np.eye(32)[7]
    found = MMD().measure(LAYOUT, NORMAL, LAYOUT.fold(moved), m=0)
    shift = MMD().mean_shift(LAYOUT, NORMAL, LAYOUT.fold(moved))

    assert found.where.startswith("coordinate 7 (mean -2")
    assert shift.shape == (32,)
    assert shift[7] == pytest.approx(-2, abs=0.2)


def test_a_reference_of_one_vector_notices_another() -> None:
    layout = VectorLayout.from_reference(np.ones((50, 4)))
    counts = layout.fold(np.ones((1_000, 4)))
    normal = counts[:-1] / counts[:-1].sum()
    same = MMD().measure(layout, normal, layout.fold(np.ones((50, 4))), m=1_000)
    other = MMD().measure(layout, normal, layout.fold(np.full((50, 4), 1.5)), m=1_000)

    assert same.value <= 0
    assert 1 < other.value < np.inf
    assert np.isnan(MMD().p_value(layout, normal, layout.fold(np.ones((50, 4))), m=1_000))


def test_what_has_no_kernel_and_a_pane_without_vectors_are_gaps() -> None:
    numbers = NumericLayout((1.0,))
    nothing = LAYOUT.fold([None] * 5)

    for distance in (MMD().measure, MMD().p_value):
        for layout, normal, counts in (
            (numbers, np.array([0.5, 0.5]), np.array([3, 4, 0])),
            (LAYOUT, NORMAL, nothing),
            (LAYOUT, np.full(LAYOUT.size - 1, np.nan), COUNTS),
        ):
            found = distance(layout, normal, counts, m=0)
            assert np.isnan(found if isinstance(found, float) else found.value)
