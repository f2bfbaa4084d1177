"""The reconcile tick tells what changed, once, and outlives whatever is away."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from driftd.clients.registry import Registry
from driftd.control import reconcile as module
from driftd.control.doorbell import Doorbell, Ownership
from driftd.control.reconcile import Reconcile
from driftd.errors import UnreachableError
from policies.specs import ModelSpec
from tests.support.control import MODEL, POLICY, Bench


class Aliases:
    """A registry that says these aliases, once for each tick; the last ones for ever."""

    def __init__(self, *told: Any) -> None:
        self._told = list(told)
        self.asked = 0
        self.deleted: set[str] = set()

    def aliases(self, _name: str) -> dict[str, str]:
        self.asked += 1
        told = self._told.pop(0) if len(self._told) > 1 else self._told[0]
        if isinstance(told, Exception):
            raise told
        found: dict[str, str] = told
        return found

    def missing(self, _name: str, versions: Any) -> tuple[str, ...]:
        """Those that somebody deleted."""
        return tuple(version for version in versions if version in self.deleted)


class Owner(Ownership):
    """Owns every model."""

    def owns(self, model: str) -> bool:
        return True


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(module, "EVERY_S", 0.001)
    bench = Bench(tmp_path)
    bench.publish()
    yield bench
    bench.store.close()


def tick(bench: Bench, registry: Aliases, times: int, specs: Any = None) -> None:
    """Run the service until the registry was asked so many times; the model steps in between."""

    def stepped() -> dict[str, ModelSpec]:
        bench.step()
        return bench.book.specs()

    async def run() -> None:
        service = Reconcile(
            bench.store, cast("Registry", registry), {}, specs or stepped,
            Owner("driftd.control", 8), Doorbell(),
        )  # fmt: skip
        running = asyncio.create_task(service.run())
        while registry.asked < times and not running.done():
            await asyncio.wait({running}, timeout=0.001)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_registry_without_a_champion_is_told_once(bench: Bench) -> None:
    bench.step()
    bench.settle()
    before = bench.store.control.model_row(MODEL)

    tick(bench, Aliases({}), times=5)

    assert bench.store.control.model_row(MODEL).revision <= before.revision + 1


def test_a_foreign_champion_is_told_until_it_is_believed_and_no_longer(bench: Bench) -> None:
    bench.step()
    bench.settle()

    tick(bench, Aliases({"champion": "9"}), times=8)

    told = [row.what for row in bench.store.views.decisions(MODEL)]
    assert told.count("adopt") == 1
    assert bench.store.control.model_row(MODEL).revision < 8


def test_a_registry_and_a_store_that_are_away_are_waited_for(bench: Bench) -> None:
    away: list[Exception] = [UnreachableError("store: away"), UnreachableError("store: away")]

    def specs() -> dict[str, ModelSpec]:
        if away:
            raise away.pop()
        return bench.book.specs()

    registry = Aliases(UnreachableError("away"), ZeroDivisionError("a surprise"), {"champion": "1"})
    tick(bench, registry, 3, specs)

    assert away == []


def test_a_deleted_champion_is_told_once_and_stays_in_traffic(bench: Bench) -> None:
    bench.step()
    bench.settle()
    registry = Aliases({"champion": "1"}, {"champion": "1"}, {})
    registry.deleted = {"1"}

    tick(bench, registry, times=8)

    lines = [row for row in bench.store.views.decisions(MODEL) if row.what == "ticket"]
    assert [line.why.startswith("version 1, the champion, was deleted") for line in lines] == [True]
    assert bench.store.views.status(MODEL, 1).model.revision < 8


def test_a_registry_that_hangs_costs_one_question_a_tick_whatever_the_fleet(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        bench.publish(POLICY.replace(f"model: {MODEL}", f"model: {name}"))
    ticks = []

    def specs() -> dict[str, ModelSpec]:
        ticks.append(registry.asked)
        return bench.book.specs()

    registry = Aliases(UnreachableError("it took longer than 20 s"))
    tick(bench, registry, 3, specs)

    assert ticks[:3] == [0, 1, 2]


def test_after_a_rebalance_what_was_told_before_counts_no_more(bench: Bench) -> None:
    """Another worker may have owned the model in between and told something else."""
    owner, registry = Owner("driftd.control", 8), Aliases({"champion": "1"})
    service = Reconcile(
        bench.store, cast("Registry", registry), {}, bench.book.specs, owner, Doorbell()
    )

    async def ticks(count: int) -> int:
        """How many observations as many ticks tell."""
        running = asyncio.create_task(service.run())
        before = registry.asked
        while registry.asked < before + count and not running.done():
            await asyncio.wait({running}, timeout=0.001)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        told = bench.store.views.pulse(MODEL).inbox
        bench.step()
        return told

    asyncio.run(ticks(3))
    bench.step()
    assert asyncio.run(ticks(3)) == 0
    owner.revoked([])
    owner.assigned([])
    assert asyncio.run(ticks(3)) == 1
