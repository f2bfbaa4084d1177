"""Columns of vectors: from Parquet and JSON lines to a profile, and back."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from detectors.contract import events
from detectors.profile import Profile
from detectors.sketches.numeric import NumericLayout
from detectors.sketches.vector import VectorLayout
from driftd.cli.main import build
from driftd.data.compare import compare_table
from driftd.data.profile import build_profile
from driftd.data.vectors import VectorSample, fold_vectors, is_vectors

VECTORS = np.random.default_rng(1).normal(size=(300, 6)).astype(np.float32)
LISTS = pa.list_(pa.float32())


def column(*values: object, kind: pa.DataType = LISTS) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.list_(pa.float32()), True),
        (pa.large_list(pa.float64()), True),
        (pa.list_(pa.float16(), 3), True),
        (pa.list_(pa.int64()), True),
        (pa.list_(pa.string()), False),
        (pa.list_(pa.list_(pa.float32())), False),
        (pa.float32(), False),
    ],
    ids=str,
)
def test_lists_of_numbers_are_vectors(kind: pa.DataType, *, expected: bool) -> None:
    assert is_vectors(kind) is expected


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 6)],
    ids=str,
)
def test_a_column_counts_as_its_vectors_do(kind: pa.DataType) -> None:
    layout = VectorLayout.from_reference(VECTORS)
    chunks = [pa.array(VECTORS[:100].tolist(), kind), pa.array(VECTORS[100:].tolist(), kind)]
    sliced = pa.chunked_array(chunks).slice(50, 200)

    assert fold_vectors(layout, sliced).tolist() == layout.fold(VECTORS[50:250]).tolist()


def test_nulls_holes_and_other_lengths_are_missing() -> None:
    layout = VectorLayout.from_reference([[0.0, 1.0], [2.0, 3.0], [4.0, 4.0]])
    counts = fold_vectors(layout, column([0.0, 1.0], None, [1.0, None], [1.0], [], [np.nan, 1.0]))

    assert (events(layout, counts), counts[-1]) == (1, 5)
    assert fold_vectors(layout, column("a", "b", kind=pa.string()))[-1] == 2
    whole = column([1, 2], [3, None], kind=pa.list_(pa.int64()))
    assert events(layout, fold_vectors(layout, whole)) == 1


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([], "no value"),
        ([None, None], "no value"),
        ([[1.0, 2.0]] * 9, "one value only"),
        ([[1.0] * n for n in range(1, 9)], "8 lengths"),
        ([[0.0] * 9_000, [1.0] * 9_000], "9000 coordinates, at most 8192"),
    ],
    ids=["empty", "nulls", "constant", "baskets", "long"],
)
def test_what_makes_no_vector_stream_is_told(values: list[object], why: str) -> None:
    sample = VectorSample()
    sample.add(column(*values))

    with pytest.raises(ValueError, match=why):
        sample.layout()


def test_a_sample_of_any_number_of_batches_is_bounded_and_even() -> None:
    sample = VectorSample()
    for start in range(0, 40_000, 1_000):
        numbers = np.arange(start, start + 1_000, dtype=np.float64)
        sample.add(column(*[[n, 1.0] for n in numbers]))
    kept = np.concatenate(sample._kept)[:, 0]

    assert 4_096 <= len(kept) <= 8_192
    assert np.unique(np.diff(kept)).tolist() == [8.0]


def table() -> pa.Table:
    numbers = np.random.default_rng(2).normal(size=300)
    return pa.table({"x": numbers, "text": pa.array(VECTORS.tolist(), LISTS)})


def test_a_retrained_version_keeps_the_vector_streams_that_its_export_lacks() -> None:
    first = build_profile(table())
    second = build_profile(table().drop_columns(["text"]), first.layouts, "2")

    assert second.layouts["text"] == first.layouts["text"]
    assert (first.streams["text"].n, second.streams["text"].n) == (300, 0)
    assert isinstance(second.layouts["x"], NumericLayout)


def test_a_moved_vector_column_is_drift_at_rest() -> None:
    profile = build_profile(table())
    same, moved = table(), table().set_column(1, "text", pa.array((VECTORS + 1).tolist(), LISTS))

    assert not any(one.moved for one in compare_table(profile, same))
    loudest = compare_table(profile, moved)[0]
    assert (loudest.stream, loudest.measures[0].measure) == ("text", "mmd")
    assert loudest.p_value < 1e-6
    lost = compare_table(profile, table().set_column(1, "text", pa.nulls(300, LISTS)))[0]
    assert (lost.stream, lost.measures[0].measure) == ("text", "missing")


@pytest.mark.parametrize("form", ["parquet", "jsonl", "events", "vectors only"])
def test_data_profile_finds_the_vectors(form: str, tmp_path: Path) -> None:
    file, out = (
        tmp_path / ("t.jsonl" if form in ("jsonl", "events") else "t.parquet"),
        tmp_path / "p",
    )
    rows = table().select(["text"]) if form == "vectors only" else table()
    if form == "jsonl":
        file.write_text("\n".join(json.dumps(row) for row in rows.to_pylist()))
    elif form == "events":
        file.write_text(
            "\n".join(
                json.dumps({"features": {"x": row["x"]}, "vectors": {"text": row["text"]}})
                for row in rows.to_pylist()
            )
        )
    else:
        pq.write_table(rows, file, row_group_size=70)

    result = CliRunner().invoke(build(), ["data", "profile", str(file), "--out", str(out)])

    assert result.exit_code == 0, result.output
    assert "text: vector, 1032 cells" in result.output
    profile = Profile.from_bytes(out.read_bytes())
    assert profile.streams["text"].n == 300
    layout = profile.layouts["text"]
    assert isinstance(layout, VectorLayout)
    counts = layout.fold(VECTORS)
    assert profile.streams["text"].counts.tolist() == counts.tolist()


def test_two_profiles_on_the_same_cells_are_compared(tmp_path: Path) -> None:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(build(), ["data", *arguments])

    def path(name: str) -> str:
        return str(tmp_path / name)

    moved = table().set_column(1, "text", pa.array((VECTORS + 1).tolist(), LISTS))
    pq.write_table(table(), path("a.parquet"))
    pq.write_table(moved, path("b.parquet"))
    run("profile", path("a.parquet"), "--out", path("a"))
    run("profile", path("b.parquet"), "--out", path("b"), "--layouts", path("a"))
    run("profile", path("b.parquet"), "--out", path("apart"))

    assert run("compare", path("a"), path("b")).exit_code == 1
    assert run("compare", path("a"), path("a")).exit_code == 0
    other = run("compare", path("a"), path("apart"))
    assert other.exit_code == 2
    assert "--layouts a" in other.stderr
