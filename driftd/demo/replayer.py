"""Replays the year in lock-step with the control loop: asks, waits, labels, ticks."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from driftd_recorder.recorder import Recorder

from driftd.demo.children import ChildError
from driftd.demo.client import DaemonClient, PredictClient
from driftd.demo.options import DAY_S
from driftd.demo.pace import LATENESS_S, Pulse
from driftd.demo.schedule import Call, Schedule

CALLS_AT_ONCE = 8
POLL_S = 0.03
FLUSH_POLL_S = 0.01
SHOW_EVERY_S = 0.4
FLUSH_TIMEOUT_S = 120.0
STANDSTILL_MAX_S = 300.0
"""A control loop that does not move for so long has failed; the demo says so and ends."""

Status = Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far the replay is; ``at`` is event time, ``events`` are predictions and labels sent."""

    at: float
    calls: int = 0
    events: int = 0
    failed_requests: int = 0
    waiting_s: float = 0.0


class Replayer:
    """One replay of a schedule. ``on_status`` sees each status of the daemon that was fetched;
    ``on_day`` is told where a stride begins, and answers whether it asked something of the daemon."""

    def __init__(
        self,
        schedule: Schedule,
        server: PredictClient,
        daemon: DaemonClient,
        recorder: Recorder,
        *,
        model: str,
        since: float,
        on_status: Callable[[Status | None, Progress], None],
        on_day: Callable[[float], bool],
    ) -> None:
        self._schedule, self._server, self._daemon = schedule, server, daemon
        self._recorder, self._model, self._since = recorder, model, since
        self._on_status, self._on_day = on_status, on_day
        self._shown = float("-inf")
        self._epoch = 0
        self.progress = Progress(at=since)

    def run(self, until: float) -> None:
        """Replay [since, until), then until the last label has come and been counted."""
        at = self._since
        # To the midnight after the last label: one day more without flights would be a dead feed.
        last = max(until, self._schedule.last_label_ts + 1)
        end = last + -last % DAY_S
        with ThreadPoolExecutor(CALLS_AT_ONCE, "replay") as pool:
            while at < end:
                pulse = self._wait(partial(Pulse.has_done, at=at))
                if self._on_day(at):
                    pulse = self._wait(partial(Pulse.has_done, at=at))
                stop = min(pulse.stride_end(at), end)
                self._send(pool, at, stop)
                at = self.progress.at = stop
        self._recorder.flush()
        self._wait(partial(Pulse.has_done, at=at))

    def _send(self, pool: ThreadPoolExecutor, start: float, stop: float) -> None:
        # First the answers, then the labels that may belong to them, then the tick: a record that
        # came behind the tick of its time would be late.
        for call, scores in pool.map(self._ask, self._schedule.calls(start, stop)):
            self.progress.calls += 1
            self.progress.events += len(call.rows)
            if not scores:
                self.progress.failed_requests += 1
        self._wait_until_flushed()
        arrivals = self._schedule.arrivals(start, stop)
        for arrival in arrivals:
            self._recorder.label(
                model=self._model, id=arrival.id, label=arrival.label, ts=arrival.ts
            )
        self.progress.events += len(arrivals)
        self._tick(stop + LATENESS_S)

    def _ask(self, call: Call) -> tuple[Call, bool]:
        answers = self._server.predict(call.body)
        if answers is None or len(answers) != len(call.rows):
            return call, False
        for row, answer in zip(call.rows, answers, strict=True):
            self._schedule.scores[row] = answer.score
            self._schedule.versions[row] = answer.version
        return call, True

    def _tick(self, at: float) -> None:
        for topic in ("predictions", "labels"):
            self._recorder.tick(topic, at)

    def _wait_until_flushed(self) -> None:
        deadline = time.monotonic() + FLUSH_TIMEOUT_S
        while not self._server.is_flushed():
            if time.monotonic() > deadline:
                raise ChildError("the server's answers do not reach their topic")
            time.sleep(FLUSH_POLL_S)

    def _wait(self, is_over: Callable[[Pulse], bool]) -> Pulse:
        began = time.monotonic()
        moved, before = began, None
        while True:
            self._show()
            told = self._daemon.pulse()
            pulse = Pulse.of(told, self._since)
            if told is not None and is_over(pulse) and self._has_traffic(told["epoch"]):
                self.progress.waiting_s += time.monotonic() - began
                return pulse
            if pulse != before:
                moved, before = time.monotonic(), pulse
            if time.monotonic() - moved > STANDSTILL_MAX_S:
                raise ChildError(f"the control loop stands still: {pulse}")
            time.sleep(POLL_S)

    def _has_traffic(self, epoch: int) -> bool:
        # A routing is a command in flight until the server follows it: it loads the version first,
        # some seconds in which half a month of flights would go by.
        if epoch > self._epoch:
            health = self._server.health()
            self._epoch = int(health["epoch"]) if health is not None else self._epoch
        return self._epoch >= epoch

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown >= SHOW_EVERY_S:
            self._shown = now
            self._on_status(self._daemon.status(), self.progress)
