"""JSON lines are a table like any other; what is wrong in them is told with its line."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from driftd.data.profile import Columns
from driftd.data.profile_file import profile_file
from driftd.data.tables import read_batches
from driftd.errors import MistakeError


def _write(tmp_path: Path, text: str, name: str = "t.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def _rows(path: Path, text: frozenset[str] = frozenset()) -> list[dict[str, object]]:
    tables = [batch.rows for batch in read_batches(path, text)]
    return list(pa.concat_tables(tables, promote_options="permissive").to_pylist())


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.jsonl.gz", "t.ndjson.gz"])
def test_every_line_is_a_row_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("driftd.data.tables.BLOCK_BYTES", 50)
    lines = [{"x": i, "name": f"n{i % 3}", **({"late": 1.5} if i > 50 else {})} for i in range(100)]
    path = _write(tmp_path, "\n".join(map(json.dumps, lines)), name)

    assert _rows(path) == [{"late": None, **line} for line in lines]


def test_a_whole_number_may_become_a_number_and_null_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftd.data.tables.BLOCK_BYTES", 20)
    path = _write(tmp_path, '{"x": 1, "y": null}\n{"x": 2.5, "y": "a"}\n{"x": null, "y": "b"}\n')

    assert [row["x"] for row in _rows(path)] == [1.0, 2.5, None]
    assert [row["y"] for row in _rows(path)] == [None, "a", "b"]


def test_the_features_of_event_records_are_columns(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        '{"model": "m", "ts": 1.0, "features": {"temp": 39, "carrier": "UA"}}\n'
        '{"model": "m", "ts": 2.0, "features": {"temp": 40.5, "visib": null}}\n'
        '{"model": "m", "ts": 3.0, "label": "late"}\n',
    )
    rows = _rows(path)

    assert [(row["temp"], row["carrier"]) for row in rows] == [
        (39.0, "UA"), (40.5, None), (None, None),
    ]  # fmt: skip
    assert "features" not in rows[0]


def test_a_feature_with_the_name_of_a_field_is_told(tmp_path: Path) -> None:
    path = _write(tmp_path, '{"ts": 1.0, "score": 0.5, "features": {"score": 1}}\n')
    with pytest.raises(MistakeError, match="score stand both beside the object 'features'"):
        _rows(path)


def test_text_that_looks_like_a_moment_stays_text_if_asked(tmp_path: Path) -> None:
    path = _write(tmp_path, '{"day": "2013-01-01"}\n{"day": "2013-01-02"}\n')

    assert _rows(path, frozenset({"day"}))[0]["day"] == "2013-01-01"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"x": 1}\n\n{"x": 2}\n{"x": \n', "line 4 is no JSON"),
        ('{"x": 1}\n{"x": 2}\n{"x": "3"}\n', "column x is a number on line 1 and a text on line 3"),
        ('{"x": 1}\n[2]\n', "line 2 is no JSON object"),
        ('[{"x": 1}, {"x": 2}]\n', "line 1 is no JSON object; .* jq -c"),
        ("", "has no rows"),
        ("\n\n", "has no rows"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(MistakeError, match=says):
        profile_file(_write(tmp_path, text), Columns())


def test_a_column_that_changes_its_kind_between_blocks_is_told_with_both_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftd.data.tables.BLOCK_BYTES", 30)
    path = _write(tmp_path, '{"x": 1}\n' * 20 + '{"x": "a"}\n')
    with pytest.raises(MistakeError, match="column x is of type int64 from line 1 on and string"):
        _rows(path)


def test_a_line_without_end_is_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftd.data.json_lines.LINE_BYTES_MAX", 1_000)
    monkeypatch.setattr("driftd.data.tables.BLOCK_BYTES", 100)
    path = _write(tmp_path, '{"x": "' + "a" * 5_000)
    with pytest.raises(MistakeError, match="line 1 has no end"):
        _rows(path)


def test_json_lines_give_the_same_profile_as_csv(tmp_path: Path) -> None:
    rows = [{"x": i % 7, "name": "abc"[i % 3], "y": i % 2, "score": 0.25} for i in range(300)]
    lines = _write(tmp_path, "\n".join(map(json.dumps, rows)))
    table = _write(
        tmp_path,
        "x,name,y,score\n" + "\n".join(",".join(map(str, r.values())) for r in rows),
        "t.csv",
    )
    columns = Columns(score="score", label="y")

    assert (
        profile_file(lines, columns).profile.to_bytes()
        == profile_file(table, columns).profile.to_bytes()
    )
