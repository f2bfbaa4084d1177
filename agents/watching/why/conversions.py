"""What people measure in, and what a number becomes when its unit changes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """x becomes ``scale`` x + ``offset``; ``what`` says it in words. ``of``: the dimension, "" for a
    plain number that may stand for anything."""

    scale: float
    offset: float = 0.0
    what: str
    of: str = ""


# What a feature is called when it is measured in such a unit.
HINTS: Mapping[str, re.Pattern[str]] = {
    "duration": re.compile(r"time|dur|delay|latenc|second|minute|hour|age|wait|elapsed"),
    "length": re.compile(r"dist|length|width|height|depth|alti|elev|visib|mile|metre|meter|precip"),
    "mass": re.compile(r"weight|mass|kilo|pound|load"),
    "pressure": re.compile(r"press|baro"),
    "size": re.compile(r"byte|size|mem|disk|payload"),
    "speed": re.compile(r"speed|veloc|wind|gust|knot|mph"),
    "temperature": re.compile(r"temp|dew|heat|celsius|fahrenheit|kelvin"),
    "volume": re.compile(r"volume|litre|liter|gallon|fuel|tank"),
}

# (dimension, factor, what it is then, what it was)
_FACTORS = (
    ("length", 0.3048, "metres", "feet"),
    ("length", 1.609344, "kilometres", "miles"),
    ("length", 1.852, "kilometres", "nautical miles"),
    ("length", 2.54, "centimetres", "inches"),
    ("length", 25.4, "millimetres", "inches"),
    ("mass", 0.45359237, "kilograms", "pounds"),
    ("speed", 0.44704, "metres per second", "miles per hour"),
    ("speed", 0.514444, "metres per second", "knots"),
    ("speed", 1.150779, "miles per hour", "knots"),
    ("speed", 1.609344, "kilometres per hour", "miles per hour"),
    ("speed", 1.852, "kilometres per hour", "knots"),
    ("speed", 3.6, "kilometres per hour", "metres per second"),
    ("volume", 3.785412, "litres", "gallons"),
    ("pressure", 33.8639, "hectopascals", "inches of mercury"),
    ("pressure", 0.750062, "millimetres of mercury", "hectopascals"),
    ("duration", 24.0, "hours", "days"),
    ("duration", 60.0, "minutes for hours, or seconds", "minutes"),
    ("duration", 3_600.0, "seconds", "hours"),
    ("size", 1_024.0, "bytes", "KiB"),
    ("", 10.0, "tenths", "units"),
    ("", 100.0, "percent for shares, or cents", "units"),
    ("", 1_000.0, "thousandths", "units"),
    ("", 1_000_000.0, "millionths", "units"),
)
_DEGREES = (
    Conversion(scale=5 / 9, offset=-160 / 9, what="degrees Celsius for Fahrenheit", of="temperature"),
    Conversion(scale=1.8, offset=32.0, what="degrees Fahrenheit for Celsius", of="temperature"),
    Conversion(scale=1.0, offset=273.15, what="kelvins for degrees Celsius", of="temperature"),
    Conversion(scale=1.0, offset=-273.15, what="degrees Celsius for kelvins", of="temperature"),
)  # fmt: skip


def conversions() -> Iterator[Conversion]:
    """Every conversion, there and back."""
    for of, scale, now, before in _FACTORS:
        yield Conversion(scale=scale, what=f"{now} for {before}", of=of)
        yield Conversion(scale=1 / scale, what=f"{before} for {now}", of=of)
    yield from _DEGREES


def dimension(name: str) -> str:
    """What a feature of this name is measured in; "" where its name says nothing.

    >>> dimension("wind_speed"), dimension("distance"), dimension("x7")
    ('speed', 'length', '')
    """
    lower = name.lower()
    return next((of for of, hint in HINTS.items() if hint.search(lower)), "")
