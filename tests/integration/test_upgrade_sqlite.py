"""First upgrade: a store that v0.1.0 left behind in the middle of a canary is taken over and finished.

``tests/data`` holds the store; ``tests/data/make_store.py`` made it with v0.1.0's own code.
"""

import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from driftd.demo.broker import start_broker
from driftd.demo.children import Children, free_port
from driftd.demo.client import DaemonClient
from driftd.store.store import open_store
from tests.support.canary_world import (
    CHALLENGER,
    DAY_S,
    MODEL,
    START,
    TOPICS,
    CanaryWorld,
    register_versions,
    select,
    write_settings,
)
from tests.support.old_version import DATA

STORE = DATA / "store-0.1.0.db.xz"
DAYS_MAX = 8
DECISIONS = "SELECT what FROM decision ORDER BY id"
DECIDED_BEFORE = [
    "know champion", "tell", "tell", "accept challenger", "canary", "next step",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Upgraded:
    """The new daemon on the old store, before it has seen a new record."""

    world: CanaryWorld
    registry: MlflowClient
    store: Path

    def decided(self) -> list[str]:
        """What was decided since the upgrade, oldest first."""
        return [what for (what,) in select(self.store, DECISIONS)][len(DECIDED_BEFORE) :]

    def aliases(self) -> dict[str, str]:
        """Where the registry's aliases point."""
        return dict(self.registry.get_registered_model(MODEL).aliases)


@pytest.fixture
def upgraded(request: pytest.FixtureRequest, tmp_path: Path, mlflow_url: str) -> Iterator[Upgraded]:
    file = tmp_path / "driftd.db"
    file.write_bytes(lzma.decompress(STORE.read_bytes()))
    assert select(file, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert select(file, "SELECT rollout_open FROM model_state") == [(1,)]
    assert [what for (what,) in select(file, DECISIONS)] == DECIDED_BEFORE
    [(closed,)] = select(file, "SELECT closed FROM model_state")
    registry = register_versions(mlflow_url, {"champion": "1", "challenger": CHALLENGER})
    children, port = Children(tmp_path), free_port()
    broker = start_broker(TOPICS, tmp_path / "broker")
    settings = write_settings(
        tmp_path, bootstrap=broker.bootstrap, tracking_uri=mlflow_url, port=port,
        store="sqlite:///driftd.db",
    )  # fmt: skip
    world = CanaryWorld(
        children=children, broker=broker, settings=settings, daemon=DaemonClient(port, MODEL),
        skill=request.param, day=round((closed - START) / DAY_S),
    )  # fmt: skip
    try:
        world.start()
        yield Upgraded(world=world, registry=registry, store=file)
    finally:
        children.stop_all()
        broker.stop()
        registry.delete_registered_model(MODEL)


@pytest.mark.parametrize("upgraded", [{"1": 0.3, "2": 1.0}], indirect=True, ids=["better"])
def test_a_canary_of_the_first_release_goes_on_to_its_promotion(upgraded: Upgraded) -> None:
    world = upgraded.world
    assert select(upgraded.store, "SELECT version_num FROM alembic_version") == [("0002",)]
    world.until(lambda: weights(world) == {"1": 0.5, "2": 0.5}, "its traffic is told again")
    play_until(upgraded, "promoted")

    assert upgraded.aliases() == {"champion": "2", "previous": "1", "challenger": "2"}
    assert weights(world) == {"2": 1.0}
    play_until(upgraded, "end probation")
    store = open_store(f"sqlite:///{upgraded.store}")
    alias_moves = [row.state for row in store.views.commands(MODEL, "alias")]
    assert alias_moves == ["done"], "once, whatever was begun before the upgrade"
    assert len({row.revision for row in store.policies.all()}) == 1, (
        "the same file, no new revision"
    )
    assert store.policies.all()[0].revision == 1
    store.close()


@pytest.mark.parametrize("upgraded", [{"1": 1.0, "2": -1.0}], indirect=True, ids=["harmful"])
def test_a_canary_of_the_first_release_is_taken_back_when_it_does_harm(upgraded: Upgraded) -> None:
    play_until(upgraded, "rolled back")

    assert upgraded.aliases()["champion"] == "1"
    assert weights(upgraded.world) == {"1": 1.0}
    assert upgraded.registry.get_model_version(MODEL, CHALLENGER).tags


def weights(world: CanaryWorld) -> dict[str, float]:
    return {one["version"]: one["weight"] for one in world.routing().get("routes", ())}


def play_until(upgraded: Upgraded, what: str) -> None:
    """Days of traffic until it is decided."""
    for _ in range(DAYS_MAX):
        if what in upgraded.decided():
            return
        upgraded.world.one_day()
    raise AssertionError(f"not decided in {DAYS_MAX} days: {what}; but {upgraded.decided()}")
