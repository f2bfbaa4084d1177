"""An export is what a trainer needs, and nothing it learns from stands in the withheld block."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from driftd.data.archive import ARCHIVED, DAY_S, Archive
from driftd.data.export import export_training, read_manifest
from driftd.data.features import feature_table, kinds_of
from driftd.data.samples import table_of
from driftd.errors import MistakeError
from tests.support.labelled import labelled

MODEL = "flight-delay"


def _archive(tmp_path: Path, n: int = 400, days: float = 20) -> Archive:
    archive = Archive(str(tmp_path / "archive"))
    archive.write(MODEL, "all", labelled(n, start=0, end=days * DAY_S))
    return archive


def _read(folder: Path, name: str) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pq.read_table(folder / name).to_pydict()
    return columns


def test_the_newest_share_is_withheld_and_no_subject_stands_on_both_sides(tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = export_training(
        _archive(tmp_path), MODEL, 0, 20 * DAY_S, out, phase="gate", holdout=0.25, positive="late"
    )
    train, held = _read(out, "train.parquet"), _read(out, "holdout.parquet")
    assert manifest.holdout_since is not None
    assert max(train["ts"]) < manifest.holdout_since <= min(held["ts"])
    assert manifest.holdout_since == pytest.approx(15 * DAY_S, abs=0.2 * DAY_S)
    assert not set(train["id"]) & set(held["id"])
    assert not set(train["subject"]) & set(held["subject"])
    assert 0 < manifest.straddling < 20
    assert len(train["id"]) + len(held["id"]) + manifest.straddling == 400


def test_the_manifest_says_what_the_files_hold(tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = export_training(
        _archive(tmp_path), MODEL, 0, 20 * DAY_S, out, phase="gate", holdout=0.25, positive="late"
    )
    assert read_manifest(out) == made
    assert sum(made.labels.values()) == 400
    assert set(made.labels) == {"late", "on_time"}
    assert made.columns == {"carrier": "text", "noise": "number", "x": "number"}
    for name, digest in made.sha256.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
        columns = _read(out, name)
        assert made.rows[name] == len(columns["label"])
        assert made.positives[name] == sum(columns["label"])
        assert list(columns) == ["id", "subject", "ts", "label", "carrier", "noise", "x"]
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["positive"] == "late"


def test_the_same_archive_gives_the_same_bytes(tmp_path: Path) -> None:
    archive = _archive(tmp_path)
    first, second = (
        export_training(archive, MODEL, 0, 20 * DAY_S, tmp_path / name, phase="gate")
        for name in ("a", "b")
    )
    assert first.sha256 == second.sha256


def test_a_refit_uses_everything_and_leaves_no_old_block(tmp_path: Path) -> None:
    archive, out = _archive(tmp_path), tmp_path / "out"
    export_training(archive, MODEL, 0, 20 * DAY_S, out, phase="gate")
    manifest = export_training(archive, MODEL, 0, 20 * DAY_S, out, phase="refit")
    assert sorted(file.name for file in out.iterdir()) == ["manifest.json", "train.parquet"]
    assert manifest.rows == {"train.parquet": 400}
    assert manifest.holdout_since is None


def test_an_archive_younger_than_the_window_still_withholds_only_its_share(tmp_path: Path) -> None:
    manifest = export_training(
        _archive(tmp_path),
        MODEL,
        -60 * DAY_S,
        20 * DAY_S,
        tmp_path / "o",
        phase="gate",
        holdout=0.25,
    )
    assert manifest.rows["holdout.parquet"] == pytest.approx(100, abs=25)


def test_spans_with_faulty_input_are_left_out(tmp_path: Path) -> None:
    out = tmp_path / "out"
    span = (5 * DAY_S, 8 * DAY_S)
    export_training(_archive(tmp_path), MODEL, 0, 20 * DAY_S, out, phase="refit", without=[span])
    ts = np.array(_read(out, "train.parquet")["ts"])
    assert not ((ts >= span[0]) & (ts < span[1])).any()
    assert (ts < span[0]).any()
    assert (ts >= span[1]).any()


@pytest.mark.parametrize(
    ("phase", "holdout", "says"),
    [
        ("later", 0.2, "phase is gate or refit"),
        ("gate", 1.0, "holdout is a share"),
        ("gate", 0.0, "holdout is a share"),
    ],
)
def test_what_makes_no_sense_is_a_mistake(
    tmp_path: Path, phase: str, holdout: float, says: str
) -> None:
    with pytest.raises(MistakeError, match=says):
        export_training(
            _archive(tmp_path), MODEL, 0, DAY_S, tmp_path / "o", phase=phase, holdout=holdout
        )


def test_nothing_to_export_is_told(tmp_path: Path) -> None:
    with pytest.raises(MistakeError, match="no labelled request of nobody"):
        export_training(_archive(tmp_path), "nobody", 0, DAY_S, tmp_path / "o", phase="refit")


def test_when_every_subject_is_withheld_nothing_can_be_trained(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path / "archive"))
    rows = labelled(100, start=0, end=DAY_S)
    where = rows.schema.get_field_index("subject")
    archive.write(MODEL, "a", rows.set_column(where, "subject", pa.array(np.zeros(100, np.int64))))
    with pytest.raises(MistakeError, match="withhold less, or let the window be longer"):
        export_training(archive, MODEL, 0, DAY_S, tmp_path / "o", phase="gate")


def test_a_feature_named_like_a_column_of_the_export_is_refused(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path / "archive"))
    row: dict[str, Any] = {
        "id": ["a"],
        "version": ["1"],
        "variant": ["champion"],
        "ts": [1.0],
        "subject": [1],
        "features": ['{"label": 1}'],
        "label": ["1"],
        "label_ts": [2.0],
    }
    archive.write(MODEL, "a", table_of(row, ARCHIVED))
    with pytest.raises(MistakeError, match="may not be called label"):
        export_training(archive, MODEL, 0, DAY_S, tmp_path / "o", phase="refit")


def test_a_folder_that_is_no_export_says_so(tmp_path: Path) -> None:
    with pytest.raises(MistakeError, match="no folder that `driftd data export` wrote"):
        read_manifest(tmp_path)


def test_features_become_columns_with_one_form_of_missing() -> None:
    objects = pa.chunked_array(
        [
            [
                '{"n": 1, "t": "a", "mixed": 1, "b": true}',
                None,
                '{"n": 2.5, "mixed": "x", "list": [1]}',
            ]
        ]
    )
    table = feature_table(objects)
    assert kinds_of(table) == {
        "b": "number",
        "list": "text",
        "mixed": "text",
        "n": "number",
        "t": "text",
    }
    numbers = table["n"].to_numpy()
    assert numbers[[0, 2]].tolist() == [1.0, 2.5]
    assert np.isnan(numbers[1])
    assert table["b"].to_pylist()[0] == 1.0
    assert table["mixed"].to_pylist() == ["1", None, "x"]
    assert table["list"].to_pylist() == [None, None, "[1]"]


def test_half_of_a_surrogate_pair_in_a_feature_stops_no_export() -> None:
    table = feature_table(pa.chunked_array([['{"name": "a\\ud800", "x": 1}']]))
    assert table.to_pydict() == {"name": ["a?"], "x": [1.0]}


def test_no_features_at_all_are_no_columns() -> None:
    assert feature_table(pa.chunked_array([pa.array([None, "{}"], pa.string())])).num_columns == 0


def test_too_many_feature_names_are_refused() -> None:
    objects = pa.chunked_array([[json.dumps({f"f{i}": 1 for i in range(2_001)})]])
    with pytest.raises(MistakeError, match="2001 feature names, at most 2000"):
        feature_table(objects)
