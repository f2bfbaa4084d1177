"""A profile from a file that need not fit into memory: one pass for the cells, one for the counts."""

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.contract import FloatArray, IntArray, Layout
from detectors.profile import Profile
from driftd.data.answers import bools, is_positive
from driftd.data.export import TS
from driftd.data.features import label_column
from driftd.data.profile import Chosen, Columns, Counted, choose, feature, seconds
from driftd.data.tables import read_batches
from driftd.data.vectors import VectorSample, is_vectors
from driftd.errors import MistakeError

# What the edges of the cells are chosen from; a quantile of so many rows is exact to .0005.
SAMPLE_ROWS = 1_000_000
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProfile:
    """The profile, and which columns are no streams and why."""

    profile: Profile
    skipped: Mapping[str, str]


def profile_file(
    path: Path,
    columns: Columns,
    *,
    layouts: Mapping[str, Layout] | None = None,
    version: str = "",
    positive: str | None = None,
    negative: str = "0",
    progress: Progress = lambda _: None,
) -> FileProfile:
    """Read a file twice; ``progress`` hears the share that is done, 0..1.

    Raises ``MistakeError`` that names the column and what to do.
    """
    labels = (positive or "1", negative)
    chosen = choose_file(path, columns, layouts, labels, lambda done: progress(done / 2))
    profile = count_file(
        path,
        columns,
        chosen.layouts,
        version=version,
        positive=positive,
        negative=negative,
        progress=lambda done: progress(0.5 + done / 2),
    )
    return FileProfile(profile=profile, skipped=chosen.skipped)


def count_file(
    path: Path,
    columns: Columns,
    layouts: Mapping[str, Layout],
    *,
    version: str = "",
    positive: str | None = None,
    negative: str = "0",
    progress: Progress = lambda _: None,
) -> Profile:
    """Read a file once and count it in the cells that are there; an absent column counts nothing."""
    counted = Counted(layouts, (positive or "1", negative))
    names: dict[str, None] = {}
    first, last = np.inf, -np.inf
    for batch in read_batches(path, columns.text):
        names.update(dict.fromkeys(batch.rows.column_names))
        score, label = scores_of(batch.rows, columns), labels_of(batch.rows, columns, positive)
        counted.add(batch.rows, score, label)
        time = columns.time or TS
        if time in batch.rows.column_names:
            ts = seconds(batch.rows[time])
            ts = ts[np.isfinite(ts)]
            first, last = min(first, ts.min(initial=np.inf)), max(last, ts.max(initial=-np.inf))
        progress(batch.done)
    check_columns(names, columns)
    if not counted.n:
        raise MistakeError(f"{path.name} has no rows")
    span = np.array([first, last]) if np.isfinite(first) else np.empty(0)
    return counted.profile(version, span)


def read_profile(path: Path) -> Profile:
    """A profile that `driftd data profile` wrote, compressed or for people."""
    data = path.read_bytes()
    try:
        return Profile.from_bytes(zlib.compress(data) if data[:1] == b"{" else data)
    except ValueError as error:
        raise MistakeError(f"{path}: {error}") from error


def choose_file(
    path: Path,
    columns: Columns,
    layouts: Mapping[str, Layout] | None = None,
    labels: tuple[str, str] = ("1", "0"),
    progress: Progress = lambda _: None,
) -> Chosen:
    """Cells from every ``stride``-th row, so many that at most ``SAMPLE_ROWS`` are held; of vectors,
    which are large, at most 8,192."""
    kept: list[pa.Table] = []
    vectors: dict[str, VectorSample] = {}
    names: dict[str, None] = {}
    stride, held = 1, 0
    for batch in read_batches(path, columns.text):
        names.update(dict.fromkeys(batch.rows.column_names))
        wide = [field.name for field in batch.rows.schema if is_vectors(field.type)]
        for name in wide:
            vectors.setdefault(name, VectorSample()).add(batch.rows[name])
        taken = np.arange(0, batch.rows.num_rows, stride)
        kept.append(batch.rows.drop_columns(wide).take(pa.array(taken)))
        # Not num_rows: a table without a column has no rows.
        held += len(taken)
        if held > SAMPLE_ROWS:
            kept = [table.take(pa.array(np.arange(0, table.num_rows, 2))) for table in kept]
            stride, held = stride * 2, held // 2
        progress(batch.done)
    if not held:
        raise MistakeError(f"{path.name} has no rows")
    check_columns(names, columns)
    # Batches of JSON lines hold what their own lines name, whole numbers or numbers.
    whole = pa.concat_tables(kept, promote_options="permissive")
    return choose(whole, columns, layouts, labels=labels, vectors=vectors)


def check_columns(names: Iterable[str], columns: Columns) -> None:
    """Raise ``MistakeError`` for an option that names a column which is not there."""
    named = {"--score": columns.score, "--label": columns.label, "--time": columns.time}
    known = list(names)
    for option, name in named.items():
        if name is not None and name not in known:
            raise MistakeError(f"{option} {name}: no such column; there are {', '.join(known)}")


def scores_of(rows: pa.Table, columns: Columns) -> FloatArray | None:
    """The scores of a batch, shape (rows,), NaN for none; None where no column is named."""
    if columns.score is None:
        return None
    if columns.score not in rows.column_names:
        return np.full(rows.num_rows, np.nan)
    score = feature(rows[columns.score])
    if not isinstance(score, np.ndarray):
        raise MistakeError(f"--score {columns.score}: its values are no numbers")
    return score


def labels_of(rows: pa.Table, columns: Columns, positive: str | None) -> IntArray | None:
    """The labels of a batch as 1 and 0, -1 for none yet, shape (rows,); None where they are of no
    use: no column is named, or no score stands beside it."""
    if columns.label is None or columns.score is None:
        return None
    if columns.label not in rows.column_names:
        return np.full(rows.num_rows, -1)
    labels = label_column(rows[columns.label])
    known: IntArray = is_positive(labels, positive).astype(np.int64)
    return np.where(bools(pc.is_valid(labels)), known, -1)
