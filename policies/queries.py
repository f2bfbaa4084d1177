"""Rules on a named query: what its value is compared with, and which values can be."""

from collections.abc import Mapping

from policies.specs import Amount

# How many of a unit make one of Prometheus' base units, which are shares of 1 and seconds.
QUERY_UNITS: Mapping[str, float] = {"": 1.0, "%": 100.0, "ms": 1_000.0, "s": 1.0}
_EDGE = 1e-9


def query_limit(amount: Amount) -> float:
    """The limit in the base units of Prometheus.

    >>> query_limit(Amount(value=90.0, unit="%")), query_limit(Amount(value=250.0, unit="ms"))
    (0.9, 0.25)
    """
    return amount.value / QUERY_UNITS[amount.unit]


def is_comparable(amount: Amount, value: float) -> bool:
    """Whether a value may be held against an amount: one in percent wants a share, 0 to 1. A gauge
    that counts to 100 would pass 90 % all day long.

    >>> is_comparable(Amount(value=90.0, unit="%"), 42.0), is_comparable(Amount(value=90.0), 42.0)
    (False, True)
    """
    return amount.unit != "%" or -_EDGE <= value <= 1 + _EDGE
