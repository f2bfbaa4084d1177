"""The reference profile of a model version: how each stream looked in its training window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from detectors.contract import FloatArray, IntArray, Layout
from detectors.profile import Profile, StreamProfile, default_layouts
from detectors.quality import QualitySketch
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout
from driftd.data.export import ID, LABEL, SUBJECT, TS
from driftd.data.folding import fold_column
from driftd.data.vectors import VectorSample, is_vectors

# Columns of an export that are no features.
RESERVED = frozenset({ID, SUBJECT, TS, LABEL})
THRESHOLD = 0.5
NAMES_MAX = 10_000
"""More names than a category layout keeps: such a column says who, not what kind."""
DISTINCT_SHARE, DISTINCT_MIN = 0.5, 1_000
_FLOATS = pa.float64()


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of a table are what; the others are features.

    ``score`` holds probabilities of the positive class, ``label`` the truth, ``time`` seconds or
    timestamps; ``ignore`` are left out, ``text`` are names although they may look like numbers.
    """

    score: str | None = None
    label: str | None = None
    time: str | None = None
    ignore: frozenset[str] = RESERVED
    text: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The layouts of the streams that are watched, and why others are not."""

    layouts: Mapping[str, Layout]
    skipped: Mapping[str, str] = field(default_factory=dict)


def build_profile(
    table: pa.Table | Path,
    layouts: Mapping[str, Layout] | None = None,
    version: str = "",
    score: FloatArray | None = None,
    *,
    label: IntArray | None = None,
    positive: str = "1",
    negative: str = "0",
    latency_thresholds: Sequence[float] = (),
) -> Profile:
    """The profile of a training table: an export's file, or features with any of its columns.

    ``layouts`` of the model, if it has some: a later version is counted in the same cells, and only
    new features get cells of their own. ``score``, shape (rows,): what the version answers on these
    rows; with it come ``@score``, ``@prediction`` (``positive`` from 0.5 on) and, with labels 0/1
    in ``label`` or the table's own, the reference quality.
    """
    if isinstance(table, Path):
        table = pq.read_table(table)
    if label is None and LABEL in table.column_names:
        label = table[LABEL].to_numpy().astype(np.int64)
    chosen = choose(table, Columns(), layouts, latency_thresholds, (positive, negative))
    # What is archived holds no vectors; their streams go on, their baseline is in the stored panes.
    apart = {name: one for name, one in (layouts or {}).items() if one.kind == "vector"}
    counted = Counted({**apart, **chosen.layouts}, (positive, negative))
    counted.add(table, score, label if score is not None else None)
    ts = seconds(table[TS]) if TS in table.column_names else np.empty(0)
    return counted.profile(version, ts)


def choose(
    table: pa.Table,
    columns: Columns,
    layouts: Mapping[str, Layout] | None = None,
    latency_thresholds: Sequence[float] = (),
    labels: tuple[str, str] = ("1", "0"),
    vectors: Mapping[str, VectorSample] | None = None,
) -> Chosen:
    """Layouts for the features of a reference table, and reasons for what is left out.

    Features that have a layout already keep it and are never left out. ``vectors``: columns of
    vectors that were looked at already and need not be in the table.
    """
    own = {columns.score, columns.label, columns.time} | columns.ignore
    known = layouts or {}
    found = dict(default_layouts(latency_thresholds))
    found["@prediction"] = CategoryLayout(tuple(sorted(set(labels))))
    found.update({name: layout for name, layout in known.items() if name.startswith("@")})
    skipped = {}
    samples = dict(vectors or {})
    for name in dict.fromkeys((*table.column_names, *samples)):
        if name in own:
            continue
        if name in samples or is_vectors(table[name].type):
            try:
                found[name] = known.get(name) or _vector_layout(table, name, samples)
            except ValueError as why_not:
                skipped[name] = str(why_not)
            continue
        values = feature(table[name], text=name in columns.text)
        why = "" if name in known else left_out(table[name], values)
        if why or values is None:
            skipped[name] = why or "its values are neither numbers nor text"
        else:
            found[name] = known.get(name) or _layout(values)
    return Chosen(layouts=found, skipped=skipped)


class Counted:
    """Counts of tables that come one after the other, merged."""

    def __init__(self, layouts: Mapping[str, Layout], labels: tuple[str, str] = ("1", "0")) -> None:
        self._layouts = layouts
        self._labels = labels
        self._counts = {name: np.zeros(layout.size, np.int64) for name, layout in layouts.items()}
        self._quality = QualitySketch.empty()
        self.n = 0

    def add(
        self,
        table: pa.Table,
        score: FloatArray | None = None,
        label: IntArray | None = None,
    ) -> None:
        """Fold the rows of a table; ``score`` (NaN: none) and ``label`` (0, 1; -1: none yet) have
        shape (rows,)."""
        self.n += table.num_rows
        for name, layout in self._layouts.items():
            if name in table.column_names:
                counts = fold_column(layout, table[name])
                if counts is not None:
                    self._counts[name] += counts
        if score is None:
            return
        self._counts["@score"] += self._layouts["@score"].fold(score)
        answered = np.isfinite(score)
        said = score[answered] >= THRESHOLD
        names = pa.chunked_array([np.where(said, *self._labels)])
        predicted = fold_column(self._layouts["@prediction"], names)
        if predicted is not None:
            self._counts["@prediction"] += predicted
        if label is not None:
            known = label[answered] >= 0
            fresh = QualitySketch.fold(
                score[answered][known], said[known].astype(np.int64), label[answered][known]
            )
            self._quality = self._quality.merge(fresh)

    def profile(self, version: str, ts: FloatArray) -> Profile:
        """Everything counted so far; ``ts``: event times, of which the first and last are kept."""
        finite = ts[np.isfinite(ts)]
        return Profile(
            version=version,
            n=self.n,
            since=float(finite.min()) if len(finite) else 0.0,
            until=float(finite.max()) if len(finite) else 0.0,
            streams={
                name: StreamProfile(layout=layout, counts=self._counts[name])
                for name, layout in self._layouts.items()
            },
            quality=self._quality if self._quality.n else None,
        )


def feature(column: pa.ChunkedArray, *, text: bool = False) -> FloatArray | list[Any] | None:
    """A column as a layout counts it: float64 with NaN, or a list of names; None if it is neither."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return list(column.to_pylist())
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return None
    if text:
        return list(column.to_pylist())
    numbers = pc.fill_null(pc.cast(column, _FLOATS, safe=False), float("nan"))
    return np.asarray(numbers.to_numpy(), np.float64)


