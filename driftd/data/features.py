"""Feature objects as columns: numbers stay float64 with NaN, everything else becomes text."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from driftd.data.samples import label_text
from driftd.errors import MistakeError

CHUNK_ROWS = 50_000
COLUMNS_MAX = 2_000

_decoder = msgspec.json.Decoder(dict[str, Any])


def feature_table(objects: pa.ChunkedArray) -> pa.Table:
    """JSON objects (text, null for none) as one column a feature, in the order of their names.

    A column is ``float64`` if all its values are numbers (true is 1), missing ones NaN; else
    ``string``, missing ones null. A name seen once gives a column of all rows. Raises
    ``MistakeError`` when there are more than 2,000 names.
    """
    chunks = [
        _columns(objects.slice(start, CHUNK_ROWS).to_pylist())
        for start in range(0, len(objects), CHUNK_ROWS)
    ]
    names = sorted(set().union(*chunks))
    if len(names) > COLUMNS_MAX:
        raise MistakeError(
            f"{len(names)} feature names, at most {COLUMNS_MAX} are exported; "
            "names that hold a value (an id, a time) belong into a feature's value"
        )
    lengths = [
        min(CHUNK_ROWS, len(objects) - start) for start in range(0, len(objects), CHUNK_ROWS)
    ]
    columns = {}
    for name in names:
        parts = [chunk.get(name, [None] * n) for chunk, n in zip(chunks, lengths, strict=True)]
        make = _numbers if all(_numeric(part) for part in parts) else _texts
        columns[name] = pa.chunked_array([make(part) for part in parts])
    return pa.table(columns) if columns else pa.table({"_": pa.nulls(len(objects))}).select([])


def kinds_of(table: pa.Table) -> dict[str, str]:
    """Column -> ``number`` or ``text``."""
    return {
        field.name: "number" if pa.types.is_floating(field.type) else "text"
        for field in table.schema
    }


def _columns(objects: Iterable[str | None]) -> dict[str, list[Any]]:
    rows = [_object(text) if text else {} for text in objects]
    names = set().union(*(row.keys() for row in rows))
    return {name: [row.get(name) for row in rows] for name in names}


def _object(text: str) -> dict[str, Any]:
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError:
        # Half of a surrogate pair, which msgspec refuses and JSON can hold.
        found: dict[str, Any] = json.loads(text)
        return found


def _numeric(values: Iterable[Any]) -> bool:
    return not any(isinstance(value, str | list | dict) for value in values)


def _numbers(values: list[Any]) -> pa.Array:
    # None becomes NaN; the two are one and the same "missing" to every learner.
    return pa.array(np.array(values, dtype=np.float64), pa.float64())


def _texts(values: list[Any]) -> pa.Array:
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if value is None or isinstance(value, float | int):
        return label_text(value)
    return msgspec.json.encode(value).decode()


def label_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Labels of any type as ``label_text`` writes them, so that 1, 1.0 and "1" are one label."""
    return pa.chunked_array(
        [pa.array([label_text(one) for one in column.to_pylist()], pa.string())]
    )
