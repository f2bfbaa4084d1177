"""Answers in the background: bounded, and the first to go when there is no room."""

import asyncio
from collections.abc import Sequence

from driftd.clock import steady_now
from driftd.serving.bodies import Call
from driftd.serving.child import ChildDiedError, ScoringError
from driftd.serving.events import Events
from driftd.serving.fleet import Fleet
from driftd.serving.metrics import Metrics
from driftd.serving.served import OverloadedError

# About 20 MB of rows; at 50 calls a second of 20 rows this is ten seconds of a stalled shadow.
WAITING_ROWS_MAX = 10_000


class Shadows:
    """Asks other versions what they would have answered, and records it."""

    def __init__(self, fleet: Fleet, events: Events, metrics: Metrics) -> None:
        self._fleet = fleet
        self._events = events
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self.waiting_rows = 0

    def submit(self, call: Call, at: Sequence[int], version: str) -> None:
        """Let `version` answer the instances `at` some time soon, or drop and count them."""
        served = self._fleet.get(version)
        is_full = self.waiting_rows + len(at) > WAITING_ROWS_MAX
        if served is None or served.child is None or is_full:
            self._metrics.shadow_dropped.labels(version).inc(len(at))
            return
        self.waiting_rows += len(at)
        task = asyncio.create_task(self._answer(call, at, version))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, patience_s: float) -> None:
        """Wait for what is under way, at most this long."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience_s)

    async def _answer(self, call: Call, at: Sequence[int], version: str) -> None:
        started = steady_now()
        try:
            served = self._fleet.get(version)
            if served is None:
                self._metrics.shadow_dropped.labels(version).inc(len(at))
                return
            rows = [call.rows[i] for i in at]
            scores = await served.score(rows, background=True, patient=False)
        except OverloadedError:
            self._metrics.shadow_dropped.labels(version).inc(len(at))
        except (ChildDiedError, ScoringError) as error:
            self._metrics.failures.labels(version, "shadow").inc(len(at))
            self._events.shadow_failed(call, at, version, str(error))
        else:
            latency_ms = 1000 * (steady_now() - started)
            self._events.shadowed(
                call, at, version,
                scores=scores, predictions=served.named(scores), latency_ms=latency_ms,
            )  # fmt: skip
        finally:
            self.waiting_rows -= len(at)
