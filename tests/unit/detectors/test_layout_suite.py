"""What every layout promises, asked of each of them."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.contract import Layout
from detectors.sketches.category import CategoryLayout
from detectors.sketches.layouts import decode_counts, encode_counts, layout_from_dict
from detectors.sketches.numeric import NumericLayout
from detectors.sketches.positive import PositiveLayout

LAYOUTS: dict[str, Layout] = {
    "atoms": NumericLayout.from_reference([0.0, 1.0, 1.0, 7.5]),
    "quantiles": NumericLayout.from_reference(np.random.default_rng(1).normal(size=2_000)),
    "nothing": NumericLayout.from_reference([None, float("nan")]),
    "positive": PositiveLayout(thresholds=(100.0, 0.5)),
    "names": CategoryLayout(("1", "EWR", "inf"), rare=("SWF", "0")),
    "no names": CategoryLayout(()),
}
each_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
quick = settings(deadline=None, max_examples=60)

wild = st.one_of(
    st.none(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([1e300, -1e300, 5e-324, -0.0, 0, 1, True, False, 10**400, -(10**400)]),
    st.sampled_from(["EWR", "1", "1.0", "", "é" * 400, "missing"]),
)


@each_layout
@quick
@given(parts=st.lists(st.lists(wild, max_size=20), max_size=6), order=st.randoms())
def test_parts_merged_in_any_order_equal_one_fold(
    layout: Layout, parts: list[list[Any]], order: Any
) -> None:
    at_once = layout.fold([value for part in parts for value in part])
    order.shuffle(parts)
    merged = sum((layout.fold(part) for part in parts), np.zeros(layout.size, np.int64))

    assert merged.tolist() == at_once.tolist()


@each_layout
@quick
@given(values=st.lists(wild, max_size=40))
def test_every_value_lies_in_exactly_one_cell(layout: Layout, values: list[Any]) -> None:
    counts = layout.fold(values)

    assert counts.shape == (layout.size,)
    assert counts.dtype == np.int64
    assert counts.sum() == len(values)
    assert counts.min() >= 0


@each_layout
def test_none_and_nan_are_missing_and_missing_is_last(layout: Layout) -> None:
    counts = layout.fold([None, float("nan"), np.nan])

    assert counts[-1] == counts.sum() == 3
    assert layout.label(layout.size - 1) == "missing"


@each_layout
def test_survives_json_and_counts_the_same(layout: Layout) -> None:
    values = [None, 0.3, 1, 100.0, 100.0001, 7.5, -2, "EWR", "SWF", "nowhere", 1e300]
    again = layout_from_dict(json.loads(json.dumps(layout.to_dict())))

    assert again == layout
    assert again.fold(values).tolist() == layout.fold(values).tolist()


@each_layout
def test_every_cell_has_a_name_of_its_own(layout: Layout) -> None:
    labels = [layout.label(cell) for cell in range(layout.size)]

    assert len(set(labels)) == layout.size
    with pytest.raises(IndexError):
        layout.label(layout.size)


@each_layout
def test_an_array_and_a_list_count_alike_however_long(layout: Layout) -> None:
    values = np.random.default_rng(2).normal(1, 50, 3_000)
    values[::17] = np.nan
    whole = layout.fold(values)

    assert whole.tolist() == layout.fold(values.tolist()).tolist()
    parts = [layout.fold(part) for part in np.array_split(values, 30)]
    assert whole.tolist() == np.sum(parts, axis=0).tolist()


@quick
@given(
    counts=st.lists(st.one_of(st.just(0), st.integers(0, 2**62)), max_size=200),
)
def test_counts_survive_their_bytes(counts: list[int]) -> None:
    row = np.array(counts, np.int64)

    assert decode_counts(encode_counts(row)).tolist() == counts


@quick
@given(data=st.binary(max_size=60), cut=st.integers(0, 60))
def test_damaged_bytes_are_an_error_and_never_counts(data: bytes, cut: int) -> None:
    whole = encode_counts(np.arange(30))
    for damaged in (data, whole[: min(cut, len(whole) - 1)], whole[:9] + data):
        with pytest.raises(ValueError, match="counts"):
            decode_counts(damaged)


def test_sparse_counts_are_small() -> None:
    counts = np.zeros(2_087, np.int64)
    counts[800:840] = 3

    assert len(encode_counts(counts)) < 120


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="from 0 up"):
        encode_counts(np.array([1, -1]))


def test_a_kind_that_is_not_on_the_shelf_is_named() -> None:
    with pytest.raises(ValueError, match=r"'graph'.*category.*numeric.*positive.*vector"):
        layout_from_dict({"kind": "graph"})
