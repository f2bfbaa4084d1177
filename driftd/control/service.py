"""The control loop: whoever owns a model looks at it when rung and at every tick."""

import asyncio
from collections.abc import Callable

import structlog

from agents.alerter import Alert
from driftd.clock import steady_now
from driftd.control.doorbell import Doorbell, Ownership
from driftd.control.executor import Executor
from driftd.control.stepper import Stepper
from driftd.control.stopping import after
from driftd.errors import OutsideError
from driftd.telemetry import Complaints, Metrics

log = structlog.get_logger()

TICK_S = 1.0
FAILURES_MAX = 30


class Control:
    """Steps models one at a time; the store's compare-and-set makes a second stepper harmless.

    ``models`` blocks on the store; it is called in a thread.
    """

    def __init__(
        self,
        stepper: Stepper,
        executor: Executor,
        doorbell: Doorbell,
        ownership: Ownership,
        *,
        models: Callable[[], tuple[str, ...]],
        on_alerts: Callable[[tuple[Alert, ...]], None],
        metrics: Metrics,
    ) -> None:
        self._stepper = stepper
        self._executor = executor
        self._doorbell = doorbell
        self._ownership = ownership
        self._models = models
        self._on_alerts = on_alerts
        self._metrics = metrics
        self._failures = 0
        self._ended = False
        self._complaints = Complaints(log)
        self._looked: dict[str, list[asyncio.Future[None]]] = {}
        self.last_step = steady_now()

    async def look(self, model: str) -> None:
        """Ring for a model and return when it has been looked at, or when nobody here looks."""
        if self._ended or not self._ownership.owns(model):
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._looked.setdefault(model, []).append(done)
        self._doorbell.ring(model)
        await done

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``. A model whose step fails is tried again; thirty in a row end the worker,
        so that the supervisor starts a fresh one. A store that is away is waited for."""
        self.last_step = steady_now()
        waking = asyncio.create_task(after(stop, self._doorbell.ring))
        try:
            due = steady_now()
            while not stop.is_set():
                models = dict.fromkeys(await self._doorbell.wait(max(0.0, due - steady_now())))
                if steady_now() >= due:
                    # Not only when nobody rings: a model without events has its ticks as well.
                    due = steady_now() + TICK_S
                    models |= dict.fromkeys(await self._all())
                await self._round(tuple(models), stop)
                self.last_step = steady_now()
        finally:
            waking.cancel()
            self._ended = True
            for model in tuple(self._looked):
                self._answer(model)

    async def _round(self, models: tuple[str, ...], stop: asyncio.Event) -> None:
        for model in models:
            if stop.is_set():
                return
            if self._ownership.owns(model):
                await self._step(model)
                # A store that is away costs each model a time-out: slow, but no stall.
                self.last_step = steady_now()
            self._answer(model)

    async def _all(self) -> tuple[str, ...]:
        try:
            return await asyncio.to_thread(self._models)
        except OutsideError as error:
            self._complaints.say("models", "wait for store", why=str(error))
            return ()

    async def _step(self, model: str) -> None:
        started = steady_now()
        try:
            outcome = await asyncio.to_thread(self._stepper.step, model)
        except OutsideError as error:
            # A fresh process would find the store away as well.
            self._metrics.steps.labels(model=model, outcome="failed").inc()
            self._complaints.say("step", "wait for store", model=model, why=str(error))
            return
        except Exception:
            self._failures += 1
            self._metrics.steps.labels(model=model, outcome="failed").inc()
            log.exception("fail step", model=model, failures=self._failures)
            if self._failures >= FAILURES_MAX:
                raise
            return
        self._failures = 0
        self._metrics.step_seconds.observe(steady_now() - started)
        self._metrics.steps.labels(model=model, outcome=outcome.name).inc()
        if outcome.alerts:
            self._on_alerts(outcome.alerts)
        if outcome.commands:
            self._executor.wake()
        if outcome.again:
            self._doorbell.ring(model)

    def _answer(self, model: str) -> None:
        for done in self._looked.pop(model, ()):
            if not done.done():
                done.set_result(None)
