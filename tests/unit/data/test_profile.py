"""A profile counts the training window in cells that the model keeps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from detectors.profile import Profile
from driftd.cli import data as cli
from driftd.data.archive import DAY_S, Archive
from driftd.data.export import TRAIN, export_training
from driftd.data.profile import Columns, build_profile
from driftd.data.profile_file import profile_file
from driftd.errors import MistakeError
from tests.support.labelled import labelled

N = 3_000
RNG = np.random.default_rng(5)
SCORE = RNG.random(N)
TABLE = pa.table(
    {
        "ts": np.sort(RNG.uniform(1e9, 1e9 + DAY_S, N)),
        "temp": pa.array(RNG.normal(size=N).round(1), mask=RNG.random(N) < 0.1),
        "carrier": RNG.choice(["UA", "AA", "B6"], N),
        "flight": [f"f{i}" for i in range(N)],
        "row": np.arange(N),
        "one": np.ones(N),
        "empty": pa.nulls(N, pa.float64()),
        "holiday": RNG.random(N) < 0.1,
        "when": pa.array(np.arange(N), pa.timestamp("ms")),
        "score": SCORE,
        "late": np.where(RNG.random(N) < SCORE, "late", "on_time"),
    }
)
COLUMNS = Columns(score="score", label="late", time="ts", ignore=frozenset())


def _file(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(TABLE, path, row_group_size=700)
    else:
        with pa.output_stream(path, compression="detect") as stream:
            pacsv.write_csv(TABLE, stream)
    return path


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.csv.gz"])
def test_a_file_of_any_form_gives_the_same_profile(tmp_path: Path, name: str) -> None:
    found = profile_file(
        _file(tmp_path, name), COLUMNS, version="3", positive="late", negative="on_time"
    )
    profile = found.profile
    assert sorted(profile.streams) == [
        "@latency_ms",
        "@prediction",
        "@score",
        "carrier",
        "holiday",
        "temp",
    ]
    assert profile.n == N
    assert (profile.since, profile.until) == (TABLE["ts"][0].as_py(), TABLE["ts"][-1].as_py())
    for stream in ("carrier", "holiday", "temp", "@score", "@prediction"):
        assert profile.streams[stream].counts.sum() == N
    assert profile.streams["temp"].missing_share == pytest.approx(TABLE["temp"].null_count / N)
    assert profile.quality is not None
    assert profile.quality.n == N
    assert profile.quality.auc == pytest.approx(5 / 6, abs=0.03)


def test_what_is_left_out_has_its_reason(tmp_path: Path) -> None:
    skipped = profile_file(_file(tmp_path, "t.parquet"), COLUMNS).skipped
    assert {name: why.partition(",")[0].partition(":")[0] for name, why in skipped.items()} == {
        "flight": "3000 names in 3000 rows",
        "row": "it only grows or only falls from row to row",
        "one": "it has one value only",
        "empty": "it has no value",
        "when": "it is of type timestamp[ms]",
    }


def test_a_later_version_is_counted_in_the_models_own_cells() -> None:
    first = build_profile(TABLE.select(["temp", "carrier"]), version="1")
    warmer = TABLE.select(["carrier", "one"]).append_column(
        "temp", pa.array(TABLE["temp"].to_numpy() + 30)
    )
    second = build_profile(warmer, first.layouts, "2")
    assert second.layouts["temp"] == first.layouts["temp"]
    assert second.streams["temp"].counts[-2] == N - TABLE["temp"].null_count
    assert "one" not in second.streams


def test_a_model_may_keep_a_stream_that_has_become_constant() -> None:
    first = build_profile(TABLE.select(["temp"]), version="1")
    constant = build_profile(pa.table({"temp": np.zeros(10)}), first.layouts, "2")
    assert constant.streams["temp"].counts.sum() == 10


def test_an_export_is_profiled_as_it_lies(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path / "archive"))
    archive.write("m", "all", labelled(2_000, start=0, end=10 * DAY_S))
    export_training(archive, "m", 0, 10 * DAY_S, tmp_path, phase="refit", positive="late")
    labels = pq.read_table(tmp_path / TRAIN)["label"].to_numpy()
    score = np.where(labels == 1, 0.9, 0.1)
    profile = build_profile(tmp_path / TRAIN, None, "4", score, positive="late", negative="on_time")
    assert {"x", "noise", "carrier", "@score", "@prediction"} <= set(profile.streams)
    assert not {"id", "subject", "ts", "label"} & set(profile.streams)
    assert profile.quality is not None
    assert profile.quality.accuracy == 1.0
    assert Profile.from_bytes(profile.to_bytes()).streams["x"].n == 2_000


def test_rows_without_label_or_score_count_for_no_quality(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,score,y\n1,0.9,1\n2,,1\n3,0.2,\n4,0.3,0\n", encoding="utf-8")
    profile = profile_file(path, Columns(score="score", label="y")).profile
    assert profile.quality is not None
    assert (profile.quality.n, profile.quality.accuracy) == (2, 1.0)
    assert profile.streams["@score"].missing_share == 0.25


def test_progress_goes_from_nothing_to_all(tmp_path: Path) -> None:
    heard: list[float] = []
    profile_file(_file(tmp_path, "t.csv"), COLUMNS, progress=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 1.0


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.txt", "x\n1\n", r"give a \.parquet, \.csv, \.tsv, \.jsonl or \.ndjson file"),
        ("t.csv", "x\n", "has no rows"),
        ("t.csv", "x,score\n1,0.5\n", "--label y: no such column; there are x, score"),
        ("t.csv", "x,y,score\n1,1,high\n", "--score score: its values are no numbers"),
        ("t.csv", "x,y,score\n1\n", "cannot be read"),
        ("t.parquet", "not a parquet file", "cannot be read"),
    ],
)
def test_a_mistake_says_what_to_do(tmp_path: Path, name: str, content: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(MistakeError, match=says):
        profile_file(path, Columns(score="score", label="y"))


def test_a_csv_column_that_changes_its_type_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftd.data.tables.BLOCK_BYTES", 64)
    path = tmp_path / "t.csv"
    rows = "".join(f"{i % 7},2\n" for i in range(100))
    path.write_text(f"x,y\n{rows}A1,2\n", encoding="utf-8")
    with pytest.raises(MistakeError, match="name the column with --text"):
        profile_file(path, Columns())
    found = profile_file(path, Columns(text=frozenset({"x"}))).profile
    assert found.streams["x"].layout.kind == "category"


def _run(*words: str) -> Any:
    app = typer.Typer()
    cli.register(app)
    result = CliRunner().invoke(app, ["data", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if "--json" in words else result.stdout


def test_the_command_writes_a_profile_for_the_daemon_and_one_for_people(tmp_path: Path) -> None:
    file, out = _file(tmp_path, "t.parquet"), tmp_path / "p.bin"
    options = ("--label", "late", "--score", "score", "--positive", "late", "--version", "3")
    told = _run("profile", str(file), "--out", str(out), *options)
    assert "flight: left out" in told
    assert Profile.from_bytes(out.read_bytes()).version == "3"
    readable = tmp_path / "p.json"
    summary = _run("profile", str(file), "--out", str(readable), "--layouts", str(out), "--json")
    assert summary["streams"]["temp"]["kind"] == "numeric"
    assert json.loads(readable.read_text(encoding="utf-8"))["n"] == N


def test_the_command_exports_what_a_trainer_would_get(tmp_path: Path) -> None:
    Archive(str(tmp_path / "a")).write("m", "all", labelled(900, start=0, end=10 * DAY_S))
    words = ("export", "m", "--archive", str(tmp_path / "a"), "--out", str(tmp_path / "o"))
    assert _run(*words, "--until", "1970-01-06", "--json")["rows"]["train.parquet"] < 600
    assert "holdout.parquet" in _run(*words, "--holdout", "0.2", "--positive", "late")
    with pytest.raises(MistakeError, match="write a date"):
        _run(*words, "--since", "yesterday")
    with pytest.raises(MistakeError, match=r"has no model 'n'; there is: m"):
        _run("export", "n", "--archive", str(tmp_path / "a"), "--out", str(tmp_path / "o"))
