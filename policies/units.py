"""Texts with a unit and the numbers they stand for: ``10m``, ``5%``, ``5pp``, ``1.2x``, ``1 per 30d``.

Every parser raises ``ValueError`` with a message that says what to write instead.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal, cast

from policies.specs import Amount

MINUTE_S, HOUR_S, DAY_S = 60.0, 3_600.0, 86_400.0
_SECONDS = {"w": 7 * DAY_S, "d": DAY_S, "h": HOUR_S, "m": MINUTE_S, "s": 1.0, "ms": 0.001}
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_NUMBER = r"\d+(?:\.\d+)?"
# The patterns are anchored: JSON Schema searches, it does not match.
DURATION_PATTERN = rf"^(?=.)(?:{_NUMBER}w)?(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?$"
SIZE_PATTERN = rf"^{_NUMBER}(?:B|KiB|MiB|GiB)$"
SHARE_PATTERN = rf"^{_NUMBER}%$"
RATIO_PATTERN = rf"^{_NUMBER}x$"
RATE_PATTERN = rf"^{_NUMBER} per (?:{_NUMBER}(?:w|d|h|m|s))+$"
AMOUNT_PATTERN = rf"^-?{_NUMBER}(?:%|pp|x|ms|s)?$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many in so long."""

    count: float
    per_s: float


def parse_duration(value: Any) -> float:
    """Seconds.

    >>> parse_duration("10m"), parse_duration("1h30m"), parse_duration("250ms")
    (600.0, 5400.0, 0.25)
    """
    if _is_number(value):
        raise ValueError(f"{value} has no unit; write {value}s, {value}m, {value}h or {value}d")
    if isinstance(value, str) and value.startswith("-"):
        raise ValueError(f"{value} is negative; a duration is not")
    if not isinstance(value, str) or not re.search(DURATION_PATTERN, value):
        raise ValueError(_wanted("a duration such as 10m, 6h or 30d", value))
    parts = re.findall(rf"({_NUMBER})(ms|[wdhms])", value)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def parse_size(value: Any) -> int:
    """Bytes.

    >>> parse_size("1MiB")
    1048576
    """
    match = re.search(rf"^({_NUMBER})(B|KiB|MiB|GiB)$", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(_wanted("a size such as 512KiB, 1MiB or 4GiB", value))
    return round(float(match[1]) * _BYTES[match[2]])


def parse_share(value: Any) -> float:
    """A share of a whole, 0 to 1.

    >>> parse_share("20%")
    0.2
    """
    if _is_number(value):
        raise ValueError(f"{value} has no unit; write a share in percent, such as 10%")
    if isinstance(value, str) and re.search(rf"^-{_NUMBER}%$", value):
        raise ValueError(f"{value} is negative; a share lies between 0% and 100%")
    if not isinstance(value, str) or not re.search(SHARE_PATTERN, value):
        raise ValueError(_wanted("a share in percent, such as 10%", value))
    # Dividing last keeps 20% exactly what 0.2 is.
    share = float(value[:-1]) / 100
    if share > 1:
        raise ValueError(f"{value} is more than everything; a share lies between 0% and 100%")
    return share


def parse_ratio(value: Any) -> float:
    """A factor.

    >>> parse_ratio("1.2x")
    1.2
    """
    if not isinstance(value, str) or not re.search(RATIO_PATTERN, value):
        raise ValueError(_wanted("a ratio such as 1.2x", value))
    return float(value[:-1])


def parse_rate(value: Any) -> Rate:
    """A number of times in a span.

    >>> parse_rate("3 per 7d")
    Rate(count=3.0, per_s=604800.0)
    """
    count, _, span = value.partition(" per ") if isinstance(value, str) else ("", "", "")
    if not re.search(rf"^{_NUMBER}$", count) or not span:
        raise ValueError(_wanted("a number of times in a span, such as 3 per 7d", value))
    per_s = parse_duration(span)
    if per_s <= 0:
        raise ValueError(f"{value}: the span must be longer than nothing")
    return Rate(count=float(count), per_s=per_s)


def parse_amount(value: Any) -> Amount:
    """A number with or without a unit; the value stays as it is written.

    >>> parse_amount("5%"), parse_amount(0.2)
    (Amount(value=5.0, unit='%'), Amount(value=0.2, unit=''))
    """
    if _is_number(value):
        return Amount(value=float(value))
    match = re.search(rf"^(-?{_NUMBER})(%|pp|x|ms|s)?$", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            _wanted("a number, alone or with a unit: 0.2, 5%, 1pp, 1.2x, 100ms", value)
        )
    unit = cast("Literal['', '%', 'pp', 'x', 'ms', 's']", match[2] or "")
    return Amount(value=float(match[1]), unit=unit)


def duration_text(seconds: float) -> str:
    """The shortest way to write a span; the inverse of ``parse_duration``.

    >>> duration_text(600), duration_text(5400), duration_text(1209600)
    ('10m', '1h30m', '14d')
    """
    left, text = round(seconds * 1000), ""
    for unit in ("d", "h", "m", "s", "ms"):
        size = round(_SECONDS[unit] * 1000)
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def number_text(value: float) -> str:
    """A number without needless digits.

    >>> number_text(5.0), number_text(0.05)
    ('5', '0.05')
    """
    return f"{value:.6g}"


def amount_text(amount: Amount) -> str:
    """An amount as a policy writes it.

    >>> amount_text(Amount(value=5.0, unit="%"))
    '5%'
    """
    return f"{number_text(amount.value)}{amount.unit}"


def share_text(share: float) -> str:
    """A share in percent.

    >>> share_text(0.1)
    '10%'
    """
    return f"{number_text(100 * share)}%"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wanted(what: str, value: Any) -> str:
    return f"must be {what}; {said(value)} is not"


def said(value: Any) -> str:
    """What somebody wrote, short enough for a message."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
