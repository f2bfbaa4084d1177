"""Calls of a blocking client under one deadline, each in a thread that may be left behind."""

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from driftd.clock import steady_now
from driftd.errors import UnreachableError

T = TypeVar("T")
OPEN_MAX = 8
"""Calls of one client that may be open at once, those left behind included."""


class Deadline:
    """The time that all calls of one operation share. Not for use by several threads at once.

    A call that does not come back in time is left behind with its daemon thread: the operation
    ends with ``UnreachableError`` and makes no further call, so at most one call of it can still
    take effect.
    """

    def __init__(self, what: str, seconds: float, open_calls: threading.BoundedSemaphore) -> None:
        self._what = what
        self._seconds = seconds
        self._end = steady_now() + seconds
        self._open = open_calls

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """``function(...)``, its exception, or ``UnreachableError`` when the time has passed."""
        remaining = self._end - steady_now()
        if remaining <= 0:
            raise UnreachableError(f"{self._what} took longer than {self._seconds:g} s")
        # A thread per call, because a pool would wait for hung calls when the program ends.
        if not self._open.acquire(timeout=remaining):
            raise UnreachableError(f"{self._what}: {OPEN_MAX} other calls have not come back")
        remaining = max(0.0, self._end - steady_now())
        answer: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

        def run() -> None:
            try:
                answer.put((True, function(*args, **kwargs)))
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller raises it
                answer.put((False, error))
            finally:
                self._open.release()

        threading.Thread(target=run, name=f"bounded {self._what}", daemon=True).start()
        try:
            good, value = answer.get(timeout=remaining)
        except queue.Empty:
            raise UnreachableError(f"{self._what} took longer than {self._seconds:g} s") from None
        if not good:
            raise value
        result: T = value
        return result
