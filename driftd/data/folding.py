"""A column of a table counted into the cells of a layout, without a Python object a value."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.contract import FloatArray, IntArray, Layout
from detectors.sketches.category import CategoryLayout
from detectors.sketches.vector import VectorLayout
from driftd.data.vectors import fold_vectors


def fold_column(layout: Layout, column: pa.ChunkedArray) -> IntArray | None:
    """Counts of shape (layout.size,); None for a column of neither numbers nor text nor vectors.

    A number in a column of names is named by its digits. Text in a column of numbers counts as
    missing: a feature whose type changed is a fault to be seen.
    """
    column = _plain(column)
    kind = column.type
    if isinstance(layout, VectorLayout):
        return fold_vectors(layout, column)
    if pa.types.is_null(kind):
        return _missing(layout, len(column))
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if not numeric and not is_text(kind):
        return None
    if isinstance(layout, CategoryLayout):
        return _names(layout, column)
    if is_text(kind):
        return _missing(layout, len(column))
    return layout.fold(_numbers(column))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    if pa.types.is_decimal(column.type):
        return column.cast(pa.float64(), safe=False)
    return column


def _numbers(column: pa.ChunkedArray) -> FloatArray:
    # float32 stays as it is: sorting it takes half the time, and every value of it is a float64.
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if not pa.types.is_float32(column.type):
        column = pc.cast(column, pa.float64(), safe=False)
    if column.null_count:
        column = pc.fill_null(column, float("nan"))
    numbers: FloatArray = column.to_numpy()
    return numbers


def _names(layout: CategoryLayout, column: pa.ChunkedArray) -> IntArray:
    counted = pc.value_counts(column)
    cells = layout.cells(counted.field("values").to_pylist())
    counts = counted.field("counts").to_numpy()
    return np.bincount(cells, weights=counts, minlength=layout.size).astype(np.int64)


def _missing(layout: Layout, rows: int) -> IntArray:
    counts = np.zeros(layout.size, np.int64)
    counts[-1] = rows
    return counts
