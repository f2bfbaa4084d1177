"""The life of one worker process: start, signals, watchdog, a bounded stop."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import structlog

from driftd.clock import steady_now
from driftd.console.listening import listener, token_of
from driftd.control.executor import IN_FLIGHT_MAX
from driftd.daemon import Daemon, Service
from driftd.errors import MistakeError, UnreachableError
from driftd.roles import Role
from driftd.settings import Settings
from driftd.store.migrate import migrate
from driftd.telemetry import Complaints
from driftd.wiring import build

log = structlog.get_logger()

HARD_EXIT_AFTER_S = 20.0
WATCHDOG_S = 5.0
LEAVE_AFTER_S = 2.0
RETRY_S = (0.5, 5.0)
THREADS_BESIDE = 16
LOOPBACK = ("127.0.0.1", "::1", "localhost")
EXIT_STALLED = 70


async def run_daemon(settings: Settings, role: Role = Role.ALL) -> int:
    """Run one worker until SIGTERM or SIGINT; 0 after a clean stop, 70 where a fresh process is
    needed. A store or a broker that is away is waited for, and told.

    Raises ``MistakeError`` for settings that cannot work here.
    """
    _widen()
    _prepare(settings)
    with listener(settings.http) as listening:
        stop = asyncio.Event()
        _stop_on_signals(stop)
        daemon = build(settings, role, listening)
        try:
            code = await _run(daemon, stop)
        finally:
            await _close(daemon)
    # A thread may still wait for a registry; nothing that it does is needed any more.
    _leave_after(LEAVE_AFTER_S, code)
    return code


def leave(code: int) -> NoReturn:
    """End the process at once: all is closed by now, and Python would take seconds to say so of
    each object, in which a supervisor waits to start the next worker."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _run(daemon: Daemon, stop: asyncio.Event) -> int:
    log.info("start worker", worker=daemon.worker, role=daemon.role.value, api=daemon.api)
    tasks = _begin({**daemon.early, "watchdog": _watchdog(daemon)}, stop)
    starting = asyncio.create_task(_start(daemon, stop), name="start")
    try:
        await asyncio.wait([*tasks.values(), starting], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            if not _has_started(starting):
                return EXIT_STALLED
            if not stop.is_set():
                tasks |= _begin(daemon.services, stop)
                log.info("take part", worker=daemon.worker, role=daemon.role.value)
        stopped = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait([*tasks.values(), stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        failed = [name for name, task in tasks.items() if task.done() and not stop.is_set()]
        if failed:
            # What made one service end may keep another from ending.
            _leave_after(HARD_EXIT_AFTER_S, EXIT_STALLED)
    finally:
        stop.set()
        results = await asyncio.gather(starting, *tasks.values(), return_exceptions=True)
    for name, result in zip(tasks, results[1:], strict=True):
        # Clients that wait for a broker which is away are cut short by a stop; that is no failure.
        if isinstance(result, Exception) or (name in failed and result is not None):
            log.error("fail service", service=name, exc_info=result)
    if failed:
        log.error("stop worker", why="a service ended by itself", services=failed)
        return EXIT_STALLED
    log.info("stop worker")
    return 0


def _has_started(starting: asyncio.Task[None]) -> bool:
    """False after a fault that a fresh start may well not meet; a person's mistake is raised."""
    error = starting.exception()
    if isinstance(error, MistakeError):
        raise error
    if error is not None:
        log.error("fail start", exc_info=error)
    return error is None


def _begin(services: Mapping[str, Service], stop: asyncio.Event) -> dict[str, asyncio.Task[None]]:
    return {name: asyncio.create_task(run(stop), name=name) for name, run in services.items()}


async def _start(daemon: Daemon, stop: asyncio.Event) -> None:
    """Wait for the store and for a broker, then join; what is published here is known before."""
    await _bring_up_store(daemon, stop)
    await daemon.link.start(stop)
    await daemon.topics.wait(stop)
    if stop.is_set():
        return
    await asyncio.to_thread(daemon.policies.look)
    if daemon.app is not None:
        await daemon.app.start()
    daemon.ownership.changed_at = steady_now()
    daemon.started = True


async def _bring_up_store(daemon: Daemon, stop: asyncio.Event) -> None:
    wait, longest = RETRY_S
    complaints = Complaints(log)
    while not stop.is_set():
        try:
            await asyncio.to_thread(migrate, daemon.settings.store)
        except UnreachableError as error:
            daemon.store_is_away(str(error))
            complaints.say("store", "wait for store", why=str(error))
        else:
            daemon.has_schema, daemon.store_trouble = True, ""
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait)
        wait = min(2 * wait, longest)


async def _close(daemon: Daemon) -> None:
    for close in (daemon.link.aclose, daemon.alertmanager.aclose):
        with contextlib.suppress(Exception):
            await asyncio.wait_for(close(), 5.0)
    daemon.store.close()


def _prepare(settings: Settings) -> None:
    if token_of(settings.http) is None and settings.http.host not in LOOPBACK:
        raise MistakeError(
            f"http.host is {settings.http.host}, but no token is set: put one into "
            f"{settings.http.token_env}, or listen on 127.0.0.1"
        )
    for name, folder in (("work", settings.work), ("policies", settings.policies)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MistakeError(f"{name}: {folder} cannot be made: {error}") from error


def _watchdog(daemon: Daemon) -> Service:
    async def run(stop: asyncio.Event) -> None:
        # Stalls after rebalances are a known class of Kafka client bugs: a fresh process is the cure.
        while not stop.is_set():
            wrong = daemon.wrong()
            if wrong:
                log.error("stall worker", why="; ".join(wrong))
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), WATCHDOG_S)

    return run


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def ask() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()
        # A client that waits for a broker which is away must not keep the process alive.
        _leave_after(HARD_EXIT_AFTER_S, 1)

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, ask)


def _leave_after(seconds: float, code: int) -> None:
    timer = threading.Timer(seconds, os._exit, args=(code,))
    timer.daemon = True
    timer.start()


def _widen() -> None:
    # Every command may wait for the outside in a thread; the loop's own work must not wait for it.
    pool = ThreadPoolExecutor(IN_FLIGHT_MAX + THREADS_BESIDE, thread_name_prefix="driftd")
    asyncio.get_running_loop().set_default_executor(pool)
    threading.excepthook = _tell_thread


def _tell_thread(told: threading.ExceptHookArgs) -> None:
    # Faust's consumer lives in a thread of its own, and a stop may cut it short.
    name = told.thread.name if told.thread is not None else ""
    if told.exc_type is asyncio.CancelledError:
        log.info("leave thread", thread=name)
        return
    log.error("fail thread", thread=name, exc_info=told.exc_value)
