"""What has to happen at once when a service is told to stop, although it waits for something else."""

import asyncio
from collections.abc import Callable


async def after(stop: asyncio.Event, act: Callable[[], None]) -> None:
    """Do ``act`` as soon as ``stop`` is set."""
    await stop.wait()
    act()
