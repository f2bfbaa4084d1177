"""The archive keeps each request once, whatever was written twice."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from driftd.data.archive import ARCHIVED, DAY_S, Archive
from driftd.data.samples import table_of
from driftd.errors import MistakeError

MIDNIGHT = 15_706 * DAY_S  # 1 January 2013
MODEL = "flight-delay"


def _rows(ts: list[float], variant: str = "champion", version: str = "1") -> pa.Table:
    ids = [f"f{at:.0f}" for at in ts]
    columns: dict[str, Any] = {
        "id": ids if variant != "shadow" else [f"{one}/s" for one in ids],
        "version": [version] * len(ts),
        "variant": [variant] * len(ts),
        "ts": ts,
        "score": np.linspace(0, 1, len(ts)),
        "subject": list(range(len(ts))),
        "shadow_of": ids if variant == "shadow" else [None] * len(ts),
        "label": ["1"] * len(ts),
        "label_ts": [at + 60 for at in ts],
    }
    return table_of(columns, ARCHIVED)


def test_rows_come_back_by_event_time(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    archive.write(MODEL, "a", _rows([MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + DAY_S]))
    found = archive.read(MODEL, MIDNIGHT - 1, MIDNIGHT + DAY_S, ["id", "ts"])
    assert found["ts"].to_pylist() == [MIDNIGHT - 1, MIDNIGHT]
    assert found.column_names == ["id", "ts"]


def test_a_part_lies_under_its_date(tmp_path: Path) -> None:
    paths = Archive(str(tmp_path)).write(MODEL, "r7", _rows([MIDNIGHT - 1, MIDNIGHT + 5]))
    assert [str(Path(path).relative_to(tmp_path)) for path in paths] == [
        "model=flight-delay/date=2012-12-31/part-r7.parquet",
        "model=flight-delay/date=2013-01-01/part-r7.parquet",
    ]


def test_writing_a_step_again_changes_nothing(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    first = archive.write(MODEL, "r7", _rows([MIDNIGHT, MIDNIGHT + 5]))
    before = [Path(path).read_bytes() for path in first]
    assert archive.write(MODEL, "r7", _rows([MIDNIGHT, MIDNIGHT + 5])) == first
    assert [Path(path).read_bytes() for path in first] == before
    assert sorted(tmp_path.rglob("*.parquet")) == [Path(path) for path in first]


def test_a_request_written_under_two_names_is_read_once(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    archive.write(MODEL, "a", _rows([MIDNIGHT, MIDNIGHT + 5]))
    archive.write(MODEL, "b", _rows([MIDNIGHT + 5, MIDNIGHT + 9]))
    assert archive.read(MODEL, 0, MIDNIGHT + DAY_S).num_rows == 3


def test_shadow_answers_are_read_only_when_asked_for(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    archive.write(MODEL, "a", _rows([MIDNIGHT]))
    archive.write(MODEL, "b", _rows([MIDNIGHT], "shadow", "2"))
    assert archive.read(MODEL, 0, MIDNIGHT + 1)["version"].to_pylist() == ["1"]
    everything = archive.read(MODEL, 0, MIDNIGHT + 1, shadows=True)
    assert sorted(everything["version"].to_pylist()) == ["1", "2"]


def test_what_is_older_than_retention_goes_by_whole_dates(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    archive.write(MODEL, "a", _rows([MIDNIGHT + day * DAY_S for day in range(4)]))
    gone = archive.retain(MODEL, MIDNIGHT + 3.5 * DAY_S, 2 * DAY_S)
    assert gone == [date(2013, 1, 1)]
    assert archive.dates(MODEL) == [date(2013, 1, 2), date(2013, 1, 3), date(2013, 1, 4)]


def test_compacting_a_date_keeps_its_rows(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    for name in "abc":
        archive.write(MODEL, name, _rows([MIDNIGHT, MIDNIGHT + ord(name)]))
    before = archive.read(MODEL, 0, MIDNIGHT + DAY_S, shadows=True)
    assert archive.compact(MODEL, date(2013, 1, 1)) == 3
    assert archive.read(MODEL, 0, MIDNIGHT + DAY_S, shadows=True).equals(before)
    assert archive.compact(MODEL, date(2013, 1, 1)) == 1
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


@pytest.mark.parametrize("model", ["..", "a/b", "a b", "ünï=1"])
def test_a_model_name_never_leaves_the_folder(tmp_path: Path, model: str) -> None:
    archive = Archive(str(tmp_path / "archive"))
    archive.write(model, "a", _rows([MIDNIGHT]))
    assert archive.read(model, 0, MIDNIGHT + 1).num_rows == 1
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]
    assert len(list((tmp_path / "archive").iterdir())) == 1


def test_an_unknown_model_has_no_rows(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path / "not-there"))
    assert archive.read("nobody", 0, MIDNIGHT).num_rows == 0
    assert archive.models() == []


def test_models_are_listed_by_their_own_names(tmp_path: Path) -> None:
    archive = Archive(tmp_path.as_uri())
    archive.write("b.1", "a", _rows([MIDNIGHT]))
    archive.write("a/x", "a", _rows([MIDNIGHT]))
    assert archive.models() == ["a/x", "b.1"]


def test_a_store_of_objects_is_written_as_a_folder_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no local disk goes through the file system's own streams."""
    rows = _rows([MIDNIGHT, MIDNIGHT + DAY_S])
    folder, objects = Archive(str(tmp_path / "a")), Archive(str(tmp_path / "b"))
    monkeypatch.setattr(objects, "_local", False)
    for archive in (folder, objects):
        archive.write(MODEL, "a", rows)
    everything = (MODEL, 0.0, MIDNIGHT + 2 * DAY_S)
    assert objects.read(*everything).equals(folder.read(*everything))


def test_a_url_of_no_file_system_says_what_to_write() -> None:
    with pytest.raises(MistakeError, match="write a folder"):
        Archive("gopher://hole")
