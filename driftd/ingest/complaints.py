"""Says a trouble when it begins and once a minute while it lasts: an outage must not flood a log."""

from typing import Any

from driftd.clock import steady_now
from driftd.ingest.limits import SAY_AGAIN_S


class Complaints:
    """A logger that holds back what it has just said. ``key`` tells troubles apart."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._said: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def say(self, key: str, event: str, **details: Any) -> None:
        """Warn, unless the same was said within the last minute."""
        now = steady_now()
        if now - self._said.get(key, -SAY_AGAIN_S) < SAY_AGAIN_S:
            self._held[key] = self._held.get(key, 0) + 1
            return
        self._said[key] = now
        self._log.warning(event, **details, times_before=self._held.pop(key, 0))

    def over(self, key: str) -> None:
        """The trouble has ended; the next one is told at once."""
        self._said.pop(key, None)
        self._held.pop(key, None)
