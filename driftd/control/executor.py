"""Takes commands out of the outbox and makes them true, each at least once and to effect once.

A command is claimed by a lease; who dies leaves the lease to run out, and the next claimant repeats
the command under the same op_id; who stops in order gives its commands back at once. So an effect
must be idempotent by op_id: trainers, the registry protocol and traffic epochs are. What cannot be
reached is tried again with back-off; what refuses is told to the lifecycle and never tried again.
"""

import asyncio
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import structlog

from agents.commands import SIDE_KINDS, AnyCommand, PublishDecisions, SetTraffic
from agents.events import Outcome
from driftd.clock import wall_now
from driftd.control.stopping import after
from driftd.errors import OutsideError, RefusedError, UnreachableError
from driftd.store.rows import OutboxRow
from driftd.store.store import Store
from driftd.telemetry import Complaints, Metrics

log = structlog.get_logger()

LEASE_S = 8.0
RENEW_S = 2.0
POLL_S = 1.0
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.5, 60.0
IN_FLIGHT_MAX = 32
# What a stop waits for: a short command ends rather than being done twice, a long one is given up.
FINISH_S, RELEASE_S = 2.0, 3.0
LONG_KINDS = frozenset({"train", "evaluate"})


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
    """Claims and executes; ``wake`` shortens the wait after a commit that wrote commands.

    ``bar`` says why a command has to wait, or an empty string; it blocks and is called in a thread.
    """

    def __init__(
        self,
        store: Store,
        handlers: Mapping[str, Handler],
        worker: str,
        metrics: Metrics,
        on_ended: Callable[[str], None],
        *,
        bar: Callable[[OutboxRow], str] = lambda _row: "",
    ) -> None:
        self._store = store
        self._handlers = handlers
        self._worker = worker
        self._metrics = metrics
        self._on_ended = on_ended
        self._bar = bar
        self._complaints = Complaints(log)
        self._wake = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._rows: dict[str, OutboxRow] = {}

    def wake(self) -> None:
        """There may be new commands."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``: claim, execute; then let go of what runs, for another worker to go on."""
        waking = asyncio.create_task(after(stop, self.wake))
        try:
            while not stop.is_set():
                await self._claim()
                await self._pause()
        finally:
            waking.cancel()
            await self._let_go()

    async def _let_go(self) -> None:
        """Give every command back: a lease that runs out would hold up a canary for seconds."""
        running, rows = dict(self._running), dict(self._rows)
        for op_id, task in running.items():
            if rows[op_id].kind in LONG_KINDS:
                task.cancel()
        if running:
            await asyncio.wait(running.values(), timeout=FINISH_S)
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)
        left = [rows[op_id] for op_id, task in running.items() if task.cancelled()]
        try:
            async with asyncio.timeout(RELEASE_S):
                await asyncio.gather(*map(self._release, left))
        except (TimeoutError, OutsideError) as error:
            log.warning("leave commands", why=repr(error), until="their leases run out")

    async def _release(self, row: OutboxRow) -> None:
        args = (row.op_id, row.attempt, self._worker, wall_now())
        why = f"{self._worker} was stopped; another worker goes on with it"
        if await asyncio.to_thread(self._store.outbox.postpone, *args, why, untried=True):
            log.info("give command back", op_id=row.op_id, kind=row.kind)

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), POLL_S)
        except TimeoutError:
            return
        self._wake.clear()

    async def _claim(self) -> None:
        if len(self._running) >= IN_FLIGHT_MAX:
            return
        claim = self._store.outbox.claim
        # Who stalled for longer than its lease, and lost it to nobody, goes on with its own work.
        without = frozenset(self._running)
        try:
            rows = await asyncio.to_thread(
                claim, self._worker, LEASE_S, wall_now(), without=without
            )
        except OutsideError as error:
            self._complaints.say("claim", "wait for store", why=str(error))
            return
        for row in rows:
            task = asyncio.create_task(self._take(row), name=f"command {row.op_id}")
            self._running[row.op_id], self._rows[row.op_id] = task, row

    async def _take(self, row: OutboxRow) -> None:
        try:
            await self._execute(row)
        except OutsideError as error:
            # Its end could not be written: the lease runs out, and the command is repeated.
            self._complaints.say("end", "leave command", op_id=row.op_id, why=str(error))
        finally:
            self._running.pop(row.op_id, None)
            self._rows.pop(row.op_id, None)

    async def _execute(self, row: OutboxRow) -> None:
        handler = self._handlers.get(row.kind)
        if handler is None:
            await self._finish(row, Ended(outcome="refused", reason=f"no handler for {row.kind}"))
            return
        try:
            command = msgspec.json.decode(row.payload, type=AnyCommand | PublishDecisions)
        except msgspec.DecodeError as error:
            # A newer worker wrote it; it may be the one that claims it next.
            await self._postpone(row, BACKOFF_MAX_S, f"this version cannot read it: {error}")
            return
        why = await asyncio.to_thread(self._held, row, command)
        if why:
            await self._postpone(row, _turn(row.op_id), why, untried=True)
            return
        await self._handle(row, handler, command)

    def _held(self, row: OutboxRow, command: AnyCommand | PublishDecisions) -> str:
        if way_back(command):
            return ""
        if self._store.flags.paused_all():
            return "everything is paused (driftd resume --all)"
        return self._bar(row)

    async def _handle(self, row: OutboxRow, handler: Handler, command: Any) -> None:
        renewal = asyncio.create_task(self._renew(row, self._running[row.op_id]))
        try:
            ended = await self._attempt(handler, command, row)
        finally:
            renewal.cancel()
        if isinstance(ended, Ended):
            await self._finish(row, ended)
        else:
            self._metrics.command_retries.labels(kind=row.kind).inc()
            await self._postpone(row, _backoff(row.attempt), str(ended))

    async def _attempt(
        self, handler: Handler, command: Any, row: OutboxRow
    ) -> Ended | UnreachableError:
        try:
            return await handler(command, row.attempt)
        except UnreachableError as error:
            return error
        except RefusedError as error:
            return Ended(outcome="refused", reason=str(error))
        except Exception as error:
            # A bug or a surprise must neither lose the command nor stop the others.
            log.exception("fail command", op_id=row.op_id, kind=row.kind)
            return Ended(outcome="failed", reason=f"{type(error).__name__}: {error}")

    async def _renew(self, row: OutboxRow, work: asyncio.Task[None]) -> None:
        """Keep the lease; whose lease another worker has stops working on it."""
        renew = self._store.outbox.renew
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                mine = await asyncio.to_thread(renew, row.op_id, row.attempt, self._worker, LEASE_S)
            except OutsideError as error:
                self._complaints.say("renew", "wait for store", why=str(error))
                continue
            if not mine:
                log.warning("leave command", op_id=row.op_id, why="another worker has its lease")
                work.cancel()
                return

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
            tell=row.kind not in SIDE_KINDS,
        )
        self._complaints.over(row.op_id)
        if not mine:
            log.warning("leave command", op_id=row.op_id, why="another worker has its lease")
            return
        self._metrics.commands.labels(kind=row.kind, outcome=ended.outcome).inc()
        took_s = max(0.0, wall_now() - row.wall_created)
        self._metrics.command_seconds.labels(kind=row.kind).observe(took_s)
        log.info(
            "end command", op_id=row.op_id, kind=row.kind, outcome=ended.outcome,
            why=ended.reason or None,
        )  # fmt: skip
        if row.kind not in SIDE_KINDS:
            self._on_ended(row.model)

    async def _postpone(
        self, row: OutboxRow, wait_s: float, why: str, *, untried: bool = False
    ) -> None:
        await asyncio.to_thread(
            self._store.outbox.postpone,
            row.op_id,
            row.attempt,
            self._worker,
            wall_now() + wait_s,
            why,
            untried=untried,
        )
        self._complaints.say(
            row.op_id, "postpone command", op_id=row.op_id, kind=row.kind, wait_s=wait_s, why=why
        )


def _turn(op_id: str) -> float:
    """Two that hold each other up must not come back at the same moment."""
    return POLL_S * (1 + zlib.crc32(op_id.encode()) % 256 / 256)


def _backoff(attempt: int) -> float:
    return float(min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(attempt - 1, 10)))
