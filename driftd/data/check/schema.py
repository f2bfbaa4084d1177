"""What a table must look like, by pandera: inferred from a reference, or given as its YAML."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from detectors.profile import Profile, StreamProfile
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout
from driftd.data.check.findings import EXAMPLES_MAX, Finding, share_text
from driftd.errors import MistakeError

with warnings.catch_warnings():
    # It warns of optional parts that are not installed.
    warnings.simplefilter("ignore")
    import pandera.pandas as pan
    from pandera.errors import SchemaDefinitionError, SchemaErrors

# Below this share of rows an unknown name or a wild number is worth a look, above it is a fault.
SHARE_MAX = 0.01


def schema_of(profile: Profile) -> pan.DataFrameSchema:
    """Types, ranges and names of a reference as a pandera schema; missing values are allowed.

    Numbers may lie as far outside as the reference is wide: a profile does not know its extremes,
    a season is no fault, and a wrong unit still lies further out.
    """
    columns = {
        name: _column(stream)
        for name, stream in profile.streams.items()
        if not name.startswith("@") and stream.counts.any()
    }
    return pan.DataFrameSchema({name: one for name, one in columns.items() if one is not None})


def read_schema(path: Path) -> pan.DataFrameSchema:
    """A schema that ``DataFrameSchema.to_yaml`` wrote, or a person. Raises ``MistakeError``."""
    try:
        schema: pan.DataFrameSchema = pan.DataFrameSchema.from_yaml(path)
    except Exception as error:  # pandera lets through whatever YAML and its own classes raise
        raise MistakeError(
            f"--schema {path} is no schema that pandera reads: {type(error).__name__}: {error}"
        ) from error
    return schema


def _column(stream: StreamProfile) -> Any:
    layout = stream.layout
    if isinstance(layout, CategoryLayout):
        names = [*layout.vocabulary, *layout.rare]
        return pan.Column(str, pan.Check.isin(names), nullable=True)
    if isinstance(layout, NumericLayout) and len(layout.edges):
        low, high = layout.edges[0], layout.edges[-1]
        low, high = float(f"{2 * low - high:.4g}"), float(f"{2 * high - low:.4g}")
        return pan.Column(float, pan.Check.in_range(low, high), nullable=True)
    return None


@dataclass(slots=True)
class _Failed:
    count: int = 0
    examples: list[int] = field(default_factory=list)


class SchemaCheck:
    """Validates batch after batch and gathers what failed: (column, check) -> rows.

    ``inferred``: from a reference, so a few unknown values are a warning; of a schema that a person
    wrote every failure is an error.
    """

    def __init__(self, schema: pan.DataFrameSchema, *, inferred: bool) -> None:
        self._schema = schema
        self._inferred = inferred
        self._rows = 0
        self._failed: dict[tuple[str, str], _Failed] = {}

    def add(self, rows: pa.Table) -> None:
        """The next rows."""
        frame = self._frame(rows)
        try:
            self._schema.validate(frame, lazy=True)
        except SchemaErrors as errors:
            for case in errors.failure_cases.to_dict("records"):
                self._take(case, len(frame))
        except SchemaDefinitionError as error:
            raise MistakeError(f"the schema cannot be used: {error}") from error
        self._rows += rows.num_rows

    def _frame(self, rows: pa.Table) -> pd.DataFrame:
        if self._inferred:
            for place, kind in enumerate(rows.schema):
                wanted = self._schema.columns.get(kind.name)
                cast = _as_wanted(rows[kind.name], str(wanted.dtype)) if wanted else None
                if cast is not None:
                    rows = rows.set_column(place, kind.name, cast)
        frame: pd.DataFrame = rows.to_pandas()
        return frame

    def _take(self, case: Mapping[str, Any], rows: int) -> None:
        named = case["column"]
        column, check = str(named), str(case["check"])
        if case["schema_context"] == "DataFrameSchema":
            # What concerns no column but the table names the column as what failed.
            column = str(case["failure_case"])
        failed = self._failed.setdefault((column, check), _Failed())
        row = case["index"]
        whole = check.startswith("dtype") or row is None or row != row  # noqa: PLR0124 - NaN
        failed.count += rows if whole else 1
        if not whole and len(failed.examples) < EXAMPLES_MAX:
            failed.examples.append(self._rows + int(row) + 1)

    def findings(self) -> list[Finding]:
        """One finding for each column and check that failed."""
        typed = {column for column, check in self._failed if check.startswith("dtype")}
        return [
            self._finding(column, check, failed)
            for (column, check), failed in self._failed.items()
            # What has the wrong type fails every other check of the column too.
            if column not in typed or check.startswith("dtype")
        ]

    def _finding(self, column: str, check: str, failed: _Failed) -> Finding:
        few = self._inferred and failed.count <= SHARE_MAX * self._rows
        says, todo = _words(check, failed.count, self._rows)
        return Finding(
            check="type" if check.startswith("dtype") else "schema",
            severity="warning" if few else "error",
            column=column,
            count=min(failed.count, self._rows),
            of=self._rows,
            says=says,
            todo=todo,
            examples=tuple(failed.examples),
        )


def _as_wanted(column: pa.ChunkedArray, wanted: str) -> pa.ChunkedArray | None:
    """Numbers of any type as float64, numbers of a column of names as their digits."""
    kind = column.type
    if pa.types.is_null(kind):
        return column.cast(pa.float64() if "float" in wanted else pa.string())
    numeric = pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_floating(kind)
    if "float" in wanted:
        if pa.types.is_boolean(kind):
            column = column.cast(pa.int8())
        return pc.cast(column, pa.float64(), safe=False) if numeric or column.type != kind else None
    if pa.types.is_boolean(kind):
        return column.cast(pa.int8()).cast(pa.string())
    return column.cast(pa.string()) if pa.types.is_integer(kind) else None


def _words(check: str, count: int, rows: int) -> tuple[str, str]:
    told = share_text(min(count, rows), rows)
    if check.startswith("dtype"):
        return f"its values are not of type {check}", "look at where the column comes from"
    if check == "column_in_dataframe":
        return "the column is not there", "add it, or take it out of the schema"
    if check.startswith("isin"):
        return (
            f"{told} hold names that the reference never had",
            "a new category, or a typing error?",
        )
    if check.startswith("in_range"):
        return f"{told} lie outside: {check}", "is the unit the same?"
    if check == "not_nullable":
        return f"{told} are missing", "fill them, or allow it by nullable: true"
    return f"{told} fail {check}", "mend the rows or the schema"
