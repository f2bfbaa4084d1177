"""Each service stopped for a minute and started again, one after the other, under live traffic.

make bench NAME=outages                          # about 15 minutes
make bench NAME=outages ARGS="--down 20 kafka"   # one of them, for shorter

One JSON line: what each outage cost and how it was told, and at the end whether every record of
every topic was counted once.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Consumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from driftd.clock import wall_now
from driftd.demo.client import DaemonClient, get_json
from driftd.demo.flights import MODEL
from stack.play import POLICY, WORKERS, Play, playing
from stack.services import answers, fetch
from stack.world import SOURCES, TOPICS

SERVICES = ("kafka", "postgres", "mlflow", "s3", "alertmanager", "prometheus")
WARM_UP_S, WAIT_S, POLL_S = 30.0, 240.0, 1.0
# What it holds is in memory: stopped in order it would come back empty, so it hangs instead.
HANG = frozenset({"s3"})
# These are noticed by whoever stores a model.
TRAINS = frozenset({"mlflow", "s3"})
# Something burns all the time, so that Alertmanager is missed when it is away; Prometheus is asked.
BURNS = """\
    - {metric: request_rate, below: 1000000, over: 1m}
    - {query: answering, below: 1, over: 1m, severity: critical}
"""


@dataclass(slots=True, kw_only=True)
class Outage:
    """One service was away. ``told``: events of the workers' logs at level warning or above, and
    how often; ``gauges``: what was 0 in the meantime; ``counters``: those of trouble that grew;
    ``trained``: what became of a training that was asked for when it began."""

    service: str
    down_s: float
    recovered_s: float = 0.0
    ready: bool = True
    alive: bool = True
    failed_requests: int = 0
    restarts: int = 0
    told: dict[str, int] = field(default_factory=dict)
    gauges: list[str] = field(default_factory=list)
    counters: dict[str, float] = field(default_factory=dict)
    trained: list[str] = field(default_factory=list)


def play_outage(play: Play, service: str, down_s: float) -> Outage:
    """Stop it, wait, start it, and wait until the workers have caught up."""
    found = Outage(service=service, down_s=down_s)
    lines, before = log_lines(play), metrics(play)
    failed, starts = play.traffic.sent.failed_requests, restarts(play)
    one = play.prometheus if service == "prometheus" else play.world.services[service]
    print(f"{service}: away for {down_s:.0f} s", file=sys.stderr)
    if service in TRAINS:
        ask_training(play, service)
    if service in HANG:
        one.freeze()
    else:
        one.stop()
    over = time.monotonic() + down_s
    while time.monotonic() < over:
        supervise(play)
        found.alive = found.alive and all(is_(play, worker, "health") for worker in WORKERS)
        found.ready = found.ready and all(is_(play, worker, "ready") for worker in WORKERS)
        found.gauges = sorted({*found.gauges, *down(play)})
        time.sleep(POLL_S)
    if service in HANG:
        one.thaw()
    else:
        one.start()
    back = time.monotonic()
    wait(lambda: caught_up(play), f"the workers to catch up after {service}", play)
    found.recovered_s = round(time.monotonic() - back, 1)
    found.failed_requests = play.traffic.sent.failed_requests - failed
    found.restarts = restarts(play) - starts
    found.told = told(play, lines)
    found.counters = changed(before, metrics(play))
    if service in TRAINS:
        found.trained = training_ended(play)
    return found


def ask_training(play: Play, service: str) -> None:
    """Ask for a training, whose model has to go through the registry and its files."""
    daemon = DaemonClient(play.world.ports[WORKERS[0]], MODEL)
    wait(lambda: daemon.ask("retrain", "benchmark", {}, f"retrain-{service}"), "a wish", play)
    wait(lambda: _stage(play) != "watching", "the training to begin", play)


def training_ended(play: Play) -> list[str]:
    """What the journal says of the newest training, once it has ended one way or the other."""
    wait(lambda: _stage(play) in {"watching", "canary"}, "the training to end", play)
    daemon = DaemonClient(play.world.ports[WORKERS[0]], MODEL)
    lines = [one["what"] for one in (daemon.status(40) or {"decisions": []})["decisions"]]
    newest = lines[: lines.index("train") + 1] if "train" in lines else lines
    if _stage(play) != "watching":
        daemon.ask("rollback", "benchmark", {}, f"rollback-{wall_now():.0f}")
        wait(lambda: _stage(play) == "watching", "rest", play)
    return newest[::-1]


def _stage(play: Play) -> str:
    pulse = DaemonClient(play.world.ports[WORKERS[0]], MODEL).pulse()
    return str(pulse["stage"]) if pulse is not None else ""


def down(play: Play) -> set[str]:
    """The gauges of reachability that are 0 just now."""
    found = set()
    for worker in WORKERS:
        with contextlib.suppress(OSError):
            text = fetch(f"http://127.0.0.1:{play.world.ports[worker]}/metrics")
            for family in text_string_to_metric_families(text):
                if family.name in {"driftd_outside_up", "driftd_store_up"}:
                    found |= {
                        f"{one.name}{one.labels or ''}" for one in family.samples if one.value == 0
                    }
    return found


def supervise(play: Play) -> None:
    """Start a worker that has ended, as systemd or Kubernetes would."""
    for worker in WORKERS:
        if play.world.children.running[worker].poll() is not None:
            play.world.start_worker(worker, wait=False)


def caught_up(play: Play) -> bool:
    """Whether all take part again and what is in the topics now is counted."""
    supervise(play)
    if not all(is_(play, worker, "ready") for worker in WORKERS):
        return False
    ends = play.world.kafka.offsets({topic: TOPICS[topic] for topic in SOURCES})
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline:
        at = positions(play)
        if all(at.get(key, 0) >= end for key, end in ends.items()):
            return True
        time.sleep(0.2)
    return False


def is_(play: Play, worker: str, what: str) -> bool:
    """``/health`` or ``/ready`` of a worker."""
    return answers(f"http://127.0.0.1:{play.world.ports[worker]}/{what}", timeout_s=10.0)


def wait(is_so: Callable[[], bool], what: str, play: Play) -> None:
    """Until it is so; ends the benchmark with the workers' words if it never is."""
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        if time.monotonic() > deadline:
            tails = "\n".join(play.world.children.log_tail(worker) for worker in WORKERS)
            raise SystemExit(f"waited {WAIT_S:.0f} s for {what}\n{tails}")
        time.sleep(POLL_S)


