"""Every sketch on what reality sends: huge, missing, constant, single, countless; and old bytes."""

import json
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from detectors.catalog import DISTANCES
from detectors.contract import IntArray, Layout, events
from detectors.distances.ks import KS
from detectors.profile import Profile, StreamProfile
from detectors.sketches.category import RARE_MAX, VOCABULARY_MAX, CategoryLayout
from detectors.sketches.layouts import decode_counts, encode_counts
from detectors.sketches.numeric import NumericLayout
from detectors.sketches.positive import PositiveLayout
from detectors.sketches.vector import VectorLayout

NAN = float("nan")
SEVERAL = np.random.default_rng(1)
REFERENCES: dict[str, list[Any]] = {
    "category": ["a"] * 200 + ["b"] * 100,
    "numeric": SEVERAL.normal(size=300).tolist(),
    "positive": SEVERAL.lognormal(size=300).tolist(),
    "vector": SEVERAL.normal(size=(300, 4)).tolist(),
}
LAYOUTS: dict[str, Layout] = {
    "category": CategoryLayout.from_reference(REFERENCES["category"]),
    "numeric": NumericLayout.from_reference(REFERENCES["numeric"]),
    "positive": PositiveLayout(),
    "vector": VectorLayout.from_reference(REFERENCES["vector"]),
}
NUMBERS: dict[str, list[Any]] = {
    "huge": [1e300, -1e300, 1.0],
    "missing": [None, NAN, None],
    "constant": [3.0] * 40,
    "one": [3.0],
    "none": [],
}
CASES = {
    f"{kind}-{case}": (
        layout,
        [None if v is None else [v] * 4 for v in values] if kind == "vector" else values,
    )
    for kind, layout in LAYOUTS.items()
    for case, values in NUMBERS.items()
}
each_case = pytest.mark.parametrize(("layout", "values"), CASES.values(), ids=CASES)


def normal_of(layout: Layout) -> tuple[Any, int]:
    counts = layout.fold(REFERENCES[layout.kind])
    return counts[:-1] / counts[:-1].sum(), events(layout, counts)


@each_case
def test_counts_are_whole_and_survive_their_bytes(layout: Layout, values: list[Any]) -> None:
    counts = layout.fold(values)
    present = sum(1 for value in values if value is not None and value == value)  # noqa: PLR0124
    if layout.kind == "vector":
        present = sum(1 for value in values if value is not None and value[0] == value[0])

    assert events(layout, counts) == present
    assert counts[-1] == len(values) - present
    assert counts.min(initial=0) >= 0
    assert decode_counts(encode_counts(counts)).tolist() == counts.tolist()


@each_case
def test_every_distance_of_them_is_a_number_or_a_gap(layout: Layout, values: list[Any]) -> None:
    counts = layout.fold(values)
    normal, m = normal_of(layout)
    for distance in DISTANCES.values():
        if layout.kind not in distance.kinds:
            continue
        effect = distance.measure(layout, normal, counts, m=m)
        assert np.isfinite(effect.value) == (effect.n > 0)
        assert effect.n == events(layout, counts)


@each_case
def test_a_profile_of_them_comes_back(layout: Layout, values: list[Any]) -> None:
    stream = StreamProfile(layout=layout, counts=layout.fold(values))
    before = Profile(version="1", n=len(values), since=0.0, until=1.0, streams={"s": stream})
    after = Profile.from_bytes(before.to_bytes())

    assert after.layouts == before.layouts
    assert after.streams["s"].counts.tolist() == stream.counts.tolist()
    assert after.streams["s"].n == stream.n


@pytest.mark.parametrize("kind", ["category", "numeric", "vector"])
@pytest.mark.parametrize("case", ["huge", "constant", "one"])
def test_a_layout_can_be_learned_from_them(kind: str, case: str) -> None:
    _, values = CASES[f"{kind}-{case}"]
    make: dict[str, Callable[[list[Any]], Layout]] = {
        "category": lambda v: CategoryLayout.from_reference(v, min_count=1),
        "numeric": NumericLayout.from_reference,
        "vector": VectorLayout.from_reference,
    }
    layout = make[kind](values)

    assert events(layout, layout.fold(values)) == len(values)
    assert len({layout.label(cell) for cell in range(layout.size)}) == layout.size


