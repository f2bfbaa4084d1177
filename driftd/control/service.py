"""The control loop: whoever owns a model looks at it when rung and at every tick."""

import asyncio
from collections.abc import Callable

import structlog

from agents.alerter import Alert
from driftd.clock import steady_now
from driftd.control.doorbell import Doorbell, Ownership
from driftd.control.executor import Executor
from driftd.control.stepper import Stepper
from driftd.telemetry import Metrics

log = structlog.get_logger()

TICK_S = 1.0
FAILURES_MAX = 30


class Control:
    """Steps models one at a time; the store's compare-and-set makes a second stepper harmless."""

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
        self._looked: dict[str, list[asyncio.Future[None]]] = {}
        self.last_step = steady_now()

    async def look(self, model: str) -> None:
        """Ring for a model and return when it has been looked at (or is not ours)."""
        if not self._ownership.owns(model):
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._looked.setdefault(model, []).append(done)
        self._doorbell.ring(model)
        await done

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``. A model whose step fails is tried again; thirty in a row end the worker,
        so that the supervisor starts a fresh one."""
        while not stop.is_set():
            rung = await self._doorbell.wait(TICK_S)
            for model in rung or self._models():
                if self._ownership.owns(model):
                    await self._step(model)
                self._answer(model)
            self.last_step = steady_now()

    async def _step(self, model: str) -> None:
        started = steady_now()
        try:
            outcome = await asyncio.to_thread(self._stepper.step, model)
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
