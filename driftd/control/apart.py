"""Heavy work in a process of its own: what it needed of memory goes back when it ends."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

T = TypeVar("T")


async def apart(work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """What ``work`` returns or raises. It and all that goes in and out must be picklable.

    A training window of a year read inside the daemon would stay in its memory for good, since
    allocators keep what they once had. A cancelled call leaves its process to end by itself.
    """
    # Spawned, not forked: a fork of a process with threads may hang on their locks.
    pool = ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))
    try:
        running = asyncio.get_running_loop().run_in_executor(pool, partial(work, *args, **kwargs))
        return await running
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
