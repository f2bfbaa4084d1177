"""A unit that changed is told from a world that moved: by the values that a feature can have."""

import numpy as np
import pytest

from agents.watching.streams import DistanceStream
from agents.watching.why.contract import Moved, Scene
from agents.watching.why.unit import unit
from detectors.catalog import DISTANCES
from detectors.contract import FloatArray
from detectors.jump import Jump
from detectors.sketches.numeric import NumericLayout

KNOT = 1.150779
RNG = np.random.default_rng(11)
# Wind is reported in whole knots and stored in miles per hour: some thirty values.
WIND = RNG.gamma(4, 3, 20_000).round() * KNOT
CALM = RNG.gamma(4, 1.55, 5_000).round() * KNOT


def causes(name: str, before: FloatArray, now: FloatArray) -> list[str]:
    """What the shelf's unit cause says of a feature whose values were ``before`` and are ``now``."""
    layout = NumericLayout.from_reference(before)
    normal = layout.fold(before)[:-1] / len(before)
    counts = layout.fold(now)
    effect = DISTANCES["ks"].measure(layout, normal, counts, m=len(before)).value
    moved = Moved(
        stream=DistanceStream(name=name, distance="ks", tolerance=0.1, layout=layout),
        normal=normal,
        m=len(before),
        counts=counts,
        effect=effect,
        allowed=0.1,
        jump=Jump(panes=5, before=0.0, after=effect),
        evidence=1.0,
        since=0.0,
        varies=True,
    )
    scene = Scene(asked=frozenset({name}), moved={name: moved}, shares={}, profile=None)
    return [found.cause for found in unit(scene)]


def test_another_unit_has_other_values() -> None:
    told = causes("wind_speed", WIND, RNG.gamma(4, 3, 5_000).round() * KNOT * 0.44704)
    assert len(told) == 1
    assert "metres per second for miles per hour" in told[0]


def test_less_wind_in_the_same_whole_knots_is_weather() -> None:
    assert causes("wind_speed", WIND, CALM) == []


@pytest.mark.parametrize("scale", [0.6214, 1.609344, 3.6])
def test_a_price_is_in_no_unit_of_length(scale: float) -> None:
    price = RNG.lognormal(3, 0.4, 20_000)
    assert causes("nswprice", price, RNG.lognormal(3, 0.4, 5_000) * scale) == []


def test_cents_for_units_need_no_hint() -> None:
    price = RNG.lognormal(3, 1.5, 20_000)
    told = causes("nswprice", price, RNG.lognormal(3, 1.5, 5_000) * 0.1)
    assert len(told) == 1
    assert "units for tenths" in told[0]
