"""What can be asked of the demo."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HOUR_S, DAY_S = 3_600, 86_400


def _date(month: int, day: int) -> float:
    return datetime(2013, month, day, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """``fault`` False: neither the other team's version nor the feed with the wrong clock.
    ``kill``: how many times the daemon is killed -9. Dates in seconds of event time."""

    directory: Path = Path("demo-run")
    seed: int = 0
    shuffle_labels: bool = False
    fault: bool = True
    kill: int = 0
    as_json: bool = False
    stream_from: float = _date(1, 29)
    stream_until: float = _date(12, 31) + DAY_S
    external_from: float = _date(6, 18)
    """The other team hands in its version on the first day from here on that has no rollout."""
    fault_from: float = _date(10, 15)
    """The feed's clock goes wrong on the first day from here on that has no rollout."""
    fault_days: int = 12


TOPICS = {
    "predictions": 16,
    "labels": 16,
    "driftd.control": 8,
    "driftd.traffic": 1,
    "driftd.decisions": 1,
    "driftd.dead_letters": 1,
}
SOURCES = ("predictions", "labels")
"""The topics that ingest counts; every record in them must be counted once."""
