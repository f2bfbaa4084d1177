"""Which columns of a recorded table are what, and when each of its rows happened."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.contract import FloatArray
from driftd.data.export import ID, SUBJECT, TS
from driftd.data.folding import is_text
from driftd.data.profile import seconds
from driftd.errors import MistakeError

# The fields of driftd's own event records, which are no features.
RECORD = frozenset(
    {
        "v", "id", "model", "version", "variant", "ts", "score", "prediction", "latency_ms",
        "error", "subject", "segment", "vectors", "shadow_of", "label", "label_ts", "source", "tick",
    }
)  # fmt: skip
# Seconds since 1970 beyond the year 5138 are milliseconds or finer.
_SECONDS_MAX = 1e11


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """When a row happened: the moment or the seconds in its column ``time``; with ``unit_s``, that
    many seconds a unit after ``start_s``; with ``every_s``, so long after the row before it."""

    time: str | None = None
    unit_s: float | None = None
    every_s: float | None = None
    start_s: float = 0.0

    def times(self, rows: pa.Table, first_row: int) -> FloatArray:
        """Seconds since 1970, shape (rows,); NaN where a row has no time."""
        if self.every_s is not None:
            numbers: FloatArray = self.start_s + self.every_s * np.arange(
                first_row, first_row + rows.num_rows, dtype=np.float64
            )
            return numbers
        column = self._column(rows)
        if self.unit_s is not None:
            return self.start_s + self.unit_s * seconds(column)
        ts = seconds(column)
        if len(ts) and np.nanmax(np.append(np.abs(ts), 0.0)) > _SECONDS_MAX:
            raise MistakeError(
                f"--time {self.time}: {ts[0]:.0f} is in milliseconds or finer; give --time-unit 1ms"
            )
        return ts

    def _column(self, rows: pa.Table) -> pa.ChunkedArray:
        name = self.time or TS
        if name not in rows.column_names:
            raise MistakeError(
                f"--time {name}: no such column; there are {', '.join(rows.column_names)}; rows that "
                "follow each other at a fixed pace need --every, e.g. --every 30m --start 2013-01-01"
            )
        column = rows[name]
        return moments(column, name) if is_text(column.type) else column


def moments(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Dates and moments as text, UTC where they say no zone. Raises ``MistakeError``."""
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return pc.cast(column, kind)
        except pa.ArrowInvalid:
            pass
    present = column.drop_null()
    raise MistakeError(
        f"{name}: {present[0].as_py()!r} is no time; write seconds since 1970 or moments such as "
        "2013-01-31T06:00:00"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Column by role; None where there is none. ``ignore`` and the roles are no features.

    ``records``: the rows are driftd's own event records, so labels may be rows of their own, and
    only those of ``model`` count.
    """

    clock: Clock = Clock()
    score: str | None = None
    prediction: str | None = None
    label: str | None = None
    label_time: str | None = None
    id: str | None = None
    version: str | None = None
    variant: str | None = None
    latency: str | None = None
    error: str | None = None
    model: str = ""
    records: bool = False
    ignore: frozenset[str] = field(default_factory=frozenset)
    text: frozenset[str] = frozenset()

    def own(self) -> frozenset[str]:
        """The columns that are no features."""
        named = (
            self.clock.time, self.score, self.prediction, self.label, self.label_time, self.id,
            self.version, self.variant, self.latency, self.error,
        )  # fmt: skip
        usual = {ID, SUBJECT, TS} | (RECORD if self.records else set())
        return frozenset({name for name in named if name} | usual) | self.ignore

    def answers(self) -> bool:
        """Whether rows say what the model answered, without which labels tell no quality."""
        return bool(self.score or self.prediction)

    def seen_in(self, names: frozenset[str]) -> "Roles":
        """These roles for a table with such columns: those of event records where it is one."""
        if not {"model", TS} <= names:
            return self
        usual = {
            "score": "score", "prediction": "prediction", "label": "label", "label_time": "label_ts",
            "id": ID, "version": "version", "variant": "variant", "latency": "latency_ms",
            "error": "error",
        }  # fmt: skip
        # A block of records may hold labels only: which fields there are is known beforehand.
        found: dict[str, Any] = {role: getattr(self, role) or name for role, name in usual.items()}
        return replace(self, records=True, **found)

    def check(self, names: frozenset[str]) -> None:
        """Raise ``MistakeError`` for an option that names a column which is not there."""
        if self.records:
            return
        options = {
            "--score": self.score, "--prediction": self.prediction, "--label": self.label,
            "--label-time": self.label_time, "--version": self.version,
        }  # fmt: skip
        for option, name in options.items():
            if name is not None and name not in names:
                known = ", ".join(sorted(names))
                raise MistakeError(f"{option} {name}: no such column; there are {known}")
