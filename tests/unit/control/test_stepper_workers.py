"""Several workers step one model in turn: what one keeps in memory never outlives what is stored."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from agents.watching.fitted import Fitted
from driftd.store.rows import StepWrite
from tests.support.control import DAY, MODEL, START, Answer, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.publish()
    bench.step()
    bench.settle()
    yield bench
    bench.store.close()


def test_a_baseline_that_another_worker_learned_is_used(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []

    def from_bytes(blob: bytes) -> Fitted | None:
        read.append(blob)
        return None

    monkeypatch.setattr(Fitted, "from_bytes", from_bytes)
    row = bench.store.control.model_row(MODEL)
    other = StepWrite(
        model=MODEL,
        revision=row.revision,
        snapshot=row.snapshot,
        snapshot_format=row.snapshot_format,
        policy_revision=row.policy_revision,
        closed=row.closed,
        baseline=b"learned elsewhere",
    )
    assert bench.store.control.commit(other)

    bench.step()
    bench.step()

    assert read == [b"learned elsewhere"]


def test_an_idle_step_by_the_wall_clock_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "wall").mkdir()
    bench = Bench(tmp_path / "wall", event_clock=False)
    bench.publish()
    bench.step()
    bench.settle()
    bench.flush([Answer(id="a", ts=START), Answer(id="b", ts=START + DAY)], START + 3 * DAY)
    bench.step()

    assert [bench.step().name for _ in range(3)] == ["idle"] * 3
    bench.store.close()


def test_a_step_that_loses_replaces_no_part_of_the_winner(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    winner, loser = bench.new_stepper(worker="winner"), bench.new_stepper(worker="loser")
    bench.flush([Answer(id="a", ts=START, label="late")], START + 2 * DAY)
    write = bench.archive.write

    def after_the_winner(model: str, name: str, rows: pa.Table) -> list[str]:
        monkeypatch.setattr(bench.archive, "write", write)
        assert winner.step(MODEL).name == "written"
        return write(model, name, rows.slice(0, 0) if rows.num_rows < 2 else rows.slice(0, 1))

    bench.flush([Answer(id="b", ts=START + 60.0, label="late")], START + 2 * DAY)
    monkeypatch.setattr(bench.archive, "write", after_the_winner)

    assert loser.step(MODEL).name == "lost"
    read = bench.archive.read(MODEL, START, START + DAY, ["id"])
    assert read["id"].to_pylist() == ["a", "b"]
