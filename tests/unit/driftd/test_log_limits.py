"""An outage may not flood the log: each library says so much a minute, and no more."""

import logging

import pytest

from driftd import telemetry
from driftd.telemetry import RateLimit


def record(name: str) -> logging.LogRecord:
    """One line of a logger."""
    return logging.LogRecord(name, logging.ERROR, "", 0, "away", None, None)


def test_children_of_a_library_share_its_limit_and_others_keep_theirs() -> None:
    limit = RateLimit(3)

    passed = [limit.filter(record(f"aiokafka.{i % 2}")) for i in range(5)]

    assert passed == [True, True, True, False, False]
    assert limit.filter(record("mlflow.client")) is True


def test_the_next_minute_says_how_many_lines_were_held_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(telemetry, "steady_now", lambda: now[0])
    limit = RateLimit(1)
    for _ in range(4):
        limit.filter(record("aiokafka"))
    now[0] = 61.0
    newest = record("aiokafka")

    assert limit.filter(newest) is True
    assert newest.getMessage() == "away (3 lines held back before)"