def restarts(play: Play) -> int:
    """How often workers were started."""
    return sum(
        play.world.children.log(worker).read_text().count('"event": "start worker"')
        for worker in WORKERS
    )


def log_lines(play: Play) -> dict[str, int]:
    """How long each worker's log is."""
    return {w: len(play.world.children.log(w).read_text().splitlines()) for w in WORKERS}


def told(play: Play, since: dict[str, int]) -> dict[str, int]:
    """Events at level warning and above since then, and how often each."""
    found: Counter[str] = Counter()
    for worker in WORKERS:
        for line in play.world.children.log(worker).read_text().splitlines()[since[worker] :]:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("level") in {"warning", "error", "critical"}:
                found[entry["event"][:80]] += 1
    return dict(found.most_common(12))


def metrics(play: Play) -> dict[str, float]:
    """Counters of trouble, summed over workers, by name and labels."""
    found: dict[str, float] = defaultdict(float)
    for worker in WORKERS:
        try:
            text = fetch(f"http://127.0.0.1:{play.world.ports[worker]}/metrics")
        except OSError:
            continue
        for family in text_string_to_metric_families(text):
            if family.type == "counter":
                for sample in family.samples:
                    if sample.name.endswith("_total") and trouble(sample.name, sample.labels):
                        labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
                        found[f"{sample.name}{{{labels}}}"] += sample.value
    return dict(found)


