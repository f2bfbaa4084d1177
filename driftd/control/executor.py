"""Takes commands out of the outbox and makes them true, each at least once and to effect once.

A command is claimed by a lease; who dies leaves the lease to run out, and the next claimant repeats
the command under the same op_id. So an effect must be idempotent by op_id: trainers, the registry
protocol and traffic epochs are. What cannot be reached is tried again with back-off; what refuses
is told to the lifecycle and never tried again.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import msgspec
import structlog

from agents.commands import AnyCommand, PublishDecisions, SetTraffic
from agents.events import Outcome
from driftd.clock import wall_now
from driftd.errors import RefusedError, UnreachableError
from driftd.store.rows import OutboxRow
from driftd.store.store import Store
from driftd.telemetry import Metrics

log = structlog.get_logger()

LEASE_S = 8.0
RENEW_S = 2.0
POLL_S = 1.0
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.5, 60.0
IN_FLIGHT_MAX = 32
PUBLICATION = "decisions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended; see ``agents.events.CommandDone``."""

    outcome: Outcome = "done"
    result: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


class Handler(Protocol):
    """Makes one kind of command true. Raises UnreachableError (again) or RefusedError (never)."""

    async def __call__(self, command: Any, attempt: int) -> Ended: ...


def way_back(command: AnyCommand | PublishDecisions) -> bool:
    """Whether this only takes traffic off a version: `pause --all` must never hold that up."""
    return isinstance(command, SetTraffic) and len(command.routing.routes) == 1


class Executor:
    """Claims and executes; ``wake`` shortens the wait after a commit that wrote commands."""

    def __init__(
        self,
        store: Store,
        handlers: Mapping[str, Handler],
        worker: str,
        metrics: Metrics,
        on_ended: Callable[[str], None],
    ) -> None:
        self._store = store
        self._handlers = handlers
        self._worker = worker
        self._metrics = metrics
        self._on_ended = on_ended
        self._wake = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """There may be new commands."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``: claim, execute; then cancel what runs (its lease lets others go on)."""
        try:
            while not stop.is_set():
                await self._claim()
                await self._pause()
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), POLL_S)
        except TimeoutError:
            return
        self._wake.clear()

    async def _claim(self) -> None:
        if len(self._running) >= IN_FLIGHT_MAX:
            return
        rows = await asyncio.to_thread(self._store.outbox.claim, self._worker, LEASE_S, wall_now())
        for row in rows:
            if row.op_id not in self._running:
                task = asyncio.create_task(self._execute(row), name=f"command {row.op_id}")
                self._running[row.op_id] = task
                task.add_done_callback(partial(self._ended, row.op_id))

    def _ended(self, op_id: str, _task: asyncio.Task[None]) -> None:
        self._running.pop(op_id, None)

    async def _execute(self, row: OutboxRow) -> None:
        command = msgspec.json.decode(row.payload, type=AnyCommand | PublishDecisions)
        if await asyncio.to_thread(self._store.flags.paused_all) and not way_back(command):
            await self._postpone(row, POLL_S, "everything is paused (driftd resume --all)")
            return
        handler = self._handlers.get(row.kind)
        if handler is None:
            await self._finish(row, Ended(outcome="refused", reason=f"no handler for {row.kind}"))
            return
        renewal = asyncio.create_task(self._renew(row))
        try:
            ended = await handler(command, row.attempt)
        except UnreachableError as error:
            await self._postpone(row, _backoff(row.attempt), str(error))
        except RefusedError as error:
            await self._finish(row, Ended(outcome="refused", reason=str(error)))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # A bug or a surprise must neither lose the command nor stop the others.
            log.exception("fail command", op_id=row.op_id, kind=row.kind)
            await self._finish(
                row, Ended(outcome="failed", reason=f"{type(error).__name__}: {error}")
            )
        else:
            await self._finish(row, ended)
        finally:
            renewal.cancel()

    async def _renew(self, row: OutboxRow) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            await asyncio.to_thread(
                self._store.outbox.renew, row.op_id, row.attempt, self._worker, LEASE_S
            )

    async def _finish(self, row: OutboxRow, ended: Ended) -> None:
        mine = await asyncio.to_thread(
            self._store.outbox.finish,
            row.op_id,
            row.attempt,
            self._worker,
            ended.outcome,
            dict(ended.result),
            ended.reason,
            # A published decision is the end of it: told to the agents it would be the next one.
            tell=row.kind != PUBLICATION,
        )
        if not mine:
            log.warning("leave command", op_id=row.op_id, why="another worker has its lease")
            return
        self._metrics.commands.labels(kind=row.kind, outcome=ended.outcome).inc()
        log.info(
            "end command", op_id=row.op_id, kind=row.kind, outcome=ended.outcome,
            why=ended.reason or None,
        )  # fmt: skip
        if row.kind != PUBLICATION:
            self._on_ended(row.model)

    async def _postpone(self, row: OutboxRow, wait_s: float, why: str) -> None:
        await asyncio.to_thread(
            self._store.outbox.postpone,
            row.op_id,
            row.attempt,
            self._worker,
            wall_now() + wait_s,
            why,
        )
        log.warning("postpone command", op_id=row.op_id, kind=row.kind, wait_s=wait_s, why=why)


def _backoff(attempt: int) -> float:
    return float(min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(attempt - 1, 10)))
