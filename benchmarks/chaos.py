"""Everything that counts is killed, stopped and restarted at random; then the counts are compared with
the topic itself, cell by cell.

make bench NAME=chaos                                        # 3 workers, 180 s
make bench NAME=chaos ARGS="--seconds 60 --workers 2 --json"

Real Kafka, real PostgreSQL, ``driftd run`` processes. The truth is the topic, read again by a plain
consumer when all is over; what was counted is read from the store by SQL.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import NewPartitions

from driftd.clock import wall_now
from driftd.demo.children import Children
from stack.kafka import Kafka
from stack.postgres import Postgres
from stack.workers import Workers

MODELS = tuple(f"chaos-{n}" for n in range(4))
PANE_S, PARTITIONS, MORE_PARTITIONS = 5, 8, 4
# Longer than a producer may hold back what it could not send: idle must exceed that.
CLOCK = f"clock: {{pane: {PANE_S}s, lateness: 5s, idle: 20s}}"
POISON = 0.003
EVENTS_A_SECOND = 800
ZOMBIE_S = (8.0, 14.0)
SETTLE_S = 240.0
# What happens next, and how often in relation to the others.
DEEDS = {"kill": 8, "zombie": 4, "term": 4, "broker": 2, "store": 2}
Cell = tuple[str, float]


@dataclass(slots=True)
class Chaos:
    """The fleet, its traffic, and what was done to it."""

    kafka: Kafka
    postgres: Postgres
    workers: Workers
    names: tuple[str, ...]
    draw: random.Random
    done: Counter[str] = field(default_factory=Counter)
    asleep: dict[str, float] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def traffic(self) -> None:
        """Events of now on random partitions until it is over; what cannot be sent yet waits."""
        producer = Producer(
            {
                "bootstrap.servers": self.kafka.bootstrap,
                "enable.idempotence": True,
                "delivery.timeout.ms": 300_000,
                "linger.ms": 20,
                "log_level": 0,
                # A partition that was added is used soon.
                "topic.metadata.refresh.interval.ms": 2_000,
            }
        )
        number = 0
        while not self.over.wait(0.05):
            for _ in range(round(EVENTS_A_SECOND * 0.05)):
                number += 1
                producer.produce(self.workers.events, self._event(number))
            producer.poll(0)
        left = producer.flush(120)
        if left:
            raise SystemExit(f"{left} events could not be sent")

    def _event(self, number: int) -> bytes:
        if self.draw.random() < POISON:
            return b'{"model": "chaos-0", "ts": broken'
        event = {
            "v": 1, "id": f"e{number}", "model": MODELS[number % len(MODELS)], "version": "1",
            "ts": wall_now(), "score": 0.5, "features": {"x": float(number % 40)},
        }  # fmt: skip
        return json.dumps(event).encode()

    def rage(self, seconds: float) -> None:
        """Do something every few seconds."""
        ends = time.monotonic() + seconds
        widened = False
        while time.monotonic() < ends:
            self._wake()
            self._revive()
            if not widened and time.monotonic() > ends - seconds / 2:
                widened = True
                self._widen()
            [deed] = self.draw.choices(list(DEEDS), list(DEEDS.values()))
            getattr(self, f"_{deed}")()
            print(f"{time.monotonic() - ends + seconds:5.0f} s  {deed}", file=sys.stderr)
            self.done[deed] += 1
            time.sleep(self.draw.uniform(1.5, 4.5))
        while self.asleep:
            self._wake()
            time.sleep(0.2)
        self._revive()

    def _awake(self) -> str:
        return self.draw.choice([name for name in self.names if name not in self.asleep])

    def _kill(self) -> None:
        victim = self._awake()
        self.workers.kill(victim)
        self.workers.start(victim, wait=False)

    def _zombie(self) -> None:
        if len(self.asleep) + 1 >= len(self.names):
            return
        victim = self._awake()
        os.killpg(self.workers.children.running[victim].pid, signal.SIGSTOP)
        self.asleep[victim] = time.monotonic() + self.draw.uniform(*ZOMBIE_S)

    def _term(self) -> None:
        victim = self._awake()
        self.workers.children.stop(victim)
        self.workers.start(victim, wait=False)

    def _broker(self) -> None:
        if self.draw.random() < 0.5:
            self.kafka.kill()
        else:
            self.kafka.stop()
        self.kafka.start()

    def _store(self) -> None:
        self.postgres.kill()
        self.postgres.start()

    def _widen(self) -> None:
        topic, count = self.workers.events, PARTITIONS + MORE_PARTITIONS
        # Its answers die with the client.
        admin = self.kafka.admin()
        admin.create_partitions([NewPartitions(topic, count)])[topic].result(60)
        self.workers.partitions = count
        self.done["partitions added"] = MORE_PARTITIONS

    def _wake(self) -> None:
        for name, until in list(self.asleep.items()):
            if time.monotonic() > until:
                os.killpg(self.workers.children.running[name].pid, signal.SIGCONT)
                del self.asleep[name]

    def _revive(self) -> None:
        """As a supervisor does: a worker that ended by itself is started again, and counted."""
        for name in self.names:
            if self.workers.children.running[name].poll() is not None:
                self.done["ended by itself"] += 1
                self.workers.start(name, wait=False)


def truth(kafka: Kafka, topic: str, partitions: int) -> tuple[Counter[Cell], int, int]:
    """(cells, poison, all records) of the topic, read from its beginning."""
    ends = kafka.offsets({topic: partitions})
    cells: Counter[Cell] = Counter()
    poison = seen = 0
    consumer = Consumer({**kafka.client_options(), "group.id": "truth"})
    consumer.assign([TopicPartition(topic, n, 0) for n in range(partitions)])
    while seen < sum(ends.values()):
        for message in consumer.consume(5_000, 10.0):
            seen += 1
            try:
                event = json.loads(message.value() or b"")
            except ValueError:
                poison += 1
                continue
            cells[event["model"], event["ts"] // PANE_S * PANE_S] += 1
    consumer.close()
    return cells, poison, seen


def counted(workers: Workers) -> tuple[Counter[Cell], int]:
    """(cells, late events) of the store: closed panes, and partials that wait."""
    cells: Counter[Cell] = Counter()
    late = 0
    for model, start, n, after in workers.sql("SELECT model, start, n, late FROM pane"):
        cells[model, start] += n + after
        late += after
    for model, bucket, n in workers.sql("SELECT model, bucket, n FROM partial"):
        cells[model, bucket] += n
    return +cells, late


def records(workers: Workers) -> int:
    """Records that the store says were read."""
    query = "SELECT COALESCE(SUM(records), 0) FROM position WHERE topic = :topic"
    [(found,)] = workers.sql(query, topic=workers.events)
    return int(found)


def settle(workers: Workers, ends: int) -> float:
    """Seconds until every record is counted and every pane is closed."""
    began = time.monotonic()
    while time.monotonic() - began < SETTLE_S:
        [(waiting,)] = workers.sql("SELECT COUNT(*) FROM partial")
        if records(workers) >= ends and not waiting:
            break
        time.sleep(0.5)
    return round(time.monotonic() - began, 1)


def play(chaos: Chaos, seconds: float) -> dict[str, object]:
    """All of it; the figures."""
    workers = chaos.workers
    sending = threading.Thread(target=chaos.traffic)
    sending.start()
    try:
        chaos.rage(seconds)
    finally:
        chaos.over.set()
        sending.join()
    ends = sum(chaos.kafka.offsets({workers.events: workers.partitions}).values())
    settled = settle(workers, ends)
    real, poison, seen = truth(chaos.kafka, workers.events, workers.partitions)
    found, late = counted(workers)
    rejected = workers.sql(
        "SELECT COALESCE(SUM(n), 0) FROM dead_letter_count WHERE reason = 'broken'"
    )
    wrong = [cell for cell in real | found if real[cell] != found[cell]]
    return {
        "seconds": seconds, "workers": len(chaos.names), "events": real.total(),
        "counted": found.total(), "lost": (real - found).total(),
        "doubled": (found - real).total(), "cells": len(real), "cells_wrong": len(wrong),
        "poison": poison, "poison_counted": int(rejected[0][0]), "records": seen,
        "records_counted": records(workers), "late": late, "settled_s": settled,
        **{name.replace(" ", "_"): n for name, n in sorted(chaos.done.items())},
    }  # fmt: skip


def main() -> None:
    """Play it and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="nothing but the JSON line")
    given = parser.parse_args()
    names = tuple("abcdefgh"[: given.workers])
    if given.json:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        children = Children(folder)
        kafka, postgres = Kafka(children, folder / "kafka"), Postgres(children, folder / "postgres")
        workers = None
        try:
            kafka.start()
            postgres.start()
            workers = Workers(kafka, postgres, folder / "fleet", "chaos", partitions=PARTITIONS)
            workers.create_topics()
            for worker in names:
                for model in MODELS:
                    file = workers.put_policy(worker, model)
                    text = file.read_text().splitlines()
                    file.write_text("\n".join([*(x for x in text if "clock:" not in x), CLOCK, ""]))
                workers.start(worker)
            chaos = Chaos(kafka, postgres, workers, names, random.Random(given.seed))
            print(json.dumps(play(chaos, given.seconds)))
        finally:
            if workers is not None:
                workers.children.stop_all()
            children.stop_all()


if __name__ == "__main__":
    main()
