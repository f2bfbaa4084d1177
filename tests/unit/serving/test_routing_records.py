"""What stands on the traffic topic is taken only when it makes sense."""

from typing import Any

import msgspec
import pytest

from agents.commands import Route, Routing, Shadow
from driftd.serving.traffic import RoutingError, decode_routing

GOOD: dict[str, Any] = {
    "model": "churn",
    "epoch": 3,
    "routes": [
        {"version": "1", "variant": "champion", "weight": 0.9},
        {"version": "2", "variant": "challenger", "weight": 0.1},
    ],
    "shadows": [{"version": "2", "share": 1.0}],
    "loaded": ["1", "2"],
    "barred": ["0"],
}


def route(**changed: Any) -> list[dict[str, Any]]:
    return [{"version": "1", "variant": "champion", "weight": 1.0} | changed]


def test_a_routing_is_read_whole() -> None:
    assert decode_routing(msgspec.json.encode(GOOD), "churn") == Routing(
        model="churn",
        epoch=3,
        routes=(
            Route(version="1", variant="champion", weight=0.9),
            Route(version="2", variant="challenger", weight=0.1),
        ),
        shadows=(Shadow(version="2", share=1.0),),
        loaded=("1", "2"),
        barred=("0",),
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": "fraud"}, "it is for model 'fraud'"),
        ({"epoch": -1}, "below 0"),
        ({"epoch": "3"}, "Expected `int`"),
        ({"routes": []}, "there is no route"),
        ({"routes": route(weight=0.7)}, "sum to 0.7, not to 1"),
        ({"routes": route(weight=-1.0)}, "are not shares"),
        ({"routes": route(variant="shadow")}, "neither champion nor challenger"),
        ({"routes": route(version="")}, "a version has no name"),
        ({"routes": route(weight=0.5) * 2}, "a version stands twice"),
        ({"shadows": [{"version": "2", "share": 1.5}]}, "a shadow's share"),
        ({"shadows": [{"version": "2", "share": 0.5}] * 2}, "twice in the shadows"),
        ({"routes": route(), "barred": ["1"]}, "all routes are barred"),
    ],
)
def test_a_faulty_one_is_refused_with_the_reason(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(RoutingError, match=message):
        decode_routing(msgspec.json.encode(GOOD | changed), "churn")


@pytest.mark.parametrize("value", [None, b"", b"{", b"\xff", b"[]"])
def test_what_is_no_json_object_is_refused(value: bytes | None) -> None:
    with pytest.raises(RoutingError):
        decode_routing(value, "churn")
