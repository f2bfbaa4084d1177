"""How long a version that was taken back goes on answering: roll-backs under traffic, by evidence.

make bench NAME=rollback                       # 50 roll-backs, in half of them MLflow is stopped
make bench NAME=rollback ARGS="--rollbacks 4"

One JSON line: `harmed_ms` is the wall time from the commit of the roll-back decision (the journal's
`wall_at`) to the last live answer of the barred version, as the client that asked received it.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from driftd.clock import wall_now
from driftd.demo.children import Children
from driftd.demo.client import DaemonClient
from stack.fragile import MODEL
from stack.world import EXAMPLES, World

WORKERS = ("worker-1", "worker-2")
ASKING, PAUSE_S = 4, 0.02
TRAPPED = 0.3
WAIT_S = 180.0
SETTLE_S = 1.5
"""After traffic is back: nothing of the barred version may come any more."""
KILL_EVERY = 10
POLICY = f"""\
model: {MODEL}
mode: auto
labels: {{arrive_within: 1h, positive: "1"}}
clock: {{pane: 10s, lateness: 1s, idle: 2s}}
retrain: {{trainer: tabular}}
canary:
  steps: [{{weight: 50%, for: 1h}}]
  judge: [{{metric: error_rate, roll_back_above: 1.2x, promote_below: 2x}}]
  give_up_after: 6h
promote: {{probation: 1h}}
"""


@dataclass(slots=True)
class Asker:
    """Asks all the time and remembers when each version answered last, and how often since."""

    server: str
    trap: bool = False
    answered: list[tuple[float, str]] = field(default_factory=list)
    failed: int = 0
    asked: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def run(self, seed: int) -> None:
        """One thread's life."""
        rng = random.Random(seed)
        with httpx.Client(base_url=self.server, timeout=30, trust_env=False) as client:
            while not self.over.wait(PAUSE_S):
                trapped = self.trap and rng.random() < TRAPPED
                row = {"x": rng.random(), "trap": float(trapped)}
                body = {"instances": [row], "subject": str(rng.random())}
                self.asked += 1
                try:
                    answer = client.post("/predict", json=body)
                except httpx.HTTPError:
                    self.failed += 1
                    continue
                if answer.is_success:
                    self.answered.append((wall_now(), answer.json()["predictions"][0]["version"]))
                else:
                    self.failed += 1

    def last(self, version: str, since: float) -> tuple[float, int]:
        """When the version answered last, and how many answers came after ``since``."""
        times = [at for at, one in tuple(self.answered) if one == version]
        return max(times, default=0.0), sum(at > since for at in times)


