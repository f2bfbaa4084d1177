"""What a run of the loop left behind, read from outside: the broker, SQL, the registry's database."""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from driftd.data.archive import Archive
from driftd.demo.flights import MODEL
from driftd.demo.options import DAY_S, SOURCES, TOPICS

POLLS_MAX = 200
POLL_S = 0.5
FOREVER = 4e9

Rows = list[tuple[Any, ...]]
Arm = tuple[str, str, float]
"""version, variant, begin of the day"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """``ends``: end offsets by topic and partition. ``predictions``, ``labels``, ``traffic``: the
    records of the topics. ``unanswered``: flights without an answer, of ``asked``."""

    folder: Path
    ends: dict[tuple[str, int], int]
    predictions: list[dict[str, Any]]
    labels: list[dict[str, Any]]
    traffic: list[dict[str, Any]]
    failed_requests: int
    asked: int
    unanswered: int
    killed: Sequence[str]
    missed: Sequence[str]

    def sql(self, query: str) -> Rows:
        """Rows of the daemon's store."""
        return _select(self.folder / "driftd.db", query)

    def registry(self, query: str) -> Rows:
        """Rows of the registry's own database."""
        return _select(self.folder / "mlflow" / "mlflow.db", query)

    def panes(self) -> Counter[Arm]:
        """Counts a pane as the store has them."""
        rows = self.sql("SELECT version, variant, start, SUM(n + late) FROM pane GROUP BY 1, 2, 3")
        return Counter({(row[0], row[1], row[2]): row[3] for row in rows if row[3]})

    def answers(self) -> Counter[Arm]:
        """The same counted in the topic itself."""
        return Counter(
            (one["version"], one["variant"], one["ts"] // DAY_S * DAY_S) for one in self.predictions
        )

    def live(self, version: str) -> list[dict[str, Any]]:
        """The answers of a version that went out to users."""
        mine = (one for one in self.predictions if one["version"] == version)
        return [one for one in mine if one["variant"] != "shadow"]

    def decisions(self, what: str) -> list[dict[str, Any]]:
        """The journal's lines of one kind, in order."""
        query = "SELECT at, what, why, by, evidence FROM decision ORDER BY id"
        names = ("at", "what", "why", "by", "evidence")
        rows = (dict(zip(names, row, strict=True)) for row in self.sql(query))
        return [
            {**row, "evidence": json.loads(row["evidence"])} for row in rows if row["what"] == what
        ]

    def aliases(self) -> dict[str, str]:
        """alias -> version."""
        rows = self.registry("SELECT alias, version FROM registered_model_aliases")
        return {alias: str(version) for alias, version in rows}

    def tags(self, version: str) -> dict[str, str]:
        """The tags of a version."""
        query = f"SELECT key, value FROM model_version_tags WHERE version = {int(version)}"
        return dict(self.registry(query))

    def archived(self) -> Counter[tuple[str, str]]:
        """How often a reader of the archive, as a training is one, meets (request, version)."""
        table = Archive(str(self.folder / "archive")).read(MODEL, 0.0, FOREVER, shadows=True)
        rows = table.select(["id", "shadow_of", "version"]).to_pylist()
        return Counter((request_of(row), row["version"]) for row in rows)


def request_of(answer: dict[str, Any]) -> str:
    """The id of the request; a shadow answer has an id of its own, drawn by chance."""
    return str(answer.get("shadow_of") or answer["id"])


def read_topics(
    bootstrap: str, topics: Mapping[str, int] = TOPICS
) -> tuple[dict[tuple[str, int], int], dict[str, list[Any]]]:
    """End offsets of the source topics, and the records of these and of the traffic; ticks left
    out. ``topics``: name -> partitions. The broker keeps all of so short a run, which is checked."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "outside"})
    try:
        ends = {}
        for topic in (*SOURCES, "driftd.traffic"):
            for number in range(topics[topic]):
                part = TopicPartition(topic, number)
                low, high = consumer.get_watermark_offsets(part, timeout=20.0)
                assert low == 0, f"{topic} {number}: the broker forgot the first {low} records"
                ends[topic, number] = high
        records = _records(consumer, ends)
    finally:
        consumer.close()
    return {key: end for key, end in ends.items() if key[0] in SOURCES}, records


def _records(consumer: Consumer, ends: dict[tuple[str, int], int]) -> dict[str, list[Any]]:
    consumer.assign([TopicPartition(topic, n, 0) for (topic, n), end in ends.items() if end])
    found: dict[str, list[Any]] = {topic: [] for topic, _ in ends}
    wanted, read = sum(ends.values()), 0
    for _ in range(POLLS_MAX):
        if read >= wanted:
            return found
        for message in consumer.consume(5_000, POLL_S):
            assert message.error() is None, message.error()
            read += 1
            record = json.loads(message.value() or b"{}")
            if "tick" not in record:
                found[message.topic()].append(record)
    raise AssertionError(f"{read} of {wanted} records came out of the topics")


def _select(file: Path, query: str) -> Rows:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