def trouble(name: str, labels: dict[str, str]) -> bool:
    """Whether a counter speaks of something that did not work."""
    words = ("fail", "error", "lost", "unreachable", "dropped", "retries", "postponed", "miss")
    return any(word in f"{name} {' '.join(labels.values())}" for word in words)


def changed(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """What grew."""
    grown = {name: n - before.get(name, 0.0) for name, n in after.items()}
    return {name: n for name, n in sorted(grown.items()) if n > 0}


def positions(play: Play) -> dict[tuple[str, int], int]:
    """Where the store says that each partition stands."""
    rows = sql(play, "SELECT topic, partition, next_offset FROM position WHERE partition >= 0")
    return {(topic, n): offset for topic, n, offset in rows}


def sql(play: Play, query: str) -> list[tuple[Any, ...]]:
    """Rows of the store."""
    with psycopg.connect(play.world.postgres.url("driftd", driver="")) as connection:
        return connection.execute(query).fetchall()


def truth(play: Play) -> dict[str, Any]:
    """The topics read again by a plain consumer, against what the store counted."""
    wait(lambda: caught_up(play), "the last records to be counted", play)
    ends = play.world.kafka.offsets({topic: TOPICS[topic] for topic in SOURCES})
    events = sum(
        1 for value in values(play, "predictions") if json.loads(value).get("tick") is None
    )
    counted = dict(sql(play, "SELECT topic, sum(records) FROM position GROUP BY topic"))
    panes = sql(play, "SELECT coalesce(sum(n + late), 0) FROM pane")[0][0]
    partials = sql(play, "SELECT coalesce(sum(n), 0) FROM partial")[0][0]
    return {
        "records": sum(ends.values()),
        "records_counted": int(sum(counted[topic] for topic in SOURCES)),
        "predictions": events,
        "predictions_counted": int(panes + partials),
        "gap": int(sql(play, "SELECT coalesce(sum(gap), 0) FROM position")[0][0]),
        "late": int(sql(play, "SELECT coalesce(sum(late), 0) FROM pane")[0][0]),
    }


def values(play: Play, topic: str) -> list[bytes]:
    """All records of a topic."""
    count = TOPICS[topic]
    left = {n: end for (_, n), end in play.world.kafka.offsets({topic: count}).items() if end}
    reader = Consumer({**play.world.kafka.client_options(), "group.id": "truth"})
    reader.assign([TopicPartition(topic, n, 0) for n in left])
    found: list[bytes] = []
    while left:
        message = reader.poll(10.0)
        if message is None:
            raise SystemExit(f"{topic}: records did not come: {left}")
        found.append(message.value() or b"")
        partition, offset = message.partition(), message.offset()
        if offset is not None and partition is not None and offset + 1 >= left[partition]:
            del left[partition]
    reader.close()
    return found


def run(folder: Path, services: list[str], down_s: float) -> dict[str, Any]:
    """All outages, then the truth."""
    policy = POLICY.replace("  rules:\n", f"  rules:\n{BURNS}")
    with playing(folder, day_s=20.0, policy=policy) as play:
        wait(lambda: get_json(play.world.ports[WORKERS[0]], "/ready") is not None, "start", play)
        time.sleep(WARM_UP_S)
        outages = [play_outage(play, service, down_s) for service in services]
        play.traffic_stop.set()
        time.sleep(5.0)
        return {
            "benchmark": "outages",
            "outages": [{name: getattr(one, name) for name in Outage.__slots__} for one in outages],
            **truth(play),
        }


def main() -> None:
    """Run and print; the exit code is 1 when something was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("services", nargs="*", default=list(SERVICES))
    parser.add_argument("--down", type=float, default=60.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="driftd-outages-") as folder:
        found = run(Path(folder), asked.services or list(SERVICES), asked.down)
    print(json.dumps(found))
    exact = found["records"] == found["records_counted"]
    sys.exit(0 if exact and found["predictions"] == found["predictions_counted"] else 1)


if __name__ == "__main__":
    main()
