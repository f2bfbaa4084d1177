"""A baseline from history is what the daemon would have learned, and the daemon goes on from it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agents.snapshot import Snapshot
from detectors.profile import Profile
from driftd.control.imported import import_baseline
from driftd.data.profile import build_profile
from driftd.data.replay.history import History, learn_history
from driftd.data.replay.roles import Roles
from driftd.data.replay.sources import Span, file_batches, replay_rows
from driftd.errors import MistakeError, RefusedError
from driftd.store.rows import ModelRow
from driftd.yamlfile import parse_yaml
from policies.checker import check
from policies.specs import ModelSpec
from tests.support.control import DAY, MODEL, POLICY, START, Answer, Bench
from tests.support.rest_cli import run_data, run_json

DAYS, RATE = 70, 40
BEFORE = START - DAYS * DAY


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """History, profile and policy."""
    rng = np.random.default_rng(1)
    n = DAYS * RATE
    table = pa.table(
        {
            "ts": BEFORE + np.arange(n) * (DAY / RATE),
            "score": rng.uniform(0.3, 0.7, n),
            "distance": rng.normal(size=n),
        }
    )
    history, profile, policy = (tmp_path / name for name in ("h.parquet", "p.bin", "m.yaml"))
    pq.write_table(table, history)
    policy.write_text(POLICY, encoding="utf-8")
    assert run_data("profile", history, "--score", "score", "--out", profile)[0] == 0
    return history, profile, policy


def spec() -> ModelSpec:
    found, _ = check(parse_yaml(POLICY).values)
    assert found is not None
    return found


def learned(files: tuple[Path, Path, Path], **span: float) -> History:
    profile = Profile.from_bytes(files[1].read_bytes())
    roles = Roles(score="score")
    return learn_history(spec(), file_batches(files[0], roles), roles, profile, span=Span(**span))


def watch_of(bench: Bench) -> Any:
    row = bench.store.control.model_row(MODEL)
    return Snapshot.from_bytes(row.snapshot, row.snapshot_format).watch


def days(number: int, score: float, n: int = 25) -> list[Answer]:
    start = START + number * DAY
    return [Answer(id=f"{number}-{i}", ts=start + i * 600.0, score=score) for i in range(n)]


def test_it_is_what_the_daemon_learns_from_the_same_panes(files: tuple[Path, Path, Path]) -> None:
    profile, roles = Profile.from_bytes(files[1].read_bytes()), Roles(score="score")
    watched = replay_rows(spec(), file_batches(files[0], roles), roles, profile)
    assert watched.fitted is not None
    assert watched.learned == BEFORE + 60 * DAY

    history = learned(files, until=watched.learned + DAY / RATE)
    assert history.fitted.to_bytes() == watched.fitted.to_bytes()


def test_the_daemon_judges_its_first_pane_by_it(
    bench: Bench, files: tuple[Path, Path, Path]
) -> None:
    url = f"sqlite:///{bench.folder}/driftd.db"
    history, profile, policy = files
    words = ("baseline", history, "--policy", policy, "--profile", profile, "--score", "score")
    told = run_json(*words, "--store", url)
    assert told["handed_over"] is True
    assert told["streams"] == ["distance", "@prediction", "@score"]

    bench.publish()
    bench.step()
    bench.settle()
    for number in range(12):
        bench.flush(days(number, score=0.95), START + (number + 1) * DAY + 300.0)
        bench.step()
    watch = watch_of(bench)
    [score] = [one for one in watch.readings if one.stream == "@score"]

    assert watch.learned
    assert score.state == "drift"
    assert "@score" in [moved.stream for one in watch.incidents for moved in one.streams]
    told_of = [row.what for row in bench.store.views.decisions(MODEL, 100)]
    assert "baseline imported" in told_of
    assert "baseline learned" not in told_of


def test_without_it_the_daemon_would_still_be_learning(bench: Bench) -> None:
    bench.publish()
    bench.step()
    bench.settle()
    bench.flush(days(0, score=0.95), START + DAY + 300.0)
    bench.step()

    assert not watch_of(bench).learned


def test_a_file_may_be_carried_to_another_machine(
    bench: Bench, files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    history, profile, policy = files
    out = tmp_path / "m.baseline"
    code, text, _ = run_data(
        "baseline", history, "--policy", policy, "--profile", profile, "--score", "score",
        "--out", out,
    )  # fmt: skip
    assert (code, "written to" in text) == (0, True)
    url = f"sqlite:///{bench.folder}/driftd.db"
    assert run_json("baseline", out, "--policy", policy, "--store", url)["handed_over"] is True
    assert bench.store.control.baseline(MODEL) == learned(files).fitted.to_bytes()
    current = bench.store.profiles.current(MODEL)
    assert current is not None
    assert current.blob == profile.read_bytes()


def test_a_baseline_that_was_learned_is_never_replaced(
    bench: Bench, files: tuple[Path, Path, Path]
) -> None:
    history = learned(files)
    import_baseline(bench.store, spec(), history, "ana")
    with pytest.raises(RefusedError, match="has a baseline already"):
        import_baseline(bench.store, spec(), history, "ana")


def test_who_writes_second_reads_again(
    bench: Bench, files: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.publish()
    stale = bench.store.control.model_row(MODEL)
    assert bench.step().name == "written"
    real, asked = bench.store.control.model_row, [stale]

    def model_row(model: str) -> ModelRow:
        return asked.pop() if asked else real(model)

    monkeypatch.setattr(bench.store.control, "model_row", model_row)
    import_baseline(bench.store, spec(), learned(files), "ana")

    assert asked == []
    assert watch_of(bench).learned
    # What the step before had decided stands.
    assert [row.kind for row in bench.store.outbox.open(MODEL)][:1] == ["profile"]


def test_other_cells_or_panes_or_models_are_refused(
    bench: Bench, files: tuple[Path, Path, Path]
) -> None:
    history = learned(files)
    other, _ = check(parse_yaml(POLICY.replace("pane: 1d", "pane: 12h")).values)
    assert other is not None
    with pytest.raises(MistakeError, match="panes of 1d, the policy in force has panes of 12h"):
        import_baseline(bench.store, other, history, "ana")
    named, _ = check(parse_yaml(POLICY.replace(MODEL, "n")).values)
    assert named is not None
    with pytest.raises(MistakeError, match="is one of 'flight-delay', not of 'n'"):
        import_baseline(bench.store, named, history, "ana")
    wider = pa.table({"distance": np.linspace(0, 9, 1_000)[::-1] % 3.3})
    bench.store.profiles.put(MODEL, "9", build_profile(wider, version="9").to_bytes())
    with pytest.raises(MistakeError, match="distance were counted in other cells"):
        import_baseline(bench.store, spec(), history, "ana")
    assert bench.store.control.baseline(MODEL) is None


def test_too_short_a_history_is_told(files: tuple[Path, Path, Path]) -> None:
    with pytest.raises(MistakeError, match="29 panes are too few: it takes 60"):
        learned(files, until=BEFORE + 30 * DAY)


def test_bytes_that_are_no_baseline_are_told(
    files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, profile, policy = files
    with pytest.raises(MistakeError, match="are no baseline; make one with: driftd data baseline"):
        run_data("baseline", profile, "--policy", policy, "--out", tmp_path / "o")
    with pytest.raises(MistakeError, match="--profile must name"):
        run_data("baseline", files[0], "--policy", policy, "--out", tmp_path / "o")


def test_the_panes_of_a_store_are_replayed(bench: Bench, files: tuple[Path, Path, Path]) -> None:
    bench.store.profiles.put(MODEL, "1", files[1].read_bytes())
    bench.publish()
    bench.step()
    bench.settle()
    rng = np.random.default_rng(2)
    for number in range(75):
        answers = [
            Answer(
                id=f"{number}-{i}",
                ts=START + number * DAY + i * 600.0,
                score=float(rng.uniform(0.3, 0.7)) + (0.25 if number >= 65 else 0.0),
                label="late" if i % 2 else "on_time",
            )
            for i in range(25)
        ]
        bench.flush(answers, START + (number + 1) * DAY + 300.0)
    while bench.step().again:
        pass
    url = f"sqlite:///{bench.folder}/driftd.db"
    found = run_json("replay", "--store", url, "--policy", files[2])

    assert found["events"] == 75 * 25
    assert found["learned"] == START + 60 * DAY
    onsets = [one["onset"] for one in found["incidents"] if "@score" in str(one["streams"])]
    assert onsets
    assert abs(min(onsets) - (START + 65 * DAY)) <= 2 * DAY
    stored = {row.incident_id: row.opened for row in bench.store.views.incidents(MODEL)}
    assert {one["incident_id"]: one["opened"] for one in found["incidents"]} == stored

    shorter = files[2].with_name("short.yaml")
    shorter.write_text(POLICY.replace("pane: 1d", "pane: 1h"), encoding="utf-8")
    code, _, err = run_data("replay", "--store", url, "--policy", shorter)
    assert (code, "buckets of 1d, which cannot be cut into" in err) == (2, True)
    code, _, err = run_data("replay", "--store", url, "--policy", files[2], "--model", "n")
    assert (code, "it has those of: flight-delay" in err) == (2, True)
