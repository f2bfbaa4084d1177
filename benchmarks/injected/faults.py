"""Ten faults that real feeds have, each as a change of real rows from an onset on.

What the right answer is was written down before anything was measured, with the reason where one
could argue.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from driftd.demo.flights import WEATHER

KM_PER_MILE, MPS_PER_MPH = 1.609344, 0.44704
UTC_SHIFT_MIN, DAY_MIN, DAY_S = 240.0, 1_440.0, 86_400
FOREIGN_SHARE = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """``change`` bends the rows sent after the onset (a copy; ``rng`` is the run's own);
    ``cause``: what driftd should name; ``kind``: the kind of incident that it belongs to."""

    change: Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]
    cause: str
    kind: str
    flips_labels: bool = False
    harmless: bool = False
    """No more quality incidents may open than without the fault."""
    why: str = ""


def _metres_per_second(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    return rows.assign(wind_speed=rows["wind_speed"] * MPS_PER_MPH)


def _utc(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    return rows.assign(minute_of_day=(rows["minute_of_day"] + UTC_SHIFT_MIN) % DAY_MIN)


def _silence(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    return rows.iloc[:0]


def _renamed(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    return rows.assign(carrier=rows["carrier"].replace("EV", "XE"))


def _swapped(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    return rows.assign(wind_dir=rows["wind_speed"], wind_speed=rows["wind_dir"])


def _dew_point(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    return rows.assign(temp=rows["dewp"], dewp=rows["temp"])


def _celsius(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    return rows.assign(temp=(rows["temp"] - 32) * 5 / 9)


def _stuck(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    last = rows["pressure"].dropna().iloc[0]
    return rows.assign(pressure=float(last))


def _foreign(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A share of the rows gives way to real flights of one carrier from one airport."""
    days = (rows["hour_ts"] // DAY_S).to_numpy()
    theirs = ((rows["carrier"] == "EV") & (rows["origin"] == "EWR")).to_numpy()
    source = np.arange(len(rows))
    drawn = rng.random(len(rows)) < FOREIGN_SHARE
    for day in np.unique(days):
        pool = np.flatnonzero(theirs & (days == day))
        mine = np.flatnonzero(drawn & (days == day))
        if len(pool):
            source[mine] = rng.choice(pool, len(mine))
    mixed = rows.iloc[source].reset_index(drop=True)
    # When each was asked, under which id, and when its label came, stays as it was.
    kept = {name: rows[name].to_numpy() for name in ("id", "hour_ts", "label_ts")}
    return mixed.assign(**kept)


def _weatherless(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    return rows.assign(**dict.fromkeys(WEATHER, np.nan))


def _kilometres(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    return rows.assign(distance=rows["distance"] * KM_PER_MILE)


def _same(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    return rows


FAULTS: Mapping[str, Fault] = {
    "clock": Fault(change=_utc, cause="clock", kind="data_fault"),
    "distance in km": Fault(
        change=_kilometres,
        cause="unit",
        kind="data_fault",
        harmless=True,
        why=(
            "drift without harm: whoever is told wants to hear that the unit changed, and that "
            "quality did not suffer; so no quality incident may open beside it"
        ),
    ),
    "label flip": Fault(change=_same, cause="flipped_labels", kind="data_fault", flips_labels=True),
    "missing upstream": Fault(change=_weatherless, cause="missing_upstream", kind="data_fault"),
    "mixture": Fault(
        change=_foreign,
        cause="mixture",
        kind="input_drift",
        why="the values are right and there are other ones among them: the world, no fault",
    ),
    "new category": Fault(change=_renamed, cause="new_category", kind="data_fault"),
    "outage": Fault(change=_silence, cause="outage", kind="data_fault"),
    "stuck value": Fault(change=_stuck, cause="stuck", kind="data_fault"),
    "swapped columns": Fault(change=_swapped, cause="swapped", kind="data_fault"),
    "unit": Fault(change=_metres_per_second, cause="unit", kind="data_fault"),
}
"""Fault -> what is done; the names are those of the table in docs/incidents.md."""
HARD: Mapping[str, Fault] = {
    "dew point for temperature": Fault(
        change=_dew_point,
        cause="swapped",
        kind="data_fault",
        why="two that look alike, in a season that moves both",
    ),
    "temperature in Celsius": Fault(
        change=_celsius,
        cause="unit",
        kind="data_fault",
        why="most values fall below all that training saw, where nobody can tell them apart",
    ),
}
"""Shown beside, and not counted: what histograms of training's range can hardly tell."""
CONTROL = Fault(change=_same, cause="", kind="")
