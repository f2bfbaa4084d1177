"""The flights as they are, read from the installed package: what the demo's claims rest on."""

from pathlib import Path

import pandas as pd
import pytest

from driftd.demo.flights import (
    CHAMPION_FROM,
    FEATURES,
    STREAM_FROM,
    day,
    load_flights,
    shuffled_labels,
)


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return load_flights(tmp_path_factory.mktemp("flights") / "flights.feather")


def test_every_flight_of_the_year_is_there_once(flights: pd.DataFrame) -> None:
    assert len(flights) == 336_776
    assert flights["id"].is_unique
    assert int(flights["late"].isna().sum()) == 9_430
    assert round(float(flights["late"].mean()), 3) == 0.237


def test_they_come_in_the_order_in_which_they_are_asked_about(flights: pd.DataFrame) -> None:
    assert flights["hour_ts"].is_monotonic_increasing
    hours = flights.groupby("subject")["hour_ts"].nunique()
    assert int(hours.max()) == 1, "a subject is one airport and hour"


def test_a_label_comes_after_its_question_and_mostly_within_hours(flights: pd.DataFrame) -> None:
    lag_h = ((flights["label_ts"] - flights["hour_ts"]) / 3_600).dropna()

    assert float(lag_h.min()) > 0
    assert 2.5 < float(lag_h.median()) < 3.5
    assert float(lag_h.max()) < 36, "the policy waits 36 h for labels"


def test_the_last_day_has_no_weather(flights: pd.DataFrame) -> None:
    dates = flights["hour_ts"].map(day)

    assert flights.loc[dates == "2013-12-31", "temp"].isna().mean() > 0.7
    assert flights["wind_gust"].isna().mean() == pytest.approx(0.761, abs=0.001)


def test_january_trains_the_first_champion(flights: pd.DataFrame) -> None:
    january = flights[flights["hour_ts"].between(CHAMPION_FROM, STREAM_FROM, inclusive="left")]

    assert 23_000 < len(january) < 25_000
    assert set(FEATURES) <= set(january.columns)


def test_the_cache_gives_the_same_flights(tmp_path: Path, flights: pd.DataFrame) -> None:
    cache = tmp_path / "flights.feather"
    flights.to_feather(cache)

    pd.testing.assert_frame_equal(load_flights(cache), flights)


def test_shuffled_labels_keep_their_share_and_their_arrival(flights: pd.DataFrame) -> None:
    shuffled = shuffled_labels(flights, seed=3)
    known = flights["late"].notna()

    assert float(shuffled["late"].mean()) == float(flights["late"].mean())
    assert (shuffled["late"].notna() == known).all()
    assert shuffled["label_ts"].equals(flights["label_ts"])
    same = (shuffled["late"] == flights["late"])[known].mean()
    # Two independent draws of a share p agree with probability p² + (1 - p)².
    assert float(same) == pytest.approx(0.237**2 + 0.763**2, abs=0.01)
    assert shuffled["late"].equals(shuffled_labels(flights, seed=3)["late"])
