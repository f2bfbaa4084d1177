"""What an arm did survives storage, and counts of two layouts are never mixed."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.codec import CodecError, decode_arm, encode_arm, layout_marks, merge_arms
from agents.events import ArmCounts
from detectors.contract import Layout
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout

counts = st.lists(st.integers(0, 2**40), min_size=1, max_size=40).map(
    lambda cells: np.array(cells, np.int64)
)
arms = st.builds(
    ArmCounts,
    n=st.integers(0, 2**40),
    errors=st.integers(0, 2**40),
    counts=st.dictionaries(st.text(max_size=8), counts, max_size=5),
)


def same(a: ArmCounts, b: ArmCounts) -> bool:
    return (a.n, a.errors, a.counts.keys()) == (b.n, b.errors, b.counts.keys()) and all(
        np.array_equal(a.counts[name], b.counts[name]) for name in a.counts
    )


@given(arms)
def test_what_is_encoded_comes_back(arm: ArmCounts) -> None:
    assert same(decode_arm(encode_arm(arm)), arm)


@given(arms, arms)
def test_merging_adds_and_does_not_care_for_order(a: ArmCounts, b: ArmCounts) -> None:
    both = merge_arms(a, b)

    assert same(both, merge_arms(b, a))
    assert (both.n, both.errors) == (a.n + b.n, a.errors + b.errors)
    for name in a.counts.keys() & b.counts.keys():
        if len(a.counts[name]) == len(b.counts[name]):
            assert np.array_equal(both.counts[name], a.counts[name] + b.counts[name])
        else:
            assert name not in both.counts


def test_streams_of_another_layout_are_left_out_even_at_equal_size() -> None:
    old: dict[str, Layout] = {"temp": NumericLayout((1.0, 2.0)), "carrier": CategoryLayout(("UA",))}
    new: dict[str, Layout] = {**old, "temp": NumericLayout((1.0, 3.0))}
    cells = np.array([1, 2, 3, 4])
    arm = ArmCounts(n=10, counts={"temp": cells, "carrier": cells})
    blob = encode_arm(arm, layout_marks(old))

    assert decode_arm(blob, layout_marks(old)).counts.keys() == {"temp", "carrier"}
    assert decode_arm(blob, layout_marks(new)).counts.keys() == {"carrier"}
    assert decode_arm(blob).counts.keys() == {"temp", "carrier"}
    assert decode_arm(encode_arm(arm), layout_marks(new)).counts.keys() == {"temp", "carrier"}


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xff", id="garbage"),
        pytest.param(encode_arm(ArmCounts(n=1, counts={"a": np.ones(9, int)}))[:-3], id="cut off"),
        pytest.param(msgspec.msgpack.encode([2, 0, 0, {}]), id="a later format"),
        pytest.param(msgspec.msgpack.encode([1, 0, 0, {"a": [0, b"xx"]}]), id="damaged counts"),
    ],
)
def test_bytes_that_cannot_be_read_are_refused_by_name(blob: bytes) -> None:
    with pytest.raises(CodecError):
        decode_arm(blob)


def test_an_old_reader_skips_what_a_later_version_adds_at_the_end() -> None:
    assert decode_arm(msgspec.msgpack.encode([1, 3, 1, {}, "new"])).n == 3
