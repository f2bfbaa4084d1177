"""Lock-step: how far ahead of the control loop the replay may be.

It goes by strides and waits at the end of each until the control loop has done all of it and its
commands have taken effect. So what is asked under which routing depends on event time alone, and a
run with a killed daemon, or on a slower machine, tells the same story.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from driftd.demo.options import DAY_S

STRIDE_S = 2 * DAY_S
"""So much is replayed at once. More would cost evidence: when a canary begins, the days that were
already replayed have no pairs."""
STRIDE_IN_ROLLOUT_S = DAY_S
LATENESS_S = 300.0
"""The policy's: a tick stands so far behind a stride's end, so that its last day can be closed."""
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

    def has_done(self, at: float) -> bool:
        """Whether everything before ``at`` (a midnight) is closed and nothing is in flight."""
        return not self.busy and self.closed >= at

    def stride_end(self, start: float) -> float:
        """To where the replay goes from ``start`` on, a midnight (UTC), before it waits again."""
        return start + (STRIDE_IN_ROLLOUT_S if self.rollout else STRIDE_S)


def fits_retention(records: int, partitions: int, retention_bytes: int) -> bool:
    """Whether ``records`` that nobody has read yet stay below a fifth of what a topic keeps."""
    return records * RECORD_BYTES <= LAG_SHARE_MAX * retention_bytes * partitions
