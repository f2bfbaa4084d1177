"""Two workers watch two directories that differ: they are restarted, killed, overtaken by `driftd apply`,
and the number of revisions stays what people did."""

import subprocess
from pathlib import Path

from driftd.demo.children import driftd_command
from stack.kafka import Kafka
from stack.postgres import Postgres
from stack.workers import Workers

MODEL = "fraud"


def revisions(workers: Workers) -> list[tuple[int, str]]:
    """(revision, by) of the model, in order."""
    query = 'SELECT revision, "by" FROM policy WHERE model = :model ORDER BY revision'
    return [(revision, by) for revision, by in workers.sql(query, model=MODEL)]


def driftd(workers: Workers, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command as a pipeline runs it."""
    api = f"http://127.0.0.1:{workers.ports['a']}"
    return subprocess.run(
        driftd_command(*arguments, "--api", api),
        capture_output=True, text=True, check=False, timeout=120,
        env={"COLUMNS": "400", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip


def test_two_directories_that_differ(kafka: Kafka, postgres: Postgres, tmp_path: Path) -> None:
    workers = Workers(kafka, postgres, tmp_path, "copies")
    workers.create_topics()
    workers.put_policy("a", MODEL, "owner: first\n")
    workers.put_policy("b", MODEL, "owner: second\n")
    try:
        workers.start("a", "ingest")
        workers.start("b", "control")
        published = [(1, f"file {MODEL}.yaml"), (2, f"file {MODEL}.yaml")]
        assert revisions(workers) == published
        restart_in_both_orders(workers)
        assert revisions(workers) == published
        assert_told(workers, holds=1, in_force=2)
        apply_on_purpose(workers, tmp_path / "third.yaml")
        # A person brings the files up to date, one after the other: nothing new is in force.
        for worker in ("a", "b"):
            workers.put_policy(worker, MODEL, "owner: third\n")
        workers.until(
            lambda: all(workers.metric(w, "driftd_policy_stale") == 0 for w in ("a", "b")),
            "no file is old", "a",
        )  # fmt: skip
        # And takes back what was applied: the file changes from what is in force.
        workers.put_policy("b", MODEL, "owner: second\n")
        workers.until(lambda: len(revisions(workers)) == 4, "a person's revert", "b")
    finally:
        workers.children.stop_all()


def restart_in_both_orders(workers: Workers) -> None:
    """First ended in order, then killed; whoever starts last must not win by that."""
    for worker in ("a", "b"):
        workers.terminate(worker)
        workers.start(worker, {"a": "ingest", "b": "control"}[worker])
    for worker in ("b", "a"):
        workers.kill(worker)
        workers.start(worker, {"a": "ingest", "b": "control"}[worker])


def assert_told(workers: Workers, *, holds: int, in_force: int) -> None:
    """In the log, as a metric and to whoever asks for the status."""
    assert workers.metric("a", "driftd_policy_stale", file=f"{MODEL}.yaml") == 1
    assert workers.metric("b", "driftd_policy_stale") == 0
    said = workers.logged("a", "policy file is old")
    assert [(line["holds"], line["in_force"]) for line in said] == [(holds, in_force)] * len(said)
    notice = f"{MODEL}.yaml holds revision {holds} of {MODEL}, revision {in_force} is in force"
    workers.until(
        lambda: any(notice in line for line in workers.row("a", "a").get("notices", ())),
        "the worker says so", "a",
    )  # fmt: skip
    shown = driftd(workers, "status")
    assert notice in shown.stdout, shown


def apply_on_purpose(workers: Workers, file: Path) -> None:
    """What a pipeline does, with and without having looked."""
    file.write_text(f"{workers.policy_of(MODEL)}owner: third\n")
    late = driftd(workers, "apply", str(file), "--expect-revision", "1")
    assert late.returncode == 4
    assert "revision 2 is in force, not the expected revision 1" in late.stderr
    done = driftd(workers, "apply", str(file), "--expect-revision", "2", "--by", "pipeline")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{MODEL}: revision 3 is in force" in done.stdout
    assert revisions(workers)[2:] == [(3, "pipeline")]
    workers.until(
        lambda: all(workers.metric(w, "driftd_policy_stale") == 1 for w in ("a", "b")),
        "both files are told to be old", "a",
    )  # fmt: skip
    assert len(revisions(workers)) == 3