distinct = st.one_of(
    st.floats(-1e300, 1e300),
    st.integers(-(10**6), 10**6).map(float),
    st.sampled_from([5e-324, -5e-324, 0.0, 1e300, 1.0, np.nextafter(1.0, 2.0)]),
)


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(distinct, min_size=1, max_size=255, unique=True),
    others=st.lists(distinct, max_size=40),
    seed=st.integers(0, 2**32 - 1),
)
def test_up_to_255_distinct_values_have_a_cell_each_and_ks_is_scipys(
    values: list[float], others: list[float], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    reference = np.concatenate([values, rng.choice(values, 300)])
    current = np.concatenate([rng.choice(values, 200), others])
    layout = NumericLayout.from_reference(reference)
    counts = layout.fold(reference)
    raw = KS().measure(layout, counts[:-1] / len(reference), layout.fold(current), m=0).raw

    own = [int(np.argmax(layout.fold([value]))) for value in values]
    assert len(set(own)) == len(values)
    exact = ks_2samp(reference, current, method="asymp").statistic
    assert raw == pytest.approx(exact, abs=1e-12)


def test_255_evenly_drawn_values_are_the_limit() -> None:
    values = np.repeat(np.arange(255.0), 3)
    layout = NumericLayout.from_reference(values)

    assert [layout.fold([value]).argmax() for value in range(255)] == list(range(1, 510, 2))


def test_a_million_names_take_no_more_cells_than_a_thousand() -> None:
    names = [f"user-{i}" for i in range(1_000_000)]
    few = CategoryLayout.from_reference(names[:1_000] + ["a"] * 60)
    many = CategoryLayout.from_reference([*names, *["a"] * 60])
    counts = many.fold(names)

    assert few.size == many.size == 4
    assert len(many.rare) == RARE_MAX
    assert counts[many.unseen] == 1_000_000 - RARE_MAX
    assert len(encode_counts(counts)) < 100
    assert len(json.dumps(many.to_dict())) < 250_000
    common = CategoryLayout.from_reference(np.repeat(np.arange(2_000), 60))
    assert common.size == VOCABULARY_MAX + 3


# Written by version 0.2.0.
OLD_PROFILE = (
    "eJztVE1vwjAM/S8+hyopdIjex2G7bQcOCKFQTBstTSBJmRDaf5/TCqYC12lILJaa2rHfs52PI2ysq2WAXDDYo/PKGshhDAxo"
    "zhh4ZQqkVZ5wBo0JSkOetooPDmXtIT9C99XyYJsQ/z6UWRPK1noV1B4JLFQOfWX1mjznghPAgoG2n4QcsSpVVpGEt8gOtWzj"
    "cp5kXwwKS8QxkLMogvELSa9sYkFx1qlSmZupFTJgad2BUtvbQq4aLUnJ5/A8eyPby/QVKEEnHUbj+2wKi34ikVJ0NAHr7U0S"
    "09ToVEF4uC4xxg0yHAzTEYtl8mRyMVjsRZqM+tYnMmUX7KItumsG5UCLu0ZqFQ6RnSpO2bn5vt3alVPolr6pY0/FkPfG8Ly+"
    "O7lwPhn3fOgohG0LtaGJNimYTjOtdmJb+sI6/Nmrf/ldub4LdyJ0ewyW8i/OxN325NGFHqpvXJJrZg=="
)
OLD_COUNTS = "01050000000300000003780163646060600262462066076210281004f1a000c80400095c008f"


def test_a_profile_of_version_0_2_is_read_and_written_the_same() -> None:
    profile = Profile.from_bytes(b64decode(OLD_PROFILE))

    counts: dict[str, IntArray] = {name: one.counts for name, one in profile.streams.items()}
    assert profile.version == "7"
    assert counts["temp"].tolist() == profile.layouts["temp"].fold([0, 1, 1, 9, None]).tolist()
    assert counts["origin"].tolist() == [0, 2, 1, 1, 1]
    assert profile.layouts["ms"] == PositiveLayout((100.0,), low=1.0, high=1000.0, relative=0.5)
    assert Profile.from_bytes(profile.to_bytes()).layouts == profile.layouts
    assert profile.quality is not None
    assert decode_counts(bytes.fromhex(OLD_COUNTS)).tolist() == [0, 7, 0, 70_000, 2**40]
