"""An upgrade without a stop: a worker of v0.1.0 and one of this version on one Kafka and one PostgreSQL.

v0.1.0 has one fault of its own that keeps it from working on PostgreSQL (``FAULT``): it asks an
INSERT for its rowcount, which is unknown there, and so takes every wish and every command's result
for one that it had heard before. With that one statement put right it is the N-1 of this test.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.snapshot import Snapshot
from driftd.clock import wall_now
from driftd.store.store import open_store
from stack.kafka import Kafka
from stack.postgres import Postgres
from stack.workers import Workers
from tests.support.old_version import old_command, old_environment, unpack_old

MODELS = tuple(f"side-{n}" for n in range(6))
OLD, NEW = "old", "new"
FAULT = """\
        new = insert(connection, request).values(known).on_conflict_do_nothing()
        if connection.execute(new).rowcount != 1:
            return False
"""
RIGHT = """\
        new = insert(connection, request).values(known).on_conflict_do_nothing()
        if connection.execute(new.returning(request.c.request_id)).first() is None:
            return False
"""
# What v0.1.0 does not know of yet.
NEWER_SETTINGS = ("group_prefix",)
EVENTS = 30


class Pair:
    """Both workers, and all that was sent."""

    def __init__(self, workers: Workers, sources: Path) -> None:
        self.workers = workers
        self.sources = sources
        self.sent: Counter[str] = Counter()
        boxes = sources / "driftd" / "store" / "boxes.py"
        text = boxes.read_text()
        assert FAULT in text
        boxes.write_text(text.replace(FAULT, RIGHT))
        for name in (OLD, NEW):
            for model in MODELS:
                file = workers.put_policy(name, model)
                file.write_text(file.read_text().replace("pane: 1m", "pane: 2s"))

    def start_old(self) -> None:
        """v0.1.0 from its own sources, with settings that it understands."""
        file = self.workers.settings_file(OLD)
        settings = json.loads(file.read_text())
        for name in NEWER_SETTINGS:
            del settings["kafka"][name]
        file.write_text(json.dumps(settings))
        command = old_command("run", "--settings", str(file))
        self.workers.children.start(OLD, command, old_environment(self.sources))
        self.workers.until(lambda: self.workers.ready(OLD), "v0.1.0 takes part", OLD)

    def publish(self) -> None:
        """All policies are in force, by v0.1.0, before anything is sent: it passes over the events
        of a model whose policy it has not read yet."""
        self.start_old()
        published = "SELECT COUNT(*) FROM policy"
        self.workers.until(
            lambda: self.workers.sql(published)[0][0] == len(MODELS), "policies are published", OLD
        )
        self.workers.terminate(OLD)

    def send(self) -> None:
        """Some events of now for every model."""
        for model in MODELS:
            self.workers.produce(model, EVENTS, wall_now())
            self.sent[model] += EVENTS

    def records(self) -> int:
        """Records that the store says were read."""
        query = "SELECT COALESCE(SUM(records), 0) FROM position WHERE topic = :topic"
        [(found,)] = self.workers.sql(query, topic=self.workers.events)
        return int(found)

    def counted(self) -> Counter[str]:
        """Model -> events in closed panes, the late ones too, and in partials that wait."""
        query = (
            "SELECT model, SUM(n + late) FROM pane GROUP BY model UNION ALL "
            "SELECT model, SUM(n) FROM partial GROUP BY model"
        )
        found: Counter[str] = Counter()
        for model, n in self.workers.sql(query):
            found[model] += int(n)
        return found

    def catches_up(self) -> None:
        """Everything that was sent is counted."""
        self.workers.until(lambda: self.records() >= self.sent.total(), "all is counted")

    def closes_more(self, by: str) -> None:
        """Every model's panes go on while ``by`` is the one that lives."""
        before = dict(self.workers.sql("SELECT model, closed FROM model_state"))
        self.send()

        def further() -> bool:
            now = dict(self.workers.sql("SELECT model, closed FROM model_state"))
            return all((now.get(m) or 0.0) > (before.get(m) or 0.0) for m in MODELS)

        self.workers.until(further, f"{by} closes panes of every model", by)

    def revision(self) -> str:
        """Where the schema stands."""
        [(found,)] = self.workers.sql("SELECT version_num FROM alembic_version")
        return str(found)

    def owned(self, worker: str) -> bool:
        """Whether a worker has been given some of the models, by its log."""
        own = [line for line in self.workers.logged(worker, "own partitions") if "topic" in line]
        return bool(own and own[-1]["partitions"])


@pytest.fixture
def pair(kafka: Kafka, postgres: Postgres, tmp_path: Path) -> Iterator[Pair]:
    workers = Workers(kafka, postgres, tmp_path, "side")
    workers.settings = {
        "kafka": {
            "bootstrap": kafka.bootstrap,
            "session_timeout": "6s",
            # The groups of v0.1.0 have fixed names.
            "group_prefix": "driftd",
        }
    }
    workers.create_topics()
    sources = unpack_old(tmp_path / "sources")
    try:
        yield Pair(workers, sources)
    finally:
        workers.children.stop_all()


def test_the_version_before_and_this_one_run_side_by_side(pair: Pair) -> None:
    pair.publish()
    pair.start_old()
    assert pair.revision() == "0001"
    pair.closes_more(OLD)

    pair.workers.start(NEW)
    assert pair.revision() != "0001", "migrated while v0.1.0 works on it"
    pair.workers.until(lambda: pair.owned(OLD) and pair.owned(NEW), "both own models")
    pair.closes_more(NEW)
    assert pair.workers.ready(OLD)

    pair.workers.terminate(OLD)
    pair.closes_more(NEW)
    pair.start_old()
    pair.closes_more(OLD)
    pair.workers.kill(NEW)
    pair.closes_more(OLD)
    pair.workers.start(NEW)
    pair.closes_more(NEW)

    pair.catches_up()
    assert pair.counted() == pair.sent
    assert pair.records() == sum(
        pair.workers.kafka.offsets({pair.workers.events: pair.workers.partitions}).values()
    )
    assert all(one.poll() is None for one in pair.workers.children.running.values())
    store = open_store(pair.workers.store)
    assert {row.model: row.revision for row in store.policies.all()} == dict.fromkeys(MODELS, 1)
    for row in store.control.all_models():
        snapshot = Snapshot.from_bytes(row.snapshot, row.snapshot_format)
        assert snapshot.watch.closed > 0
    told = Counter(
        (row.model, row.at, row.what, row.why) for row in store.views.decisions(limit=9_999)
    )
    assert not [line for line, times in told.items() if times > 1], "decided once by whomever"
    store.close()
