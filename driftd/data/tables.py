"""Tables of people, CSV or Parquet of any size, read batch by batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from driftd.errors import MistakeError

BATCH_ROWS = 65_536
BLOCK_BYTES = 8 * 1024 * 1024
PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz", ".csv.bz2", ".csv.zst", ".tsv", ".tsv.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some rows of a table, and the share of the whole that has been read with them, 0..1."""

    rows: pa.Table
    done: float


def read_batches(path: Path, text: frozenset[str] = frozenset()) -> Iterator[Batch]:
    """The table in batches of one schema. ``text``: columns that are names although CSV shows numbers.

    Raises ``MistakeError`` with what to do, e.g. where a CSV column changes its type half-way.
    """
    name = path.name.lower()
    if not path.is_file():
        raise MistakeError(f"{path} is no file")
    try:
        if name.endswith(PARQUET):
            yield from _parquet(path)
        elif name.endswith(CSV):
            yield from _csv(path, text, "\t" if ".tsv" in name else ",")
        else:
            raise MistakeError(f"{path.name}: give a .parquet, .csv or .tsv file")
    except pa.ArrowInvalid as error:
        raise MistakeError(f"{path.name} cannot be read: {_what_to_do(str(error))}") from error
    except OSError as error:
        raise MistakeError(f"{path.name} cannot be read: {error}") from error


def _parquet(path: Path) -> Iterator[Batch]:
    with pq.ParquetFile(path) as file:
        total, read = file.metadata.num_rows, 0
        for batch in file.iter_batches(BATCH_ROWS):
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


def _compression(path: Path) -> str | None:
    return {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}.get(path.suffix.lower())


def _what_to_do(error: str) -> str:
    if "CSV conversion error" in error:
        return (
            f"{error}; its type was guessed from the first rows: name the column with --text if it "
            "holds names, or with --ignore if it is no feature"
        )
    return error
