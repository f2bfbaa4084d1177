"""Workers with roles on real Kafka and PostgreSQL: who reads, who decides, and who takes over."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftd.clock import wall_now
from driftd.demo.children import driftd_command
from stack.kafka import Kafka
from stack.postgres import Postgres
from stack.workers import CONTROL_PARTITIONS, Workers

MODEL = "fraud"
EVENTS = 40


@pytest.fixture(scope="module")
def workers(
    kafka: Kafka, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workers]:
    running = Workers(kafka, postgres, tmp_path_factory.mktemp("workers"), "roles")
    running.create_topics()
    try:
        yield running
    finally:
        running.children.stop_all()


def driftd(workers: Workers, worker: str, *arguments: str) -> str:
    """A command as a person types it, answered by this worker."""
    api = f"http://127.0.0.1:{workers.ports[worker]}"
    ran = subprocess.run(
        driftd_command(*arguments, "--api", api),
        capture_output=True, text=True, check=True, timeout=120,
        env={"COLUMNS": "300", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return ran.stdout


def counted(workers: Workers) -> int:
    """Records that stand in the store."""
    [(records,)] = workers.sql("SELECT coalesce(sum(records), 0) FROM position")
    return int(records)


def broker_says(workers: Workers) -> int:
    """Records of the topic by the broker's end offsets."""
    return sum(workers.kafka.offsets({workers.events: workers.partitions}).values())


def test_one_reads_and_another_decides(workers: Workers, tmp_path: Path) -> None:
    # No policy yet: both take part, so that one can be published through a readiness probe.
    workers.start("reader", "ingest")
    workers.start("decider", "control")

    policy = tmp_path / "policy.yaml"
    policy.write_text(workers.policy_of(MODEL))
    assert "revision 1 is in force" in driftd(workers, "reader", "apply", str(policy))
    workers.until(
        lambda: workers.row("reader").get("source_partitions") == workers.partitions,
        "the reader reads all partitions", "reader",
    )  # fmt: skip
    workers.produce(MODEL, EVENTS, wall_now() - 180)
    workers.until(lambda: counted(workers) == EVENTS, "every record is counted", "reader")

    # The bell of a worker that only reads rings at the one that decides: its buckets close.
    panes = "SELECT coalesce(sum(n), 0) FROM pane WHERE model = :model"
    workers.until(
        lambda: workers.sql(panes, model=MODEL)[0][0] == EVENTS, "the panes are closed", "decider"
    )
    assert counted(workers) == broker_says(workers) == EVENTS
    # Each says what it owns with its next sign of life.
    workers.until(lambda: workers.row("decider").get("models") == [MODEL], "it owns", "decider")
    reader, decider = workers.row("reader"), workers.row("decider")
    assert (reader["role"], decider["role"]) == ("ingest", "control")
    assert (reader["models"], reader["control_partitions"]) == ([], [])
    assert decider["control_partitions"] == list(range(CONTROL_PARTITIONS))
    assert decider["source_partitions"] == 0
    assert workers.metric("reader", "driftd_worker_info", role="ingest") == 1
    assert workers.metric("reader", "driftd_source_partitions_owned") == workers.partitions
    assert workers.metric("decider", "driftd_owned_models") == 1
    shown = driftd(workers, "reader", "status", "--workers")
    assert "takes part" in shown
    assert "control" in shown


def test_who_is_told_to_stop_hands_over_and_leaves_no_trace(workers: Workers) -> None:
    workers.start("second")
    workers.until(
        lambda: 0 < len(workers.row("second", "reader").get("control_partitions", ())) < CONTROL_PARTITIONS,
        "models are shared", "second",
    )  # fmt: skip
    leaving = str(workers.children.running["decider"].pid)

    workers.terminate("decider")

    workers.until(
        lambda: len(workers.row("second").get("control_partitions", ())) == CONTROL_PARTITIONS,
        "the other decides for all", "second",
    )  # fmt: skip
    assert leaving not in workers.at_work("second")
    assert workers.ready("second")


def test_who_was_killed_is_seen_missing_and_its_partitions_are_read_on(workers: Workers) -> None:
    killed = str(workers.children.running["reader"].pid)

    workers.kill("reader")
    workers.produce(MODEL, EVENTS, wall_now() - 60)

    workers.until(
        lambda: workers.row("second").get("source_partitions") == workers.partitions,
        "the other reads all partitions", "second",
    )  # fmt: skip
    workers.until(lambda: counted(workers) == 2 * EVENTS, "every record is counted", "second")
    assert broker_says(workers) == 2 * EVENTS
    workers.until(
        lambda: not workers.at_work("second")[killed]["alive"], "the dead one is told", "second"
    )
    assert "gone without a word" in driftd(workers, "second", "status", "--workers")


def test_more_workers_than_partitions_all_take_part(workers: Workers) -> None:
    """One whose group gives it nothing is no trouble: it stands by."""
    narrow = Workers(
        workers.kafka, workers.postgres, workers.folder / "narrow", "narrow", partitions=1
    )
    narrow.create_topics()
    narrow.put_policy("a", MODEL)
    narrow.put_policy("b", MODEL)
    try:
        narrow.start("a", "ingest")
        narrow.start("b", "ingest")
        narrow.until(
            lambda: sorted(row["source_partitions"] for row in narrow.at_work("a").values())
            == [0, 1],
            "one of them reads, the other stands by", "a",
        )  # fmt: skip
        assert narrow.ready("a")
        assert narrow.ready("b")
    finally:
        narrow.children.stop_all()
