"""How sampled predictions and labels are kept until they meet: Arrow IPC streams, zstd, versioned.

A *part* is what one flush of the ingest sampled. A *pending* table is the consolidated part of one
bucket, with the labels that have arrived so far; ``driftd.data.join`` makes and updates it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from driftd.errors import DriftdError

FORMAT = 1
KIND_KEY, FORMAT_KEY, DUPLICATES_KEY = b"driftd.kind", b"driftd.format", b"driftd.duplicates"

_PREDICTION = [
    pa.field("id", pa.string(), nullable=False),
    pa.field("version", pa.string(), nullable=False),
    pa.field("variant", pa.string(), nullable=False),
    pa.field("ts", pa.float64(), nullable=False),
    pa.field("score", pa.float64()),
    pa.field("prediction", pa.string()),
    pa.field("latency_ms", pa.float64()),
    pa.field("subject", pa.int64(), nullable=False),
    pa.field("shadow_of", pa.string()),
    pa.field("features", pa.string()),
]
_LABEL = [
    pa.field("id", pa.string(), nullable=False),
    pa.field("ts", pa.float64(), nullable=False),
    pa.field("label", pa.string(), nullable=False),
]
PREDICTIONS = pa.schema(_PREDICTION)
LABELS = pa.schema(_LABEL)
PENDING = pa.schema(
    [*_PREDICTION, pa.field("label", pa.string()), pa.field("label_ts", pa.float64())]
)
_SCHEMAS = {"predictions": PREDICTIONS, "labels": LABELS, "pending": PENDING}


class PartError(DriftdError):
    """A stored part cannot be read by this version of driftd."""


def encode_predictions(columns: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]]) -> bytes:
    """Columns of equal length, by the names of ``PREDICTIONS``, to one part.

    ``subject`` is ``subject_hash(...)``, ``prediction`` is ``label_text(...)``, ``features`` a JSON
    object as text. NaN becomes null; nullable columns may be left out.
    """
    return encode(table_of(columns, PREDICTIONS), "predictions")


def encode_labels(columns: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]]) -> bytes:
    """Columns ``id``, ``ts`` and ``label`` (as ``label_text`` writes it) to one part."""
    return encode(table_of(columns, LABELS), "labels")


def encode_pending(table: pa.Table) -> bytes:
    """A consolidated table of one bucket; its count of duplicates is kept."""
    return encode(table.select(PENDING.names), "pending")


def decode_predictions(blob: bytes) -> pa.Table:
    """A part of ``encode_predictions`` as a table."""
    return decode(blob, "predictions")


def decode_labels(blob: bytes) -> pa.Table:
    """A part of ``encode_labels`` as a table."""
    return decode(blob, "labels")


def decode_pending(blob: bytes) -> pa.Table:
    """A part of ``encode_pending`` as a table."""
    return decode(blob, "pending")


def encode(table: pa.Table, kind: str) -> bytes:
    """One table as an IPC stream that says what it is and which format it has."""
    metadata = {
        **(table.schema.metadata or {}),
        KIND_KEY: kind.encode(),
        FORMAT_KEY: b"%d" % FORMAT,
    }
    named = table.replace_schema_metadata(metadata).combine_chunks()
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    with pa.ipc.new_stream(sink, named.schema, options=options) as writer:
        writer.write_table(named)
    blob: bytes = sink.getvalue().to_pybytes()
    return blob


def decode(blob: bytes, kind: str | None = None) -> pa.Table:
    """The table of a part; with ``kind``, only of that kind. Raises ``PartError``."""
    try:
        options = pa.ipc.IpcReadOptions(use_threads=False)
        table = pa.ipc.open_stream(blob, options=options).read_all()
    except pa.ArrowInvalid as error:
        raise PartError(f"a stored part of {len(blob)} bytes is damaged: {error}") from error
    metadata = table.schema.metadata or {}
    found, version = metadata.get(KIND_KEY, b"?").decode(), int(metadata.get(FORMAT_KEY, b"0"))
    if version > FORMAT:
        raise PartError(
            f"a stored part has format {version}, this driftd reads up to {FORMAT}: "
            "a newer driftd wrote it, run that one"
        )
    if kind is not None and found != kind:
        raise PartError(f"a stored part holds {found}, not {kind}")
    # Columns that a later minor version added stay unread; missing nullable ones are filled.
    return conform(table, _SCHEMAS[found])


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """``table`` with exactly the columns of ``schema``; what is absent is null."""
    if table.schema.equals(schema):
        return table
    have = set(table.column_names)
    columns = [
        table.column(field.name) if field.name in have else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema.with_metadata(table.schema.metadata))


def table_of(
    columns: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]], schema: pa.Schema
) -> pa.Table:
    """Python or NumPy columns as a table of ``schema``; unknown names are refused."""
    unknown = sorted(set(columns) - set(schema.names))
    if unknown:
        raise PartError(
            f"no such column: {', '.join(unknown)}; there are {', '.join(schema.names)}"
        )
    length = len(next(iter(columns.values()), ()))
    arrays = [
        _array(columns[field.name], field.type)
        if field.name in columns
        else pa.nulls(length, field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


def subject_hash(unit: str) -> int:
    """A 64-bit hash of the unit of random assignment; the same in every process and version."""
    return int.from_bytes(
        hashlib.blake2b(unit.encode(errors="replace"), digest_size=8).digest(), "big", signed=True
    )


def label_text(value: str | float | bool | None) -> str | None:
    """A label or prediction as text, so that 1, 1.0 and "1" are one label.

    >>> label_text(1.0), label_text(True), label_text("late"), label_text(0.25), label_text(None)
    ('1', 'true', 'late', '0.25', None)
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _array(values: Sequence[Any] | np.ndarray[Any, Any], kind: pa.DataType) -> pa.Array:
    # from_pandas makes NaN null, so that "missing" has one form from here on.
    try:
        return pa.array(values, type=kind, from_pandas=True)
    except UnicodeEncodeError:
        # Half of a surrogate pair is legal in a Python string and in no file: it becomes "?".
        clean = [v.encode(errors="replace").decode() if isinstance(v, str) else v for v in values]
        return pa.array(clean, type=kind, from_pandas=True)
