"""A clock feature is known by its name and its reference, also once a later version is counted."""

import numpy as np

from agents.watching.why.clock import clock_period
from detectors.profile import Profile, StreamProfile
from detectors.sketches.numeric import NumericLayout


def profile(layout: NumericLayout, values: np.ndarray) -> Profile:
    """A reference of one feature on given edges."""
    stream = StreamProfile(layout=layout, counts=layout.fold(values))
    return Profile(
        version="2",
        n=len(values),
        since=0.0,
        until=1.0,
        streams={"minute_of_day": stream, "distance": stream},
        quality=None,
    )


JANUARY = np.random.default_rng(1).integers(300, 1_380, 20_000).astype(float)
LAYOUT = NumericLayout.from_reference(JANUARY)


def test_minutes_that_fill_the_day_are_a_clock() -> None:
    assert clock_period("minute_of_day", profile(LAYOUT, JANUARY)) == 1_440


def test_the_same_values_under_another_name_are_none() -> None:
    assert clock_period("distance", profile(LAYOUT, JANUARY)) is None


def test_a_later_version_with_a_longer_day_is_still_a_clock() -> None:
    summer = np.concatenate([JANUARY, np.full(500, 1_439.0), np.full(500, 5.0)])

    assert clock_period("minute_of_day", profile(LAYOUT, summer)) == 1_440
