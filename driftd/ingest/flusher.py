"""Writes what was read: one flush at a time, the very same one again until its outcome is known."""

import asyncio
from collections.abc import Callable

import structlog

from driftd.clock import steady_now
from driftd.errors import UnreachableError
from driftd.ingest.buffer import Buffer
from driftd.ingest.folding import Folded, fold
from driftd.ingest.limits import FLUSH_RETRY_S
from driftd.ingest.plans import Plans
from driftd.ingest.texts import Encoded
from driftd.store.moves import Move
from driftd.store.positions import Positions
from driftd.telemetry import Complaints

log = structlog.get_logger()


class Flusher:
    """``encode`` makes vectors of texts and may wait for them: it runs in a thread, before folding.
    ``written(folded)`` is called when a flush is in the store, ``lost(generation)`` when its
    compare failed: somebody else has moved the partitions, so nothing of it was written."""

    def __init__(
        self,
        store: Positions,
        sample: float,
        *,
        encode: Callable[[Buffer, Plans], Encoded],
        written: Callable[[Folded], None],
        lost: Callable[[int], None],
    ) -> None:
        self._store = store
        self._sample = sample
        self._encode = encode
        self._written = written
        self._lost = lost
        self._complaints = Complaints(log)
        self._task: asyncio.Task[None] | None = None
        self.took_s = 0.0
        """How long the newest flush took, repetitions included."""

    @property
    def busy(self) -> bool:
        """Whether a flush is under way."""
        return self._task is not None and not self._task.done()

    def start(self, generation: int, buffer: Buffer, moves: tuple[Move, ...], plans: Plans) -> None:
        """Begin a flush; there must be none under way."""
        if self.busy:
            raise RuntimeError("a flush is under way; one at a time")
        self.check()
        self._task = asyncio.create_task(self._run(generation, buffer, moves, plans))

    def check(self) -> None:
        """Raise what a flush died of: a fault of the program, never of what it read."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def wait(self, timeout_s: float | None) -> bool:
        """Wait for the flush that is under way; False when it took longer. It goes on then."""
        if self._task is None:
            return True
        done, _ = await asyncio.wait({self._task}, timeout=timeout_s)
        return bool(done)

    async def aclose(self) -> None:
        """Give up on a flush that is under way. It may still come to be written: its records are
        read again only where it was not."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(
        self, generation: int, buffer: Buffer, moves: tuple[Move, ...], plans: Plans
    ) -> None:
        began = steady_now()
        folded = await asyncio.to_thread(self._fold, buffer, moves, plans)
        wait, longest = FLUSH_RETRY_S
        while True:
            try:
                done = await asyncio.to_thread(self._store.flush, folded.flush)
            except UnreachableError as error:
                # It may have been committed: then the compare fails the next time, and what the
                # store holds is read. To begin another transaction instead could count twice.
                self._complaints.say("store", "repeat flush", why=str(error))
                await asyncio.sleep(wait)
                wait = min(2 * wait, longest)
            else:
                break
        self._complaints.over("store")
        self.took_s = steady_now() - began
        if done:
            self._written(folded)
        else:
            self._lost(generation)

    def _fold(self, buffer: Buffer, moves: tuple[Move, ...], plans: Plans) -> Folded:
        return fold(buffer, moves, plans, self._sample, self._encode(buffer, plans))
