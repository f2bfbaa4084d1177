"""How long a scrape of a worker takes that owns fifty models of fifty streams each.

make bench NAME=scrape                        # SQLite, a few seconds
make bench NAME=scrape ARGS="--models 200 --postgresql"

One JSON line, milliseconds of processor time and of wall time: the first scrape of a fresh worker,
one in which nothing is new, and one in which every model has closed a pane since.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from prometheus_client import CollectorRegistry, generate_latest

from agents.snapshot import FORMAT, Snapshot
from agents.stages.state import LifecycleState
from agents.watching.state import Reading, Track, WatchState
from detectors.quality import QualitySketch
from driftd.console.collector import StoreCollector
from driftd.control.policies import PolicyBook
from driftd.demo.children import Children
from driftd.metrics import Metrics
from driftd.store.migrate import migrate
from driftd.store.rows import QualityRow, StepWrite
from driftd.store.store import Store, open_store
from stack.postgres import Postgres

STREAMS, PANES, PANE_S = 50, 200, 600.0
REPEATS = 20
POLICY = """\
model: m{number}
labels: {{positive: "1"}}
clock: {{pane: 10m}}
"""


@dataclass(slots=True)
class Took:
    """Milliseconds of each scrape."""

    cpu: list[float]
    wall: list[float]

    def told(self) -> dict[str, float]:
        """The median and the worst."""
        return {
            "cpu_ms": round(float(np.median(self.cpu)), 1),
            "wall_ms": round(float(np.median(self.wall)), 1),
            "worst_wall_ms": round(max(self.wall), 1),
        }


def step(store: Store, model: str, panes: range) -> None:
    """Write a step of the model in which these panes have matured."""
    row = store.control.model_row(model)
    rng = np.random.default_rng(len(panes))
    tracks = {f"f{i}": Track(recent=tuple(rng.random(48).tolist())) for i in range(STREAMS)}
    readings = [
        Reading(
            stream=name, distance="ks", effect=0.1, tolerance=0.1, evidence=float(rng.random()),
            state="quiet", panes=4, at=panes.stop * PANE_S,
        )
        for name in tracks
    ]  # fmt: skip
    snapshot = Snapshot.new()
    watch = WatchState(tracks=tracks, readings=tuple(readings), learned=True)
    lifecycle = LifecycleState(champion="1")
    snapshot = msgspec.structs.replace(snapshot, watch=watch, lifecycle=lifecycle)
    scores, labels = rng.random(500), rng.integers(0, 2, 500)
    sketch = msgspec.msgpack.encode(
        QualitySketch.fold(scores, (scores > 0.5).astype(int), labels).to_dict()
    )
    store.control.commit(
        StepWrite(
            model=model,
            revision=row.revision,
            snapshot=snapshot.to_bytes(),
            snapshot_format=FORMAT,
            closed=panes.stop * PANE_S,
            readings=msgspec.json.encode(readings),
            quality_replace=tuple(
                QualityRow(
                    model=model, bucket=pane * PANE_S, version="1", variant="champion",
                    predictions=600, blob=sketch,
                )
                for pane in panes
            ),
        )
    )  # fmt: skip


def measure(url: str, models: int) -> dict[str, object]:
    """Fill a store and scrape it."""
    migrate(url)
    store = open_store(url)
    book = PolicyBook(store)
    names = [f"m{number}" for number in range(models)]
    for number, name in enumerate(names):
        _, mistakes = book.publish_text(POLICY.format(number=number), "benchmark")
        if mistakes:
            raise SystemExit(f"the policy is refused: {mistakes}")
        step(store, name, range(PANES))
    registry, metrics = CollectorRegistry(), Metrics()
    registry.register(StoreCollector(store, book.specs, lambda _: True, metrics))
    first, still, moved = Took([], []), Took([], []), Took([], [])
    page = scrape(registry, first)
    for turn in range(REPEATS):
        scrape(registry, still)
        for name in names:
            step(store, name, range(PANES + turn, PANES + turn + 1))
        scrape(registry, moved)
    store.close()
    return {
        "models": models,
        "series": sum(not line.startswith(b"#") for line in page.splitlines()),
        "bytes": len(page),
        "first": first.told(),
        "nothing_new": still.told(),
        "all_new": moved.told(),
    }


def scrape(registry: CollectorRegistry, took: Took) -> bytes:
    """One scrape, timed."""
    cpu, wall = time.process_time(), time.perf_counter()
    page = generate_latest(registry)
    took.cpu.append(1000 * (time.process_time() - cpu))
    took.wall.append(1000 * (time.perf_counter() - wall))
    return page


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--postgresql", action="store_true", help="a real PostgreSQL, not SQLite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        children = Children(folder)
        try:
            if options.postgresql:
                server = Postgres(children, folder / "postgres")
                server.start()
                url = server.create("driftd")
            else:
                url = f"sqlite:///{folder / 'driftd.db'}"
            print(json.dumps(measure(url, options.models)))
        finally:
            children.stop_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
