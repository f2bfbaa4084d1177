"""Vectors are summed as integers: exact in any grouping, whatever stands among them."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.contract import events
from detectors.sketches.layouts import decode_counts, encode_counts, layout_from_dict
from detectors.sketches.vector import STEPS, VectorLayout, _frequencies

RNG = np.random.default_rng(4)
REFERENCE = RNG.normal(size=(600, 5))
LAYOUT = VectorLayout.from_reference(REFERENCE)

coordinate = st.one_of(
    st.floats(-3, 3), st.sampled_from([1e300, -1e300, 5e-324, 0, 7, True, float("inf"), np.nan])
)
wild = st.one_of(
    st.lists(coordinate, min_size=5, max_size=5),
    st.sampled_from([None, 3.0, "text", [], [1.0] * 4, ["1"] * 5, [[1.0] * 5] * 5, [None] * 5]),
    st.sampled_from([np.ones(5), np.ones(4), np.ones((5, 5)), (1, 2, 3, 4, 5), [10**400] * 5]),
)
quick = settings(deadline=None, max_examples=60)


def arrays(n: int, dimension: int = 5) -> Any:
    return np.random.default_rng(9).normal(size=(n, dimension))


@quick
@given(parts=st.lists(st.lists(wild, max_size=8), max_size=5), order=st.randoms())
def test_any_vectors_in_any_order_and_grouping_give_the_same_bits(
    parts: list[list[Any]], order: Any
) -> None:
    at_once = LAYOUT.fold([value for part in parts for value in part])
    for part in parts:
        order.shuffle(part)
    order.shuffle(parts)
    merged = sum((LAYOUT.fold(part) for part in parts), np.zeros(LAYOUT.size, np.int64))

    assert merged.tolist() == at_once.tolist()
    assert events(LAYOUT, at_once) + at_once[-1] == sum(map(len, parts))
    assert at_once.min() >= 0


@pytest.mark.parametrize("dimension", [1, 3, 64, 384])
def test_thousands_of_vectors_give_the_same_bits_in_any_grouping(dimension: int) -> None:
    vectors = arrays(2_500, dimension).astype(np.float32)
    layout = VectorLayout.from_reference(vectors)
    rng = np.random.default_rng(dimension)
    mixed = vectors[rng.permutation(len(vectors))]
    parts = np.split(mixed, np.sort(rng.integers(0, len(vectors), 9)))

    merged = np.sum([layout.fold(part) for part in parts], axis=0)

    assert merged.tolist() == layout.fold(vectors).tolist()
    assert merged.tolist() == layout.fold(vectors.tolist()).tolist()
    assert merged.tolist() == layout.fold(vectors.astype(np.float64)).tolist()


def test_what_is_no_vector_is_missing_and_the_rest_counts() -> None:
    good = [0.5, 1, True, -2.0, 1e300]
    bad = [None, 3.0, "abcde", [1.0] * 4, ["1"] * 5, [1, 2, 3, 4, None], [np.nan] * 5, [[1.0] * 5]]
    counts = LAYOUT.fold([good, *bad, good])

    assert events(LAYOUT, counts) == 2
    assert counts[-1] == len(bad)
    assert LAYOUT.fold(np.ones((7, 4)))[-1] == 7
    assert LAYOUT.fold(np.array([["1"] * 5]))[-1] == 1


def test_means_are_those_of_the_vectors() -> None:
    vectors = arrays(4_000) + np.arange(5)
    layout = VectorLayout.from_reference(vectors)
    counts = layout.fold(vectors)
    shares = counts[:-1] / counts[:-1].sum()

    assert layout.mean_vector(shares) == pytest.approx(vectors.mean(axis=0), abs=1e-3)
    features = layout.features(vectors).mean(axis=0)
    assert layout.mean_features(shares) == pytest.approx(features, abs=1e-5)


def test_features_have_length_one_and_their_products_are_the_kernel() -> None:
    vectors = arrays(50)
    phi = LAYOUT.features(vectors)
    distances = ((vectors[:, None] - vectors) ** 2).sum(axis=2)
    kernel = np.exp(-distances / (2 * LAYOUT.bandwidth**2))

    assert np.linalg.norm(phi, axis=1) == pytest.approx(1.0)
    assert np.abs(phi @ phi.T - kernel).max() < 0.2
    assert np.abs(phi @ phi.T - kernel).mean() < 0.03


def test_far_values_are_told_from_near_ones_and_never_break() -> None:
    near, far = LAYOUT.fold(REFERENCE), LAYOUT.fold(REFERENCE * 1e300)
    apart = LAYOUT.mean_features(near[:-1] / near[:-1].sum()) - LAYOUT.mean_features(
        far[:-1] / far[:-1].sum()
    )

    assert events(LAYOUT, far) == len(REFERENCE)
    assert np.linalg.norm(apart) > 0.5


@pytest.mark.parametrize(
    "reference",
    [np.ones((10, 3)), np.zeros((10, 3)), np.ones((1, 3)), [[1.0, 2.0]] * 9 + [[1.0, 3.0]]],
    ids=["constant", "zeros", "one", "nearly constant"],
)
def test_a_reference_without_spread_makes_a_layout_that_works(reference: Any) -> None:
    layout = VectorLayout.from_reference(reference)
    counts = layout.fold(reference)

    assert events(layout, counts) == len(reference)
    assert np.isfinite([layout.bandwidth, layout.reach, *layout.moments]).all()


@pytest.mark.parametrize("values", [[], [None, None], [[]], [["a", "b"]], [[np.nan, 1.0]], ["ab"]])
def test_nothing_to_learn_from_is_an_error(values: list[Any]) -> None:
    with pytest.raises(ValueError, match="no vector"):
        VectorLayout.from_reference(values)


def test_the_commonest_length_is_the_dimension() -> None:
    assert VectorLayout.from_reference([[1.0, 2.0], [3.0, 4.0], [1.0]]).dimension == 2


@pytest.mark.parametrize("change", [{"dimension": 0}, {"bandwidth": 0.0}, {"reach": float("inf")}])
def test_what_is_no_kernel_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="positive"):
        layout_from_dict({**LAYOUT.to_dict(), **change})


def test_the_layout_is_small_and_comes_back_the_same() -> None:
    layout = VectorLayout.from_reference(arrays(300, 4_096))
    text = json.dumps(layout.to_dict())
    again = layout_from_dict(json.loads(text))
    vectors = arrays(40, 4_096)

    assert len(text) < 400
    assert again == layout
    assert again.fold(vectors).tolist() == layout.fold(vectors).tolist()


def test_counts_survive_their_bytes_and_are_small() -> None:
    layout = VectorLayout.from_reference(arrays(500, 384))
    counts = layout.fold(arrays(10_000, 384))
    data = encode_counts(counts)

    assert decode_counts(data).tolist() == counts.tolist()
    assert len(data) < 6_000


def test_every_cell_has_a_name_of_its_own() -> None:
    labels = [LAYOUT.label(cell) for cell in range(LAYOUT.size)]

    assert len(set(labels)) == LAYOUT.size
    assert labels[-3:] == ["coordinate 4", "rest", "missing"]
    assert (labels[0], labels[512]) == ("cos 0", "sin 0")
    with pytest.raises(IndexError):
        LAYOUT.label(LAYOUT.size)


def test_the_product_may_come_from_elsewhere_in_blocks_of_its_own() -> None:
    shapes = []

    def elsewhere(a: Any, b: Any) -> Any:
        shapes.append(a.shape)
        return np.asarray(a.astype(np.float64) @ b.astype(np.float64), np.float32)

    plain = LAYOUT
    other = VectorLayout(
        plain.dimension, plain.bandwidth, plain.reach, matmul=elsewhere, block=2_048
    )
    vectors = arrays(3_000)
    difference = other.fold(vectors) - plain.fold(vectors)

    assert shapes == [(2_048, 5)] * 2
    assert np.abs(difference[:-2]).max() <= 5
    assert events(other, other.fold(vectors)) == 3_000
    assert STEPS * 4_096 <= 2**24


def test_the_seed_means_the_same_frequencies_in_every_release() -> None:
    drawn = _frequencies(0, 2, 3, 2.0)

    assert drawn.ravel().tolist() == pytest.approx(
        [0.17517460, -0.30672908, -0.86974943, -1.06570566, 0.44500592, 0.67896038], rel=1e-6
    )
    assert _frequencies(1, 2, 3, 2.0)[0, 0] != drawn[0, 0]
