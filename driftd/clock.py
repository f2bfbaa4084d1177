"""The only reader of the time: everything else gets `now` as an argument."""

import time


def wall_now() -> float:
    """Seconds since 1970 by the machine's clock."""
    return time.time()


def steady_now() -> float:
    """Seconds of a clock that never jumps, for time-outs within one process."""
    return time.monotonic()
