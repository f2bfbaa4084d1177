"""Rows as numbers: what is the same row, the same id, the same subject, in eight bytes each."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from driftd.data.folding import is_text

Hashes = NDArray[np.uint64]


def hashes_of(rows: pa.Table, columns: Sequence[str]) -> Hashes:
    """A 64-bit hash of these columns of each row, shape (rows,), equal for equal values.

    A number is itself in whatever type a file keeps it; columns that hold lists are left out. Two
    different rows share a hash in one of 10^19 cases.
    """
    frame = pd.DataFrame(
        {
            name: _comparable(rows[name])
            for name in columns
            if not pa.types.is_nested(rows[name].type)
        }
    )
    if frame.empty:
        return np.zeros(rows.num_rows, np.uint64)
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), np.uint64)


def _comparable(column: pa.ChunkedArray) -> "pd.Series[float] | pd.Series[str]":
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if numeric or pa.types.is_boolean(kind):
        column = column.cast(pa.int8()) if pa.types.is_boolean(kind) else column
        return pd.Series(pc.cast(column, pa.float64(), safe=False).to_numpy())
    if not is_text(kind):
        column = pc.cast(column, pa.string())
    return pd.Series(column.to_pandas())


class Repeats:
    """Hashes of many batches; afterwards, how often one came twice and where. 8 bytes a row."""

    def __init__(self) -> None:
        self._parts: list[Hashes] = []

    def add(self, hashes: Hashes) -> None:
        """The next rows."""
        self._parts.append(hashes)

    def all(self) -> Hashes:
        """Every row's hash, in order."""
        whole = np.concatenate([np.empty(0, np.uint64), *self._parts])
        self._parts = [whole]
        return whole

    def repeated(self) -> NDArray[np.int64]:
        """Places of the rows whose hash a row before them has, ascending from 0."""
        whole = self.all()
        _, first = np.unique(whole, return_index=True)
        again = np.ones(len(whole), bool)
        again[first] = False
        return np.flatnonzero(again)
