"""The JSON Schema that editors use: published as generated, and in step with the models."""

import json
import re
from pathlib import Path

from policies.metrics import METRICS
from policies.schema import policy_schema
from policies.units import DURATION_PATTERN, SHARE_PATTERN, parse_duration, parse_share

PUBLISHED = Path(__file__).parents[3] / "docs" / "policy.schema.json"


def test_the_published_schema_is_what_check_schema_prints() -> None:
    assert PUBLISHED.read_text() == json.dumps(policy_schema(), indent=2) + "\n"


def test_units_are_patterns_that_accept_what_the_parser_accepts() -> None:
    for text in ("10m", "1h30m", "250ms", "0.5d"):
        assert re.search(DURATION_PATTERN, text)
        assert parse_duration(text) > 0
    for text in ("", "10", "m", "10 m", "-5m", "5m1h"):
        assert not re.search(DURATION_PATTERN, text)
    assert re.search(SHARE_PATTERN, "12.5%")
    assert parse_share("12.5%") == 0.125


def test_sections_take_no_other_keys_and_no_null() -> None:
    schema = policy_schema()

    assert all(one["additionalProperties"] is False for one in schema["$defs"].values())
    assert '"null"' not in json.dumps(schema)


def test_editors_offer_the_catalogs_metrics() -> None:
    assert policy_schema()["$defs"]["RuleDocument"]["properties"]["metric"]["enum"] == list(METRICS)


def test_defaults_are_written_as_a_file_writes_them() -> None:
    sections = policy_schema()["$defs"]

    assert sections["ClockDocument"]["properties"]["pane"]["default"] == "10m"
    assert sections["DataDocument"]["properties"]["holdout"]["default"] == "20%"
    assert sections["WatchDocument"]["properties"]["false_alarms"]["default"] == "1 per 30d"
