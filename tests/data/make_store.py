"""Makes ``store-0.1.0.db.xz``: a SQLite store in which v0.1.0 has a canary at its step of 50 %.

    python -m tests.data.make_store

v0.1.0 runs from its own sources (``driftd-0.1.0.tar.xz``) against the embedded broker and a real
MLflow server, is given a better version 2 by another team, and is killed with -9 on the first day of
the second step.
"""

import lzma
import sqlite3
import tempfile
from pathlib import Path

import msgspec

from driftd.demo.broker import EmbeddedBroker, start_broker
from driftd.demo.children import Children, free_port
from driftd.demo.client import DaemonClient
from stack.mlflow import Mlflow
from tests.support.canary_world import (
    CHALLENGER,
    MODEL,
    TOPICS,
    CanaryWorld,
    register_versions,
    select,
    write_settings,
)
from tests.support.old_version import DATA, old_command, old_environment, unpack_old

STORE = DATA / "store-0.1.0.db.xz"
DAYS_BEFORE, DAYS_MAX = 2, 12


def main() -> None:
    """Run the story in a folder of its own and pack what it leaves."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        children = Children(folder)
        broker = start_broker(TOPICS, folder / "broker")
        try:
            registry = Mlflow(children, folder / "mlflow")
            registry.start()
            register_versions(registry.url, {"champion": "1"})
            _play(folder, children, broker, registry.url)
        finally:
            children.stop_all()
            broker.stop()
        _pack(folder / "driftd.db")


def _play(folder: Path, children: Children, broker: EmbeddedBroker, tracking_uri: str) -> None:
    port = free_port()
    settings = write_settings(
        folder, bootstrap=broker.bootstrap, tracking_uri=tracking_uri, port=port,
        store="sqlite:///driftd.db",
    )  # fmt: skip
    old = unpack_old(folder / "old")
    world = CanaryWorld(
        children=children,
        broker=broker,
        settings=settings,
        daemon=DaemonClient(port, MODEL),
        skill={"1": 0.3, "2": 1.0},
        command=old_command("run", "--settings", str(settings)),
        environment=old_environment(old),
    )
    world.start()
    for _ in range(DAYS_BEFORE):
        world.one_day()
    arguments = {"version": CHALLENGER, "gate": "external"}
    assert world.daemon.ask("canary", "another team", arguments, "hand-in")
    for _ in range(DAYS_MAX):
        world.one_day()
        weights = {one["version"]: one["weight"] for one in world.routing().get("routes", ())}
        print(
            f"day {world.day}: {weights}, {select(folder / 'driftd.db', 'SELECT what FROM decision')[-3:]}"
        )
        if weights.get(CHALLENGER) == 0.5:
            break
    else:
        raise RuntimeError(f"no step of 50 % after {DAYS_MAX} days:\n{children.log_tail('daemon')}")
    world.one_day()
    children.kill("daemon")
    print(msgspec.json.encode(world.routing()).decode())


def _pack(file: Path) -> None:
    store = sqlite3.connect(file)
    store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.execute("PRAGMA journal_mode=DELETE")
    store.execute("VACUUM")
    store.close()
    STORE.write_bytes(lzma.compress(file.read_bytes(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{STORE.name}: {STORE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
