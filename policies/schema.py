"""The JSON Schema of a policy, for editors that complete and check while one types."""

from collections.abc import Callable, Mapping
from typing import Any

from policies.document import PolicyDocument
from policies.metrics import METRICS
from policies.units import (
    DURATION_PATTERN,
    RATE_PATTERN,
    RATIO_PATTERN,
    SHARE_PATTERN,
    duration_text,
    number_text,
    share_text,
)


def _rate_text(rate: Mapping[str, float]) -> str:
    return f"{number_text(rate['count'])} per {duration_text(rate['per_s'])}"


# How a default, a number inside, is written in a file.
_TEXT: Mapping[str, Callable[[Any], str]] = {
    DURATION_PATTERN: duration_text,
    RATE_PATTERN: _rate_text,
    RATIO_PATTERN: lambda ratio: f"{number_text(ratio)}x",
    SHARE_PATTERN: share_text,
}


def policy_schema() -> dict[str, Any]:
    """Draft 2020-12, with units as patterns and the catalog's metrics as choices."""
    schema: dict[str, Any] = _tidy(PolicyDocument.model_json_schema(by_alias=True))
    sections = schema["$defs"]
    offers = {
        "RuleDocument": list(METRICS),
        "GateDocument": [name for name, one in METRICS.items() if one.offline],
        "JudgeDocument": [name for name, one in METRICS.items() if one.paired_loss or one.ratio],
    }
    for section, names in offers.items():
        sections[section]["properties"]["metric"] = {"enum": names}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "driftd policy",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _tidy(node: Any) -> Any:
    """Without pydantic's titles, without null (a key that is left out is not null), and with
    defaults as files write them."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: value for key, value in node.items() if not _noise(key, value)}
    choices = node.get("anyOf", [])
    if {"type": "null"} in choices:
        left = [choice for choice in choices if choice != {"type": "null"}]
        node = {key: value for key, value in node.items() if key != "anyOf"}
        node = {**(left[0] if len(left) == 1 else {"anyOf": left}), **node}
    text = _TEXT.get(node.get("pattern", ""))
    if text is not None and "default" in node:
        node["default"] = text(node["default"])
    return {key: _tidy(value) for key, value in node.items()}


def _noise(key: str, value: Any) -> bool:
    return (key == "title" and isinstance(value, str)) or (key == "default" and value is None)
