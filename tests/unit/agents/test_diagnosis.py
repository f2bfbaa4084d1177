"""A unit that changed is named for a feature, and never for what the model itself answers."""

import numpy as np

from agents.watching.diagnosis import diagnose
from agents.watching.streams import DistanceStream
from detectors.sketches.numeric import NumericLayout

MILES = np.random.default_rng(1).gamma(4.0, 200.0, 20_000)
LAYOUT = NumericLayout.from_reference(MILES)
ABRUPT = [0.0] * 6 + [0.3] * 4


def named(stream: str) -> str | None:
    """What is said of a stream that was in miles and comes in kilometres."""
    normal = LAYOUT.fold(MILES)[:-1] / len(MILES)
    moved = DistanceStream(name=stream, distance="ks", tolerance=0.1, layout=LAYOUT)
    return diagnose(moved, None, normal, LAYOUT.fold(MILES[:5_000] * 1.609344), ABRUPT)


def test_kilometres_for_miles_are_a_data_fault() -> None:
    told = named("distance")

    assert told is not None
    assert "distance is multiplied by 1.6" in told


def test_a_score_has_no_unit() -> None:
    assert named("@score") is None
