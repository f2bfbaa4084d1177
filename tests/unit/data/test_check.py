"""What makes a table unfit for training is found; what is merely unusual is not."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from tests.support.rest_cli import run_data, run_json

N = 4_000


def columns(seed: int = 1, n: int = N) -> dict[str, Any]:
    """A table that is fit."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return {
        "id": [f"{seed}-{i}" for i in range(n)],
        "subject": [f"s{seed}-{i // 4}" for i in range(n)],
        "ts": seed * 1e6 + np.arange(n) * 60.0,
        "x": x,
        "city": rng.choice(list("abcd"), n),
        "y": (x + rng.normal(size=n) > 0).astype(int),
    }


def write(tmp_path: Path, name: str, values: dict[str, Any]) -> Path:
    path = tmp_path / name
    (pq.write_table if name.endswith("parquet") else pacsv.write_csv)(pa.table(values), path)
    return path


def found(*words: object, code: int) -> dict[tuple[str, str], dict[str, Any]]:
    """(check, column) -> the finding, without what is only informed about."""
    document = run_json("check", *words, code=code)
    assert document["good"] is (code == 0)
    return {
        (one["check"], one["column"]): one
        for one in document["findings"]
        if one["severity"] != "info"
    }


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_a_fit_table_has_no_finding(tmp_path: Path, name: str) -> None:
    train, test = write(tmp_path, name, columns(1)), write(tmp_path, f"u{name}", columns(2))

    assert found(train, "--label", "y", "--test", test, "--against", test, code=0) == {}


def test_a_feature_that_tells_the_label_alone_is_found(tmp_path: Path) -> None:
    values = columns()
    y = values["y"]
    values["same"] = y
    values["code"] = np.where(y == 1, "paid", "open")
    values["near"] = y + np.random.default_rng(0).normal(size=N) * 0.2
    values["absent"] = pa.array(np.ones(N) * 5 + y, mask=y == 1)
    values["good"] = y + np.random.default_rng(0).normal(size=N) * 1.5
    leaks = found(write(tmp_path, "t.parquet", values), "--label", "y", code=1)

    assert {column for check, column in leaks if check == "label leak"} == {
        "same", "code", "near", "absent",
    }  # fmt: skip
    assert "AUC 1.000" in leaks["label leak", "same"]["says"]


def test_rows_ids_and_subjects_on_both_sides_are_found(tmp_path: Path) -> None:
    train, test = columns(1), columns(2)
    for name in train:
        test[name] = np.concatenate([np.asarray(train[name])[:50], np.asarray(test[name])[50:]])
    leaks = found(
        write(tmp_path, "a.parquet", train), "--test", write(tmp_path, "b.csv", test), code=1
    )

    assert {check: one["count"] for (check, _), one in leaks.items()} == {
        "rows in both": 50, "ids in both": 50, "subjects in both": 50, "time overlap": 50,
    }  # fmt: skip
    assert leaks["rows in both", ""]["examples"] == [1, 2, 3]


def test_a_column_that_only_train_has_hides_no_leak(tmp_path: Path) -> None:
    train, test = columns(1), columns(2)
    for name in train:
        test[name] = np.concatenate([np.asarray(train[name])[:50], np.asarray(test[name])[50:]])
    train["more"] = np.random.default_rng(7).normal(size=N)
    leaks = found(
        write(tmp_path, "a.parquet", train), "--test", write(tmp_path, "b.parquet", test), code=1
    )

    assert leaks["rows in both", ""]["count"] == 50


def test_equal_rows_of_a_table_that_repeats_itself_are_no_leak(tmp_path: Path) -> None:
    sides = []
    for seed in (1, 2):
        values = columns(seed)
        rng = np.random.default_rng(seed)
        values["x"] = rng.integers(0, 3, N).astype(float)
        values["y"] = rng.integers(0, 2, N)
        sides.append(write(tmp_path, f"{seed}.parquet", values))

    assert found(sides[0], "--test", sides[1], "--label", "y", code=0) == {}


