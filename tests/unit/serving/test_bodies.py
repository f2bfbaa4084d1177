"""A wrong body is answered with what is wrong and where."""

import json
from typing import Any

import pytest

from driftd.serving.bodies import BodyError, decode_body, describe

ROW = {"temp": 39.0, "carrier": "UA", "visib": None}


def said(body: Any, *, event_clock: bool = False) -> str:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(BodyError) as caught:
        decode_body(raw, 1000.0, event_clock=event_clock)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "truncated"),
        (b"[1]", "the body: expected `object`, got `array`"),
        ({}, "instances"),
        ({"instances": []}, "instances: at least one"),
        ({"instances": [ROW, 3]}, "instances[1]"),
        ({"instances": [ROW, {"a": [1]}]}, "instances[1]"),
        ({"instances": [{}]}, "instances[0]: it has no features"),
        ({"instances": [ROW], "ids": ["a", "b"]}, "ids: 2 for 1 instances"),
        ({"instances": [ROW, ROW], "ids": ["a", "a"]}, "'a' stands there twice"),
        ({"instances": [ROW], "ids": [""]}, "ids[0]: it is empty"),
        ({"instances": [ROW], "subject": 4}, "subject: expected `str | null`"),
        ({"instances": [ROW], "instanses": []}, "instanses"),
        ({"instances": [ROW] * 10_001}, "10001 are more than 10000"),
    ],
)
def test_a_wrong_body_is_told_where(body: Any, message: str) -> None:
    assert message in said(body)


def test_the_callers_time_counts_only_under_the_clock_of_events() -> None:
    raw = json.dumps({"instances": [ROW], "ts": 5.0}).encode()

    assert decode_body(raw, 1000.0, event_clock=False).ts == 1000.0
    assert decode_body(raw, 1000.0, event_clock=True).ts == 5.0
    assert "ts: it is needed" in said({"instances": [ROW]}, event_clock=True)
    assert "milliseconds" in said({"instances": [ROW], "ts": 1.4e12}, event_clock=True)


def test_ids_are_made_up_in_order_of_time_and_flags_become_numbers() -> None:
    raw = json.dumps({"instances": [{"is_late": True, "n": 3}, ROW]}).encode()

    call = decode_body(raw, 1000.0, event_clock=False)
    later = decode_body(raw, 2000.0, event_clock=False)

    assert len({*call.ids, *later.ids}) == 4
    assert max(call.ids) < min(later.ids)
    assert call.rows[0] == {"is_late": 1.0, "n": 3.0}


def test_a_subject_is_the_unit_of_the_draw_and_without_one_each_instance_is() -> None:
    raw = {"instances": [ROW, ROW], "ids": ["a", "b"]}

    alone = decode_body(json.dumps(raw).encode(), 0.0, event_clock=False)
    grouped = decode_body(json.dumps(raw | {"subject": "s"}).encode(), 0.0, event_clock=False)

    assert [alone.unit(0), alone.unit(1)] == ["a", "b"]
    assert [grouped.unit(0), grouped.unit(1)] == ["s", "s"]


def test_the_description_names_every_field() -> None:
    assert {"instances", "ids", "subject", "ts", "segment"} <= set(
        json.dumps(describe()).replace('"', " ").split()
    )