def left_out(column: pa.ChunkedArray, values: FloatArray | list[Any] | None) -> str:
    """Why a column is no stream worth watching; empty if it is one."""
    if values is None:
        return f"it is of type {column.type}, neither numbers nor text"
    if isinstance(values, list):
        return _names_left_out([value for value in values if value is not None])
    return _numbers_left_out(values[np.isfinite(values)])


def _names_left_out(present: list[Any]) -> str:
    distinct = len(set(present))
    if distinct < 2:
        return "it has one value only" if distinct else "it has no value"
    if distinct > max(DISTINCT_MIN, DISTINCT_SHARE * len(present)) or distinct > NAMES_MAX:
        return f"{distinct} names in {len(present)} rows: it names a thing, as an id does"
    return ""


def _numbers_left_out(present: FloatArray) -> str:
    distinct, steps = len(np.unique(present)), np.diff(present)
    if distinct < 2:
        return "it has one value only" if distinct else "it has no value"
    one_way = bool((steps >= 0).all() or (steps <= 0).all())
    if one_way and distinct > max(DISTINCT_MIN, DISTINCT_SHARE * len(present)):
        return "it only grows or only falls from row to row, as a counter or a time does"
    return ""


def seconds(column: pa.ChunkedArray) -> FloatArray:
    """Event times as seconds since 1970: numbers as they are, timestamps converted."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        column = pc.divide(pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64()), 1e6)
    numbers = feature(column)
    return numbers if isinstance(numbers, np.ndarray) else np.empty(0)


def _vector_layout(table: pa.Table, name: str, samples: Mapping[str, VectorSample]) -> Layout:
    sample = samples.get(name)
    if sample is None:
        sample = VectorSample()
        sample.add(table[name])
    return sample.layout()


def _layout(values: FloatArray | list[Any]) -> Layout:
    if isinstance(values, list):
        return CategoryLayout.from_reference(values)
    return NumericLayout.from_reference(values)
