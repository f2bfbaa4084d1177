"""Tables of people, CSV, JSON lines or Parquet of any size, read batch by batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from driftd.data.features import feature_table
from driftd.data.json_lines import JsonLines
from driftd.errors import MistakeError

BATCH_ROWS = 65_536
WIDE_ROWS = 8_192
"""Rows of a batch where a column holds lists: of vectors, which are large."""
BLOCK_BYTES = 8 * 1024 * 1024
PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz", ".csv.bz2", ".csv.zst", ".tsv", ".tsv.gz")
JSON = tuple(
    f".{name}{packed}" for name in ("jsonl", "ndjson") for packed in ("", ".gz", ".bz2", ".zst")
)
KNOWN = ".parquet, .csv, .tsv, .jsonl or .ndjson"
FEATURES, VECTORS = "features", "vectors"
"""The columns of driftd's own event records that hold an object: the features (or its text), and
the vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some rows of a table, and the share of the whole that has been read with them, 0..1."""

    rows: pa.Table
    done: float


def is_table(path: Path) -> bool:
    """Whether the name of a file says that it is a table."""
    return path.name.lower().endswith((*PARQUET, *CSV, *JSON))


def read_batches(path: Path, text: frozenset[str] = frozenset()) -> Iterator[Batch]:
    """The table in batches. ``text``: columns that are names although CSV shows numbers.

    Batches of Parquet and CSV have one schema. Those of JSON lines hold what their own lines name,
    and a column may widen from whole numbers to numbers. The ``features`` object of event records
    stands as one column a feature. Raises ``MistakeError`` with what to do, e.g. where a column
    changes its type half-way.
    """
    if not path.is_file():
        raise MistakeError(f"{path} is no file")
    for batch in _read(path, text):
        yield Batch(rows=_flat(batch.rows, path), done=batch.done)


def _read(path: Path, text: frozenset[str]) -> Iterator[Batch]:
    name = path.name.lower()
    try:
        if name.endswith(PARQUET):
            yield from _parquet(path)
        elif name.endswith(CSV):
            yield from _csv(path, text, "\t" if ".tsv" in name else ",")
        elif name.endswith(JSON):
            yield from _json(path, text)
        else:
            raise MistakeError(f"{path.name}: give a {KNOWN} file")
    except pa.ArrowInvalid as error:
        raise MistakeError(f"{path.name} cannot be read: {_what_to_do(str(error))}") from error
    except OSError as error:
        raise MistakeError(f"{path.name} cannot be read: {error}") from error


def _parquet(path: Path) -> Iterator[Batch]:
    with pq.ParquetFile(path) as file:
        total, read = file.metadata.num_rows, 0
        wide = any(pa.types.is_nested(field.type) for field in file.schema_arrow)
        for batch in file.iter_batches(WIDE_ROWS if wide else BATCH_ROWS):
            read += batch.num_rows
            yield Batch(rows=pa.Table.from_batches([batch]), done=read / total)


def _csv(path: Path, text: frozenset[str], delimiter: str) -> Iterator[Batch]:
    total = max(1, path.stat().st_size)
    with path.open("rb") as raw, pa.input_stream(raw, compression=_compression(path)) as stream:
        reader = pacsv.open_csv(
            stream,
            read_options=pacsv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
            parse_options=pacsv.ParseOptions(delimiter=delimiter),
            convert_options=pacsv.ConvertOptions(
                strings_can_be_null=True, column_types=dict.fromkeys(sorted(text), pa.string())
            ),
        )
        with reader:
            for batch in reader:
                yield Batch(rows=pa.Table.from_batches([batch]), done=min(1.0, raw.tell() / total))


def _json(path: Path, text: frozenset[str]) -> Iterator[Batch]:
    total = max(1, path.stat().st_size)
    with path.open("rb") as raw, pa.input_stream(raw, compression=_compression(path)) as stream:
        for rows in JsonLines(path.name, text).batches(stream, BLOCK_BYTES):
            yield Batch(rows=rows, done=min(1.0, raw.tell() / total))


def _flat(rows: pa.Table, path: Path) -> pa.Table:
    """The rows with one column a feature or vector in place of the objects that hold them."""
    for holder in (FEATURES, VECTORS):
        if holder in rows.column_names:
            rows = _flattened(rows, holder, path)
    return rows


def _flattened(rows: pa.Table, holder: str, path: Path) -> pa.Table:
    objects = rows[holder].combine_chunks()
    if pa.types.is_struct(objects.type):
        found = {
            field.name: pc.struct_field(objects, [place])
            for place, field in enumerate(objects.type)
        }
    elif pa.types.is_string(objects.type) and _hold_objects(objects):
        table = feature_table(pa.chunked_array([objects]))
        found = {name: table[name] for name in table.column_names}
    else:
        return rows
    rows = rows.drop_columns(holder)
    both = sorted(set(found) & set(rows.column_names))
    if both:
        raise MistakeError(
            f"{path.name}: {', '.join(both)} stand both beside the object {holder!r} and in it; "
            "rename one of the two"
        )
    for name, values in found.items():
        rows = rows.append_column(name, values)
    return rows


def _hold_objects(texts: pa.Array) -> bool:
    present = texts.drop_null()
    return len(present) > 0 and bool(pc.all(pc.starts_with(present, "{")).as_py())


def _compression(path: Path) -> str | None:
    return {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}.get(path.suffix.lower())


def _what_to_do(error: str) -> str:
    if "CSV conversion error" in error:
        return (
            f"{error}; its type was guessed from the first rows: name the column with --text if it "
            "holds names, or with --ignore if it is no feature"
        )
    return error
