"""A column of texts as a stream of vectors: a sample of its rows through an encoder."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.contract import Layout
from detectors.profile import StreamProfile
from detectors.sketches.vector import VectorLayout
from driftd.data.encoding import Encoder, EncoderSpec
from driftd.data.folding import is_text
from driftd.data.tables import read_batches
from driftd.errors import MistakeError

ROWS = 10_000
_STEP_TEXTS = 256

UIntArray = NDArray[np.uint64]


def encoded_stream(
    path: Path,
    column: str,
    spec: EncoderSpec,
    known: Layout | None = None,
    *,
    rows: int = ROWS,
    progress: Callable[[float], None] = lambda _: None,
) -> StreamProfile:
    """The stream of a column of texts, from at most ``rows`` rows that a hash of their number draws.

    ``known``: the layout of an earlier version, which is used again. Raises ``MistakeError`` that
    says what is wrong with the column or the encoder.
    """
    # Before the file is read: most mistakes are made here, and are told at once.
    with Encoder(spec) as encoder:
        texts = sample_texts(path, column, rows)
        parts = []
        for start in range(0, len(texts), _STEP_TEXTS):
            parts.append(encoder.encode(texts[start : start + _STEP_TEXTS]))
            progress((start + len(parts[-1])) / len(texts))
    width = max(part.shape[1] for part in parts)
    # A step without any text has no dimension of its own.
    vectors = np.concatenate(
        [p if p.shape[1] else np.full((len(p), width), np.nan, np.float32) for p in parts]
    )
    if isinstance(known, VectorLayout) and known.dimension != width:
        raise MistakeError(
            f"--encode {column}: this encoder's vectors have {width} coordinates, those of --layouts "
            f"{known.dimension}: give the encoder that they were made with, or leave --layouts out"
        )
    try:
        layout = known if isinstance(known, VectorLayout) else VectorLayout.from_reference(vectors)
    except ValueError:
        raise MistakeError(f"--encode {column}: the column holds no text") from None
    return StreamProfile(layout=layout, counts=layout.fold(vectors))


def sample_texts(path: Path, column: str, rows: int) -> list[str | None]:
    """At most ``rows`` texts of a column of any length: those whose row number hashes lowest.

    Not a hash of the text: a text that stands in half of the rows would be drawn always or never.
    """
    kept: list[str | None] = []
    marks: UIntArray = np.zeros(0, np.uint64)
    read = 0
    for batch in read_batches(path, frozenset({column})):
        if column not in batch.rows.column_names:
            names = ", ".join(batch.rows.column_names)
            raise MistakeError(f"--encode {column}: no such column; there are {names}")
        values = batch.rows[column]
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if not (is_text(values.type) or pa.types.is_null(values.type)):
            raise MistakeError(f"--encode {column}: it is of type {values.type}, not text")
        own = _hashes(read, len(values))
        read += len(values)
        every = np.concatenate([marks, own])
        lowest = np.sort(np.argsort(every, kind="stable")[:rows])
        fresh = values.take(pa.array(lowest[lowest >= len(marks)] - len(marks))).to_pylist()
        kept = [kept[at] for at in lowest[lowest < len(marks)]] + fresh
        marks = every[lowest]
    if not read:
        raise MistakeError(f"{path.name} has no rows")
    return kept


def parse_encoders(
    asked: list[str], python: str | None, environment: Mapping[str, str]
) -> dict[str, EncoderSpec]:
    """``COLUMN=ENCODER`` -> column -> spec. Raises ``MistakeError`` for anything else."""
    found = {}
    for text in asked:
        column, equals, source = text.partition("=")
        if not (column and equals and source):
            raise MistakeError(
                f"--encode {text}: write COLUMN=ENCODER, ENCODER a folder or models:/NAME/VERSION"
            )
        plain = EncoderSpec(source=source, environment=environment)
        found[column] = EncoderSpec(
            source=source, python=python or plain.python, environment=environment
        )
    return found


def _hashes(first: int, count: int) -> UIntArray:
    """A hash of each of the numbers from ``first`` on (splitmix64, Steele et al. 2014)."""
    x = np.arange(first + 1, first + count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: UIntArray = x ^ (x >> np.uint64(31))
    return mixed
