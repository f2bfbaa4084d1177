"""Lock-step: how far ahead of the control loop the replay may be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from driftd.demo.options import DAY_S, HOUR_S

AHEAD_S = 2 * DAY_S
"""Enough to keep both sides busy. More would cost evidence: when a canary begins, the days that were
already replayed have no pairs, and its clock counts them."""
AHEAD_IN_ROLLOUT_S = DAY_S
BLOCK_S = DAY_S
BLOCK_IN_ROLLOUT_S = 6 * HOUR_S
RECORD_BYTES = 450
"""A generous mean of a prediction with its features and of a label, uncompressed."""
LAG_SHARE_MAX = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """Where the control loop stands. ``closed``: event time up to which it is done."""

    closed: float
    busy: bool
    rollout: bool

    @classmethod
    def of(cls, status: Mapping[str, Any] | None, since: float) -> "Pulse":
        """From the daemon's status; None (it did not answer) is busy: nobody knows what with."""
        if status is None:
            return cls(closed=since, busy=True, rollout=True)
        return cls(
            closed=max(since, float(status["closed"] or 0.0)),
            busy=bool(status["busy"]),
            rollout=bool(status["rollout"]),
        )

    def may_send(self, start: float) -> bool:
        """Whether the hours from ``start`` on may be replayed now."""
        ahead = AHEAD_IN_ROLLOUT_S if self.rollout else AHEAD_S
        return not self.busy and start - self.closed <= ahead

    def block_end(self, start: float) -> float:
        """To where the next block reaches; it never crosses midnight (UTC)."""
        length = BLOCK_IN_ROLLOUT_S if self.rollout else BLOCK_S
        return start - start % length + length


def fits_retention(records: int, partitions: int, retention_bytes: int) -> bool:
    """Whether ``records`` that nobody has read yet stay below a fifth of what a topic keeps."""
    return records * RECORD_BYTES <= LAG_SHARE_MAX * retention_bytes * partitions
