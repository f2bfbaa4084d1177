"""What one sees while the demo runs: a live terminal, or plain lines where there is none."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from driftd.console.terminal import model_panel
from driftd.demo.flights import day
from driftd.demo.options import DAY_S
from driftd.demo.replayer import Progress

REFRESH_PER_S = 4
RATE_OVER_S = 5.0
PLAIN_EVERY_S = 30 * DAY_S


class View:
    """Shows the newest status; as a context manager it owns the terminal for the replay."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=REFRESH_PER_S, transient=True)
        self._is_live = console.is_terminal
        self._samples: deque[tuple[float, int]] = deque()
        self._seen = 0
        self._said_at = 0.0

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_live:
            self._live.stop()

    def say(self, text: str) -> None:
        """One line that stays."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(self, status: Mapping[str, Any] | None, progress: Progress) -> None:
        """The newest status, and every decision that was not shown yet."""
        now = time.monotonic()
        self._samples.append((now, progress.events))
        while now - self._samples[0][0] > RATE_OVER_S:
            self._samples.popleft()
        if status is not None:
            self._tell_decisions(status)
        if self._is_live:
            self._live.update(self._page(status, progress))
        elif progress.at - self._said_at >= PLAIN_EVERY_S:
            self._said_at = progress.at
            self.say(self._line(progress))

    def _tell_decisions(self, status: Mapping[str, Any]) -> None:
        fresh = [one for one in status["decisions"] if one["id"] > self._seen]
        for decision in sorted(fresh, key=lambda one: one["id"]):
            self._seen = decision["id"]
            self.say(f"{decision['at_text']}  {decision['what']}: {decision['why']}")

    def _page(self, status: Mapping[str, Any] | None, progress: Progress) -> RenderableType:
        head = Text(self._line(progress), style="bold")
        if status is None:
            return Group(head, Text("the daemon does not answer", style="yellow"))
        return Group(head, model_panel({**status, "decisions": []}))

    def _line(self, progress: Progress) -> str:
        (since, before), (now, events) = self._samples[0], self._samples[-1]
        rate = (events - before) / (now - since) if now > since else 0.0
        return (
            f"flights of {day(progress.at)}   {progress.events:,} events, {rate:,.0f}/s"
            f"   {progress.calls:,} calls, {progress.failed_requests} failed"
        )
