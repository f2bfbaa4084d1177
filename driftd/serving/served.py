"""A model version that is kept alive: one child, restarted when it dies, asked in micro-batches."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from driftd.clock import steady_now
from driftd.errors import DriftdError
from driftd.serving.child import ChildDiedError, LoadError, Row, ScoringError

log = structlog.get_logger()

BATCH_ROWS_MAX = 512
WAITING_ROWS_MAX = 20_000
BACK_OFF_FIRST_S = 0.2
BACK_OFF_MAX_S = 30.0
# A child that lived this long starts its back-off anew.
SOUND_LIFE_S = 60.0

POSITIVE_FROM = 0.5


class ModelProcess(Protocol):
    """A loaded version that is asked one batch at a time; `child.Child` is the real one."""

    @property
    def version(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def positive(self) -> str: ...
    @property
    def negative(self) -> str: ...

    async def ask(self, rows: Sequence[Row]) -> list[float]:
        """One score a row. Raises ChildDiedError, ScoringError or UnfitError."""
        ...

    async def wait(self) -> None:
        """Return when it has ended."""

    async def stop(self) -> None:
        """End it."""


# Starts a process for a version; raises LoadError.
Start = Callable[[str], Awaitable[ModelProcess]]


class OverloadedError(DriftdError):
    """More requests wait than may wait; try again in a moment."""


@dataclass(slots=True, eq=False)
class _Job:
    rows: Sequence[Row]
    alone: bool
    patient: bool
    done: asyncio.Future[list[float]]


@dataclass(slots=True, eq=False)
class ServedVersion:
    """Scores for one version. While the child computes, requests gather and then go as one batch.

    `background` requests ride along where a batch has room, and wait where it has not.
    """

    version: str
    start: Start
    on_loaded: Callable[[str], None]
    sample: Callable[[], Sequence[Row]]
    """Rows that were answered lately, to warm a new process with."""
    child: ModelProcess | None = None
    was_loaded: bool = False
    problem: str = ""
    """Why there is no child now; empty while all is well."""
    restarts: int = 0
    labels: tuple[str, str] = ("0", "1")
    """The names of (negative, positive)."""
    waiting_rows: int = 0
    _live: deque[_Job] = field(default_factory=deque)
    _background: deque[_Job] = field(default_factory=deque)
    _asked: int = 0
    _closed: bool = False
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Start working; the child given (if any) is the first."""
        self._idle.set()
        self._task = asyncio.create_task(self._live_on(), name=f"version {self.version}")

    async def score(
        self, rows: Sequence[Row], *, background: bool = False, alone: bool = False,
        patient: bool = True,
    ) -> list[float]:  # fmt: skip
        """One score a row. Raises OverloadedError, ScoringError, or ChildDiedError: at once when
        the child is away and the caller not `patient`, else only for what it died on. What may
        have killed a child is asked again `alone`, so that it takes nobody with it.
        """
        if self._closed or (self.child is None and not patient):
            raise ChildDiedError(f"version {self.version} is away: {self.problem or 'loading'}")
        if self.waiting_rows + len(rows) > WAITING_ROWS_MAX:
            raise OverloadedError(f"{self.waiting_rows} instances wait for version {self.version}")
        job = _Job(rows, alone, patient, asyncio.get_running_loop().create_future())
        (self._background if background else self._live).append(job)
        self.waiting_rows += len(rows)
        self._asked += 1
        self._idle.clear()
        self._work.set()
        try:
            return await job.done
        finally:
            self._asked -= 1
            if not self._asked:
                self._idle.set()

    def named(self, scores: Sequence[float]) -> list[str]:
        """The label that each score predicts."""
        negative, positive = self.labels
        return [positive if score >= POSITIVE_FROM else negative for score in scores]

    async def stop(self, patience_s: float = 10.0) -> None:
        """Finish what was asked, then end the child."""
        try:
            async with asyncio.timeout(patience_s):
                await self._idle.wait()
        except TimeoutError:
            log.warning("left requests", version=self.version, requests=self._asked)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._closed = True
        self._fail(f"version {self.version} was stopped", patient_too=True)

    async def _live_on(self) -> None:
        back_off = 0.0
        while True:
            started = steady_now()
            try:
                child = self.child or await self._started()
            except (LoadError, ChildDiedError) as error:
                self.problem = str(error)
                log.warning("could not load version", version=self.version, problem=self.problem)
            else:
                await self._keep(child)
                self.restarts += 1
            back_off = 0.0 if steady_now() - started > SOUND_LIFE_S else back_off
            await asyncio.sleep(back_off)
            back_off = min(BACK_OFF_MAX_S, max(BACK_OFF_FIRST_S, 2 * back_off))

    async def _started(self) -> ModelProcess:
        """A new process that has answered once, so that no caller pays for its first answer."""
        child = await self.start(self.version)
        try:
            if rows := self.sample():
                with contextlib.suppress(ScoringError):
                    await child.ask(rows)
        except BaseException:
            await child.stop()
            raise
        return child

    async def _keep(self, child: ModelProcess) -> None:
        """Work with `child` until it ends."""
        self.child, self.problem = child, ""
        self.labels = (child.negative, child.positive)
        log.info("loaded version", version=self.version, pid=child.pid)
        if not self.was_loaded:
            self.was_loaded = True
            self.on_loaded(self.version)
        end = asyncio.create_task(child.wait())
        working = asyncio.create_task(self._answer(child))
        try:
            await asyncio.wait({end, working}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.child = None
            self.problem = f"the process of version {self.version} ended and is started again"
            end.cancel()
            working.cancel()
            await asyncio.wait({end, working})
            await child.stop()
        log.warning("version died", version=self.version, pid=child.pid)
        self._fail(self.problem, patient_too=False)

    async def _answer(self, child: ModelProcess) -> None:
        """Answer batch after batch; returns when the child has died on one."""
        while True:
            batch = self._take()
            if not batch:
                self._work.clear()
                await self._work.wait()
                continue
            try:
                await _ask(child, batch)
            except ChildDiedError as error:
                _settle(batch, error)
                return
            except BaseException:
                # Cancelled: the process has ended, or is to end. No request may hang on that.
                _settle(batch, ChildDiedError(f"the process of version {self.version} ended"))
                raise

    def _take(self) -> list[_Job]:
        """The next batch: the live ones in their order, then the background as there is room."""
        batch: list[_Job] = []
        rows = 0
        for queue in (self._live, self._background):
            while queue:
                job = queue[0]
                if batch and (job.alone or batch[0].alone or rows + len(job.rows) > BATCH_ROWS_MAX):
                    return batch
                queue.popleft()
                self.waiting_rows -= len(job.rows)
                if not job.done.done():  # else its caller has left
                    batch.append(job)
                    rows += len(job.rows)
        return batch

    def _fail(self, why: str, *, patient_too: bool) -> None:
        for queue in (self._live, self._background):
            for _ in range(len(queue)):
                job = queue.popleft()
                if job.patient and not patient_too:
                    queue.append(job)
                    continue
                self.waiting_rows -= len(job.rows)
                _settle([job], ChildDiedError(why))


async def _ask(child: ModelProcess, batch: list[_Job]) -> None:
    """Ask for a batch; when the model refuses it, for each request alone: one caller's bad
    instance is not another's failure. Raises ChildDiedError."""
    try:
        scores = await child.ask([row for job in batch for row in job.rows])
    except ScoringError as error:
        if len(batch) == 1:
            _settle(batch, error)
            return
        for job in batch:
            await _ask(child, [job])
        return
    start = 0
    for job in batch:
        end = start + len(job.rows)
        if not job.done.done():
            job.done.set_result(scores[start:end])
        start = end


def _settle(batch: list[_Job], error: Exception) -> None:
    for job in batch:
        if not job.done.done():
            job.done.set_exception(error)
