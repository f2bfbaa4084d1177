"""How long models and partitions are without an owner when a worker stops, and when it is killed.

make bench NAME=handover                     # 3 workers, 5 rounds of each
make bench NAME=handover ARGS="--rounds 2"

One JSON line: for SIGTERM and for kill -9 the seconds until the others own every model and every
partition of events (median and worst), how long a worker took to end, and whether every record that
was sent meanwhile is counted once.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from driftd.clock import wall_now
from driftd.demo.children import Children
from stack.kafka import Kafka
from stack.postgres import Postgres
from stack.workers import CONTROL_PARTITIONS, Workers

WORKERS = ("a", "b", "c")
MODELS = tuple(f"model-{n}" for n in range(12))
WAIT_S, POLL_S, SETTLE_S = 60.0, 0.02, 8.0
EVENTS = 20


def newest(workers: Workers, worker: str, start: int) -> tuple[frozenset[int], int]:
    """Control partitions and number of source partitions that a worker says it owns, by the lines of
    its log from ``start`` on."""
    control: frozenset[int] = frozenset()
    sources = 0
    for line in workers.children.log(worker).read_text().splitlines()[start:]:
        if '"own partitions"' not in line:
            continue
        told = json.loads(line)
        if "topic" in told:
            control = frozenset(told["partitions"])
        else:
            sources = told["count"]
    return control, sources


def lines(workers: Workers, worker: str) -> int:
    """How long a worker's log is."""
    return len(workers.children.log(worker).read_text().splitlines())


def taken_over(workers: Workers, others: dict[str, int], since: float) -> float:
    """Seconds until ``others`` (worker -> where its log stood) own everything again."""
    while time.monotonic() - since < WAIT_S:
        owned = [newest(workers, worker, start) for worker, start in others.items()]
        control = frozenset[int]().union(*(mine for mine, _ in owned))
        if len(control) == CONTROL_PARTITIONS and sum(n for _, n in owned) == workers.partitions:
            return time.monotonic() - since
        time.sleep(POLL_S)
    raise SystemExit(f"nobody took over within {WAIT_S:.0f} s")


def play(workers: Workers, rounds: int, how: str) -> tuple[list[float], list[float]]:
    """Stop one worker after the other; (seconds to take over, seconds to end)."""
    took, ended = [], []
    for n in range(rounds):
        victim = WORKERS[n % len(WORKERS)]
        others = {w: lines(workers, w) for w in WORKERS if w != victim}
        workers.produce(MODELS[n % len(MODELS)], EVENTS, wall_now())
        started = time.monotonic()
        if how == "kill":
            workers.kill(victim)
            took.append(taken_over(workers, others, started))
        else:
            ending = threading.Thread(target=lambda w=victim: ended.append(workers.terminate(w)))
            ending.start()
            took.append(taken_over(workers, others, started))
            ending.join()
        print(f"{how} {victim}: {took[-1]:.1f} s", file=sys.stderr)
        workers.start(victim)
        time.sleep(SETTLE_S)
    return took, ended


def counted_once(workers: Workers) -> bool:
    """Whether the store counts what the broker holds."""
    there = sum(workers.kafka.offsets({workers.events: workers.partitions}).values())
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        [(counted,)] = workers.sql("SELECT coalesce(sum(records), 0) FROM position")
        if counted == there:
            return True
        time.sleep(POLL_S)
    return False


def spread(name: str, seconds: list[float]) -> dict[str, float]:
    """Median and worst."""
    return {
        f"{name}_p50_s": round(statistics.median(seconds), 2),
        f"{name}_max_s": round(max(seconds), 2),
    }


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="driftd-handover-") as name:
        folder = Path(name)
        children = Children(folder / "servers")
        kafka, postgres = Kafka(children, folder / "kafka"), Postgres(children, folder / "postgres")
        try:
            kafka.start()
            postgres.start()
            workers = Workers(kafka, postgres, folder / "workers", "handover", partitions=8)
            workers.create_topics()
            for worker in WORKERS:
                for model in MODELS:
                    workers.put_policy(worker, model)
            try:
                for worker in WORKERS:
                    workers.start(worker)
                time.sleep(SETTLE_S)
                term, ended = play(workers, rounds, "term")
                kill, _ = play(workers, rounds, "kill")
                exact = counted_once(workers)
            finally:
                workers.children.stop_all()
        finally:
            children.stop_all()
    told = {
        "rounds": rounds,
        **spread("term", term),
        **spread("end", ended),
        **spread("kill", kill),
    }
    print(json.dumps({**told, "session_timeout_s": 6, "counted_once": exact}))


if __name__ == "__main__":
    main()
