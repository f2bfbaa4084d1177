"""The types of a document's fields: how a text with a unit becomes a number, and its JSON Schema."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

from policies import units
from policies.specs import Amount
from policies.units import Rate


class Document(BaseModel):
    """A section of a file: frozen, strict, no key that is not named."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_default=False)


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


@dataclass(frozen=True, slots=True)
class _Matching:
    """A pattern that the schema shows and a sentence that a person reads instead of it."""

    pattern: str
    what: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": self.pattern}

    def _check(self, value: str) -> str:
        if not re.search(self.pattern, value):
            raise ValueError(f"must be {self.what}; {units.said(value)} is not")
        return value


def matching(pattern: str, what: str) -> _Matching:
    """A text of one form; ``what`` says in words what the anchored ``pattern`` wants."""
    return _Matching(pattern, what)


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be longer than nothing")
    return value


def _duration(value: Any) -> float:
    return units.parse_duration(value)


def _span(value: Any) -> float:
    return _positive(units.parse_duration(value))


Duration = Annotated[float, BeforeValidator(_duration), _text(units.DURATION_PATTERN, "10m")]
"""Seconds, 0 or more, written ``10m``."""
Span = Annotated[float, BeforeValidator(_span), _text(units.DURATION_PATTERN, "10m")]
"""Seconds, more than 0, written ``10m``."""
Share = Annotated[float, BeforeValidator(units.parse_share), _text(units.SHARE_PATTERN, "10%")]
"""0 to 1, written ``10%``."""
Ratio = Annotated[float, BeforeValidator(units.parse_ratio), _text(units.RATIO_PATTERN, "1.2x")]
"""A factor, written ``1.2x``."""
Size = Annotated[int, BeforeValidator(units.parse_size), _text(units.SIZE_PATTERN, "1MiB")]
"""Bytes, written ``1MiB``."""
Times = Annotated[Rate, BeforeValidator(units.parse_rate), _text(units.RATE_PATTERN, "1 per 30d")]
"""A number of times in a span, written ``1 per 30d``."""
Quantity = Annotated[
    Amount,
    BeforeValidator(units.parse_amount),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number"},
                {"type": "string", "pattern": units.AMOUNT_PATTERN, "examples": ["5%"]},
            ]
        }
    ),
]
"""A number with or without a unit, written ``0.2``, ``5%``, ``1pp`` or ``100ms``."""
Name = Annotated[
    str,
    matching(
        r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        "a name: at most 100 letters, digits, . _ - and first a letter or digit",
    ),
]
"""What appears in topics, metrics, file names and URLs."""
Word = Annotated[str, Field(min_length=1, max_length=4_000)]
"""A name that is somebody else's: a feature, a topic, an alias."""
Count = Annotated[int, Field(ge=0)]
"""A whole number, 0 or more."""
