"""Kills the daemon with -9 at random moments of the demo, and starts it again."""

import random
import threading
from pathlib import Path

from driftd.demo.children import Children
from driftd.demo.options import DemoOptions
from driftd.demo.setup import start_daemon

KILL_WITHIN_S = 120.0
"""The moments lie so long after the first flight at most: an undisturbed replay takes about that."""


class Killer:
    """A thread of its own: the moments have nothing to do with what the daemon is at, so that
    trainings, canaries and promotions are hit as well. ``kills`` counts them."""

    def __init__(self, options: DemoOptions, children: Children, settings: Path) -> None:
        self._moments = moments(options)
        self._children, self._settings = children, settings
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)
        self.kills = 0

    def start(self) -> None:
        """From now on the moments count."""
        self._thread.start()

    def finish(self) -> None:
        """No more kills; a daemon that was just killed is started again before this returns."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        before = 0.0
        for moment in self._moments:
            if self._ended.wait(moment - before):
                return
            before = moment
            self._children.kill("daemon")
            self.kills += 1
            start_daemon(self._children, self._settings)


def moments(options: DemoOptions) -> list[float]:
    """Seconds after the first flight, drawn by the seed, ascending."""
    draw = random.Random(f"kills {options.seed}")  # noqa: S311 - it draws moments, not secrets
    return sorted(draw.uniform(0.0, KILL_WITHIN_S) for _ in range(options.kill))
