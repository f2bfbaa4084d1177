"""The control loop goes round: for who rang, for everybody each second, through outages."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from driftd.control import service
from driftd.control.doorbell import Doorbell, Ownership
from driftd.control.executor import Executor
from driftd.control.service import Control
from driftd.control.stepper import StepOutcome, Stepper
from driftd.errors import UnreachableError
from driftd.store.migrate import migrate
from driftd.store.store import Store, open_store
from driftd.telemetry import Metrics


class Owner(Ownership):
    """Owns every model."""

    def owns(self, model: str) -> bool:
        return True


class Steps:
    """Notes which models were stepped; ``act`` may raise."""

    def __init__(self, act: Callable[[str], Any] = lambda _model: None) -> None:
        self.models: list[str] = []
        self._act = act

    def step(self, model: str) -> StepOutcome:
        self.models.append(model)
        self._act(model)
        return StepOutcome(name="idle")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/driftd.db"
    migrate(url)
    store = open_store(url)
    yield store
    store.close()


class Loop:
    """A control loop on stand-in steps. Make it inside an event loop."""

    def __init__(self, store: Store, steps: Steps, models: Callable[[], tuple[str, ...]]) -> None:
        self.doorbell = Doorbell()
        self.stop = asyncio.Event()
        metrics = Metrics()
        self.control = Control(
            cast("Stepper", steps),
            Executor(store, {}, "w", metrics, lambda _: None),
            self.doorbell,
            Owner("driftd.control", 8),
            models=models,
            on_alerts=lambda _: None,
            metrics=metrics,
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        """Run the loop until something holds, then stop it."""
        running = asyncio.create_task(self.control.run(self.stop))
        while not holds() and not running.done():
            await asyncio.wait({running}, timeout=0.001)
        self.stop.set()
        await running


def test_the_models_are_never_read_on_the_event_loop(store: Store) -> None:
    readers: list[threading.Thread] = []

    def models() -> tuple[str, ...]:
        readers.append(threading.current_thread())
        return ("m",)

    steps = Steps()

    async def run() -> None:
        await Loop(store, steps, models).until(lambda: "m" in steps.models)

    asyncio.run(run())
    assert threading.main_thread() not in readers


def test_one_model_that_rings_all_the_time_starves_no_other(store: Store) -> None:
    async def run() -> None:
        loop = Loop(store, steps := Steps(), lambda: ("loud", "quiet"))

        def ring_again() -> bool:
            loop.doorbell.ring("loud")
            return "quiet" in steps.models

        await loop.until(ring_again)

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_store_that_is_away_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "TICK_S", 0.001)
    away = [True] * (2 * service.FAILURES_MAX)

    def reach(*_: Any) -> tuple[str, ...]:
        if away:
            away.pop()
            raise UnreachableError("store: away")
        return ("m",)

    async def run() -> None:
        steps = Steps(reach)
        loop = Loop(store, steps, reach)
        await loop.until(lambda: not away and bool(steps.models))

    asyncio.run(asyncio.wait_for(run(), 30))


def test_whoever_looks_is_answered_also_when_the_loop_ends(store: Store) -> None:
    def fail(_model: str) -> None:
        raise ZeroDivisionError("never thought of")

    async def run() -> None:
        loop = Loop(store, Steps(fail), lambda: ())
        running = asyncio.create_task(loop.control.run(loop.stop))
        for _ in range(service.FAILURES_MAX):
            await loop.control.look("m")
        with pytest.raises(ZeroDivisionError):
            await running
        await loop.control.look("m")

    asyncio.run(asyncio.wait_for(run(), 30))
