"""Stored parts say what they are, and give back what was put in."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from driftd.data.samples import (
    FORMAT_KEY,
    LABELS,
    PREDICTIONS,
    PartError,
    decode_labels,
    decode_pending,
    decode_predictions,
    encode,
    encode_labels,
    encode_predictions,
    label_text,
    subject_hash,
)

ROW: dict[str, list[Any]] = {
    "id": ["a"],
    "version": ["1"],
    "variant": ["champion"],
    "ts": [1.5],
    "score": [0.25],
    "prediction": ["late"],
    "latency_ms": [3.0],
    "subject": [7],
    "shadow_of": [None],
    "features": ['{"x": 1}'],
}


def test_a_part_gives_back_its_rows() -> None:
    assert decode_predictions(encode_predictions(ROW)).to_pydict() == ROW


def test_columns_that_may_be_absent_are_null_and_nan_is_null() -> None:
    few = {name: ROW[name] for name in ("id", "version", "variant", "ts", "subject")}
    table = decode_predictions(encode_predictions({**few, "score": np.array([np.nan])}))
    assert table.schema.names == PREDICTIONS.names
    assert table["score"].to_pylist() == [None]
    assert table["features"].to_pylist() == [None]


def test_an_unknown_column_is_refused_with_the_right_ones() -> None:
    with pytest.raises(PartError, match="no such column: scores; there are id, "):
        encode_predictions({**ROW, "scores": [1.0]})


def test_half_of_a_surrogate_pair_does_not_stop_a_flush() -> None:
    part = encode_labels({"id": ["a\ud800"], "ts": [1.0], "label": ["x"]})
    assert decode_labels(part)["id"].to_pylist() == ["a?"]


def test_an_empty_part_is_a_part() -> None:
    assert decode_labels(encode_labels({"id": [], "ts": [], "label": []})).num_rows == 0


def test_a_part_of_another_kind_is_refused() -> None:
    with pytest.raises(PartError, match="holds labels, not pending"):
        decode_pending(encode_labels({"id": [], "ts": [], "label": []}))


def test_a_part_of_a_newer_release_says_so() -> None:
    future = encode(LABELS.empty_table(), "labels")
    table = pa.ipc.open_stream(future).read_all()
    newer = table.replace_schema_metadata({**table.schema.metadata, FORMAT_KEY: b"2"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, newer.schema) as writer:
        writer.write_table(newer)
    with pytest.raises(PartError, match="has format 2, this driftd reads up to 1"):
        decode_labels(sink.getvalue().to_pybytes())


@pytest.mark.parametrize("cut", [0, 3, 40])
def test_a_damaged_part_is_told_and_not_guessed(cut: int) -> None:
    with pytest.raises(PartError, match="damaged"):
        decode_predictions(encode_predictions(ROW)[:cut])


def test_subjects_hash_alike_in_every_process() -> None:
    assert subject_hash("EWR|2013-01-01T06") == 4871354282228515199
    assert subject_hash("a") != subject_hash("b")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        (True, "true"),
        ("1", "1"),
        (0.5, "0.5"),
        (None, None),
        (1e20, "1" + 20 * "0"),
    ],
)
def test_one_label_has_one_text(value: str | float | bool | None, text: str | None) -> None:
    assert label_text(value) == text
