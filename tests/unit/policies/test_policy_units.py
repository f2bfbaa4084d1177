"""Texts with units: what they mean, what they may not say, and the way back."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import units
from policies.specs import Amount

REFUSED: dict[str, tuple[Callable[[Any], object], Any, str]] = {
    "a duration without a unit": (
        units.parse_duration,
        60,
        "60 has no unit; write 60s, 60m, 60h or 60d",
    ),
    "a duration below nothing": (
        units.parse_duration,
        "-5m",
        "-5m is negative; a duration is not",
    ),
    "a duration of an unknown unit": (
        units.parse_duration,
        "5 min",
        "must be a duration such as 10m, 6h or 30d; '5 min' is not",
    ),
    "a duration in the wrong order": (
        units.parse_duration,
        "30m1h",
        "must be a duration such as 10m, 6h or 30d; '30m1h' is not",
    ),
    "no duration at all": (
        units.parse_duration,
        "",
        "must be a duration such as 10m, 6h or 30d; '' is not",
    ),
    "true is no duration": (
        units.parse_duration,
        True,
        "must be a duration such as 10m, 6h or 30d; true is not",
    ),
    "a share of more than all": (
        units.parse_share,
        "101%",
        "101% is more than everything; a share lies between 0% and 100%",
    ),
    "a share of less than nothing": (
        units.parse_share,
        "-1%",
        "-1% is negative; a share lies between 0% and 100%",
    ),
    "a ratio in percent": (
        units.parse_ratio,
        "120%",
        "must be a ratio such as 1.2x; '120%' is not",
    ),
    "a size in decimal units": (
        units.parse_size,
        "1MB",
        "must be a size such as 512KiB, 1MiB or 4GiB; '1MB' is not",
    ),
    "a rate without a span": (
        units.parse_rate,
        "3",
        "must be a number of times in a span, such as 3 per 7d; '3' is not",
    ),
    "a rate in no time": (
        units.parse_rate,
        "3 per 0d",
        "3 per 0d: the span must be longer than nothing",
    ),
    "an amount of something": (
        units.parse_amount,
        "5 %",
        "must be a number, alone or with a unit: 0.2, 5%, 1pp, 1.2x, 100ms; '5 %' is not",
    ),
    "an amount that is a list": (
        units.parse_amount,
        [5],
        "must be a number, alone or with a unit: 0.2, 5%, 1pp, 1.2x, 100ms; a list is not",
    ),
}


@pytest.mark.parametrize(("parse", "value", "message"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_meaning_is_refused_with_what_to_write(
    parse: Callable[[Any], object], value: Any, message: str
) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole message is compared
        parse(value)

    assert str(raised.value) == message


@given(st.integers(min_value=0, max_value=10**12))
def test_a_written_duration_is_read_as_the_same_number_of_milliseconds(milliseconds: int) -> None:
    text = units.duration_text(milliseconds / 1000)

    assert round(units.parse_duration(text) * 1000) == milliseconds


@given(
    st.integers(min_value=-999_999, max_value=999_999), st.sampled_from(["", "%", "pp", "ms", "s"])
)
def test_a_written_amount_is_read_as_the_same(value: int, unit: Any) -> None:
    amount = Amount(value=value / 10, unit=unit)

    assert units.parse_amount(units.amount_text(amount)) == amount


def test_a_long_value_is_cut_in_a_message() -> None:
    assert units.said("x" * 1_000) == "'" + "x" * 56 + "..."