@dataclass(slots=True)
class Benchmark:
    """The stack, and what was measured."""

    world: World
    daemon: DaemonClient
    asker: Asker
    harmed_ms: list[float] = field(default_factory=list)
    stopped_ms: list[float] = field(default_factory=list)
    harmed_requests: int = 0
    decided_after_s: list[float] = field(default_factory=list)

    def roll_back(self, version: str, how: str) -> None:
        """Bring a version into the canary, let it fail, and wait until it is taken back. ``how``:
        what happens to MLflow before it begins to fail."""
        self._wait(lambda: self._pulse("stage") == "watching" and not self._pulse("busy"), "rest")
        arguments = {"version": version, "gate": "external"}
        self._wait(
            lambda: self.daemon.ask("canary", "benchmark", arguments, f"canary-{version}"), "ask"
        )
        self._wait(lambda: self.asker.last(version, 0.0)[0] > 0, f"traffic on {version}")
        mlflow = self.world.mlflow
        if how == "frozen":
            mlflow.freeze()
        elif how == "killed":
            mlflow.kill()
        began = wall_now()
        self.asker.trap = True
        decision = self._decided(version)
        self.asker.trap = False
        self._wait(lambda: wall_now() - max(began, self.asker.last(version, 0.0)[0]) > SETTLE_S, "")
        last, after = self.asker.last(version, decision["wall_at"])
        harmed = max(0.0, 1000 * (last - decision["wall_at"]))
        self.harmed_ms.append(harmed)
        self.harmed_requests += after
        self.decided_after_s.append(decision["wall_at"] - began)
        if how == "frozen":
            mlflow.thaw()
        elif how == "killed":
            mlflow.start()
        if how:
            self.stopped_ms.append(harmed)
        print(f"{version}: harmed {harmed:.0f} ms, {after} answers {how}", file=sys.stderr)

    def _decided(self, version: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = []

        def look() -> bool:
            status = self.daemon.status() or {"decisions": []}
            found[:] = [
                one
                for one in status["decisions"]
                if one["what"] == "roll back" and one["evidence"].get("candidate") == version
            ]
            return bool(found)

        self._wait(look, f"the decision on {version}")
        return found[0]

    def _pulse(self, name: str) -> Any:
        return (self.daemon.pulse() or {"busy": True, "stage": ""})[name]

    def _wait(self, is_so: Any, what: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not is_so():
            if time.monotonic() > deadline:
                raise SystemExit(f"waited {WAIT_S:.0f} s for {what}: {self.daemon.status()}")
            time.sleep(0.02)


def run(folder: Path, rollbacks: int) -> dict[str, Any]:
    """The whole benchmark; its figures."""
    world = World(folder, settings={"ingest": {"flush": "1s", "flush_canary": "200ms"}})
    try:
        world.start()
        register(world.children, world.mlflow.url, rollbacks)
        world.put_policy(f"{MODEL}.yaml", POLICY)
        for worker in WORKERS:
            world.start_worker(worker)
        port = json.loads(world.start_server(MODEL).read_text())["port"]
        asker = Asker(f"http://127.0.0.1:{port}")
        daemon = DaemonClient(world.ports[WORKERS[0]], MODEL)
        benchmark = Benchmark(world, daemon, asker)
        with ThreadPoolExecutor(ASKING, "asking") as pool:
            for seed in range(ASKING):
                pool.submit(asker.run, seed)
            try:
                for i in range(rollbacks):
                    benchmark.roll_back(str(i + 2), _how(i))
            finally:
                asker.over.set()
        return figures(benchmark)
    finally:
        world.stop()


def _how(i: int) -> str:
    """In every second roll-back MLflow is away: mostly it hangs, now and then it is gone."""
    if i % 2 == 0:
        return ""
    return "killed" if i % KILL_EVERY == 1 else "frozen"


def register(children: Children, uri: str, count: int) -> None:
    """A champion and ``count`` fragile versions, made by a process of their own."""
    script = EXAMPLES.parent / "stack" / "fragile.py"
    children.start("register", [sys.executable, "-I", str(script), uri, str(count)])
    children.finish("register", WAIT_S)


def figures(benchmark: Benchmark) -> dict[str, Any]:
    """What is printed."""
    harmed = np.array(benchmark.harmed_ms)
    return {
        "benchmark": "rollback",
        "n": len(harmed),
        "mlflow_stopped": len(benchmark.stopped_ms),
        "p50_ms": round(float(np.quantile(harmed, 0.5)), 1),
        "p99_ms": round(float(np.quantile(harmed, 0.99)), 1),
        "max_ms": round(float(harmed.max()), 1),
        "mlflow_stopped_max_ms": round(max(benchmark.stopped_ms, default=0.0), 1),
        "harmed_requests": benchmark.harmed_requests,
        "requests": benchmark.asker.asked,
        "failed_requests": benchmark.asker.failed,
        "decided_after_p50_s": round(float(np.median(benchmark.decided_after_s)), 2),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollbacks", type=int, default=50)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="driftd-rollback-") as folder:
        print(json.dumps(run(Path(folder), asked.rollbacks)))


if __name__ == "__main__":
    main()