def test_duplicates_constants_and_missing_labels_are_found(tmp_path: Path) -> None:
    values = columns()
    values["id"][7] = values["id"][3]
    values["one"] = np.ones(N)
    values["none"] = pa.nulls(N, pa.float64())
    values["y"] = pa.array(values["y"], mask=np.arange(N) % 10 == 4)
    path = write(tmp_path, "t.parquet", values)
    told = found(path, "--label", "y", code=1)

    assert told["duplicate id", "id"]["examples"] == [8]
    assert told["missing label", "y"]["count"] == N // 10
    assert told["missing label", "y"]["examples"] == [5, 15, 25]
    assert "one value" in told["constant", "one"]["says"]
    assert "no value" in told["constant", "none"]["says"]


def test_a_table_unlike_its_reference_is_found(tmp_path: Path) -> None:
    ref = write(tmp_path, "ref.parquet", columns())
    values = columns(2)
    values["x"] = values["x"] * 1_000
    values["city"][:300] = "z"
    told = found(write(tmp_path, "t.parquet", values), "--against", ref, code=1)
    assert {key: one["severity"] for key, one in told.items()} == {
        ("schema", "x"): "error", ("schema", "city"): "error",
    }  # fmt: skip

    values = columns(2)
    values["city"][:5] = "z"
    values["x"] = pa.array(values["x"], mask=np.arange(N) % 5 == 0)
    told = found(write(tmp_path, "t.parquet", values), "--against", ref, code=1)
    assert told["schema", "city"]["severity"] == "warning"
    assert told["schema", "city"]["examples"] == [1, 2, 3]
    assert told["missing", "x"]["count"] == N / 5


def test_a_column_that_is_gone_or_of_another_type_is_told_once(tmp_path: Path) -> None:
    ref = write(tmp_path, "ref.parquet", columns())
    values = columns(2)
    del values["city"]
    values["x"] = [f"{one:.1f}" for one in values["x"]]
    told = found(write(tmp_path, "t.parquet", values), "--against", ref, code=1)

    assert told["schema", "city"]["says"] == "the column is not there"
    assert "not of type" in told["type", "x"]["says"]
    assert len([key for key in told if key[1] == "x"]) == 1


def test_a_schema_of_pandera_is_kept_in_every_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftd.data.tables.BATCH_ROWS", 1_000)
    schema = tmp_path / "s.yaml"
    schema.write_text(
        """
schema_type: dataframe
columns:
  x: {dtype: float64, nullable: false, checks: {less_than_or_equal_to: 3.0}}
  city: {dtype: str, checks: {isin: [a, b, c, d]}}
""",
        encoding="utf-8",
    )
    values = columns()
    values["x"] = np.clip(values["x"], -2.5, 2.5)
    assert found(write(tmp_path, "t.parquet", values), "--schema", schema, code=0) == {}
    values["x"][3_500] = 9.0
    [told] = found(write(tmp_path, "t.parquet", values), "--schema", schema, code=1).values()
    assert (told["column"], told["count"], told["examples"]) == ("x", 1, [3_501])


def test_a_finding_shows_no_value(tmp_path: Path) -> None:
    values = columns()
    values["id"][7] = values["id"][3] = "jane@example.com"
    page = tmp_path / "p.html"
    path = write(tmp_path, "t.parquet", values)
    code, out, _ = run_data("check", path, "--html", page)

    assert code == 1
    assert "duplicate id" in out
    assert "jane" not in out + page.read_text(encoding="utf-8")


def test_strict_ends_with_1_for_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path, "t.parquet", columns() | {"one": np.ones(N)})

    assert run_data("check", path)[0] == 0
    assert run_data("check", path, "--strict")[0] == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--label", "nope"], "--label nope: no such column"),
        (["--id", "nope"], "--id nope: no such column"),
        (["--schema", "bad.yaml"], "is no schema that pandera reads"),
        (["--test", "other.csv"], "has no column of the table"),
        (["--against", "bad.yaml"], "are no profile"),
    ],
)
def test_a_mistake_ends_with_2(tmp_path: Path, words: list[str], says: str) -> None:
    (tmp_path / "bad.yaml").write_text("columns: 7\n", encoding="utf-8")
    (tmp_path / "other.csv").write_text("q\n1\n", encoding="utf-8")
    path = write(tmp_path, "t.parquet", columns())
    given = [str(tmp_path / word) if "." in word else word for word in words]
    code, _, err = run_data("check", path, *given)

    assert code == 2
    assert says in err


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pandera" else real(name)
    )
    code, _, err = run_data("check", write(tmp_path, "t.parquet", columns()))

    assert (code, err) == (2, "driftd: pandera not installed; pip install 'driftd[check]'\n")
