"""The services of a worker that are not a part of any room: each runs until it is told to stop."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import uvicorn
from prometheus_client import generate_latest

from driftd.console.api import Desk, make_api
from driftd.console.listening import token_of
from driftd.daemon import Daemon, Service
from driftd.scraping import show_worker

API_STOP_S = 3
APP_STOP_S = 5.0


def until(run: Callable[[], Coroutine[Any, Any, None]]) -> Service:
    """A service that knows no stop of its own: it is cancelled."""

    async def service(stop: asyncio.Event) -> None:
        running = asyncio.ensure_future(run())
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not running.done():
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            return
        await running

    return service


def leaving(app: Any) -> Service:
    """Lets the Faust app leave its group as soon as we stop: others then take our models over
    without waiting for a time-out."""

    async def run(stop: asyncio.Event) -> None:
        await stop.wait()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(app.stop(), APP_STOP_S)

    return run


def api_service(daemon: Daemon, listening: socket.socket, ring: Callable[[str], None]) -> Service:
    """The HTTP API. ``ring`` is called in worker threads."""
    show_worker(daemon)
    desk = Desk(
        store=daemon.store,
        specs=daemon.book.specs,
        publish=daemon.book.publish_text,
        ring=ring,
        health=daemon.wrong,
        ready=daemon.not_ready,
        scrape=lambda: generate_latest(daemon.metrics.registry),
        token=token_of(daemon.settings.http),
    )
    server = uvicorn.Server(
        uvicorn.Config(
            make_api(desk), log_config=None, access_log=False, timeout_graceful_shutdown=API_STOP_S
        )
    )
    # Signals are the daemon's: it stops all services together.
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]

    async def run(stop: asyncio.Event) -> None:
        serving = asyncio.create_task(server._serve([listening]))  # noqa: SLF001 - serve() takes the signals
        await asyncio.wait(
            [serving, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        server.should_exit = True
        await serving

    return run
