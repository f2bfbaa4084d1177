"""Numbers are counted where the reference has its quantiles and atoms."""

import numpy as np
import pytest

from detectors.sketches.numeric import NumericLayout
from detectors.sketches.positive import PositiveLayout


def test_cells_are_closed_on_the_right() -> None:
    layout = NumericLayout((36.0, 39.0))

    assert layout.fold([36.0, 36.1, 39.0, 39.1]).tolist() == [1, 2, 1, 0]
    assert [layout.label(cell) for cell in range(4)] == [
        "(-inf, 36.0]",
        "(36.0, 39.0]",
        "(39.0, inf)",
        "missing",
    ]


def test_up_to_255_distinct_values_are_kept_whole() -> None:
    layout = NumericLayout.from_reference(np.arange(255.0))
    counts = layout.fold(np.arange(255.0))

    assert sorted(counts.tolist(), reverse=True)[:256] == [1] * 255 + [0]
    assert layout.fold([0.5])[layout.fold([0.0]).argmax() + 1] == 1


def test_many_values_make_256_cells_of_equal_mass() -> None:
    values = np.random.default_rng(1).normal(size=25_600)
    layout = NumericLayout.from_reference(values)

    assert layout.size == 257
    assert layout.fold(values)[:-1].tolist() == [100] * 256


def test_a_heavy_value_among_many_has_a_cell_of_its_own() -> None:
    values = np.concatenate([np.zeros(600), np.random.default_rng(1).exponential(size=9_400)])
    layout = NumericLayout.from_reference(values)
    zero = int(layout.fold([0.0]).argmax())

    assert layout.label(zero) == "0.0"
    assert layout.fold(values)[zero] == 600
    assert layout.fold([-1e-9])[zero] == layout.fold([1e-9])[zero] == 0


@pytest.mark.parametrize(
    ("reference", "size"),
    [([], 2), ([None], 2), ([np.inf, -np.inf, np.nan], 2), ([5, 5, 5], 4), ([1e300, -1e300], 6)],
    ids=["empty", "missing", "infinite", "constant", "huge"],
)
def test_poor_references_still_make_a_layout(reference: list[float], size: int) -> None:
    layout = NumericLayout.from_reference(reference)

    assert layout.size == size
    assert layout.fold([*reference, 7.0, np.inf, -np.inf, 1e300, None]).sum() == len(reference) + 5


def test_infinities_fall_into_the_outer_cells() -> None:
    assert NumericLayout((0.0,)).fold([-np.inf, np.inf]).tolist() == [1, 1, 0]


def test_text_in_a_numeric_stream_is_missing_even_if_it_looks_like_a_number() -> None:
    assert NumericLayout((0.0,)).fold(["5", "n/a", 5, [1]]).tolist() == [0, 1, 3]


@pytest.mark.parametrize("edges", [(1.0, 1.0), (2.0, 1.0), (0.0, np.nan), (np.inf,)])
def test_edges_must_be_finite_and_increasing(edges: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="finite and increasing"):
        NumericLayout(edges)


def test_quantiles_are_the_upper_edges_of_their_cells() -> None:
    layout = NumericLayout.from_reference(np.arange(100.0))
    counts = layout.fold(np.arange(100.0))

    assert layout.quantile(counts, 0.5) == 49.0
    assert layout.quantile(counts, 0.99) == 98.0
    assert np.isnan(layout.quantile(np.zeros_like(counts), 0.5))


def test_a_share_above_a_threshold_is_exact() -> None:
    values = np.random.default_rng(1).lognormal(4, 1, 5_000)
    layout = PositiveLayout(thresholds=(100.0, 33.3))
    counts = layout.fold(values)

    assert layout.above(counts, 100.0) == (values > 100).sum()
    assert layout.above(counts, 33.3) == (values > 33.3).sum()
    assert abs(layout.quantile(counts, 0.99) / np.quantile(values, 0.99) - 1) < 0.011


def test_zero_and_negative_latencies_fall_into_the_first_cell() -> None:
    assert PositiveLayout().fold([0.0, -3.0, 1e-9])[0] == 3


@pytest.mark.parametrize(
    "options",
    [{"low": 0.0}, {"low": 5.0, "high": 1.0}, {"relative": 0.0}, {"relative": 1e-6}],
)
def test_bounds_that_make_no_or_too_many_cells_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"positive layout|too many"):
        PositiveLayout(**options)  # type: ignore[arg-type]
