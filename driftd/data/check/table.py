"""A table read once, batch by batch, and everything that is wrong with it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.profile import Profile
from driftd.data.check.findings import EXAMPLES_MAX, Finding, ranked, share_text
from driftd.data.check.label import LabelLeaks
from driftd.data.check.rows import Repeats, hashes_of
from driftd.data.check.schema import SchemaCheck, read_schema, schema_of
from driftd.data.check.split import Keys, Side, split_findings
from driftd.data.export import ID, LABEL, SUBJECT, TS
from driftd.data.profile import Chosen, Columns, Counted
from driftd.data.profile_file import choose_file
from driftd.data.tables import read_batches
from driftd.errors import MistakeError

MISSING_MORE = 0.05
"""So much more may be missing than in the reference before it is a finding."""
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to check a table for. ``against``: a reference; ``schema``: pandera's YAML; ``test``: the
    table that must know nothing of this one."""

    columns: Columns
    keys: Keys
    against: Profile | None = None
    schema: Path | None = None
    test: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How many rows were read, and what was found, the worst first."""

    rows: int
    findings: tuple[Finding, ...]


def check_table(path: Path, asked: Asked, progress: Progress = lambda _: None) -> Checked:
    """Check a table of any size; memory is a batch, and eight bytes a row and key.

    Raises ``MistakeError`` for a column that is named and not there.
    """
    chosen = choose_file(path, asked.columns, progress=lambda done: progress(done / 3))
    reading = _Reading(asked, chosen)
    for batch in read_batches(path, asked.columns.text):
        reading.add(batch.rows)
        progress((1 + batch.done) / 3)
    found = reading.findings()
    if asked.test is not None:
        found += _against_test(reading.side, asked, lambda done: progress((2 + done) / 3))
    progress(1.0)
    return Checked(rows=reading.side.rows, findings=tuple(ranked(found)))


class _Reading:
    """Everything that one pass over a table counts."""

    def __init__(self, asked: Asked, chosen: Chosen) -> None:
        self._asked, self._chosen = asked, chosen
        self._schemas = _schemas(asked)
        self._counted = Counted(asked.against.layouts if asked.against is not None else {})
        label = asked.columns.label
        self._leaks = LabelLeaks(chosen.layouts, label, chosen.skipped) if label else None
        self._constants = _Constants()
        self._names: dict[str, None] = {}
        self._shared = _columns_of(asked.test, asked.columns)
        self._content: tuple[str, ...] = ()
        self._whole = Repeats()
        self.side = Side(asked.keys, ())

    def add(self, rows: pa.Table) -> None:
        """The next rows."""
        first = not self._names
        self._names.update(dict.fromkeys(rows.column_names))
        if first:
            keys, shared = _present(self._asked.keys, self._names), self._shared
            self._content = tuple(name for name in self._names if name not in keys.own())
            both = tuple(n for n in self._content if shared is None or n in shared)
            self.side = Side(keys, both)
        self.side.add(rows)
        if self.side.content != self._content:
            have = [name for name in self._content if name in rows.column_names]
            self._whole.add(hashes_of(rows, have))
        for schema in self._schemas:
            schema.add(rows)
        if self._leaks is not None:
            self._leaks.add(rows)
        self._counted.add(rows)
        self._constants.add(rows)

    def findings(self) -> list[Finding]:
        """What is wrong with the table by itself and against its reference."""
        _check_keys(self._asked.keys, self._names)
        same = self.side.content == self._content
        found = [
            *self._constants.findings(),
            *_left_out(self._chosen, self._constants),
            *_duplicates(self.side, self.side.contents if same else self._whole),
        ]
        for schema in self._schemas:
            found += schema.findings()
        if self._leaks is not None:
            found += self._leaks.findings()
        if self._asked.against is not None:
            # What has another type has lost its values by that alone.
            typed = {one.column for one in found if one.check == "type"}
            lost = _missing(self._asked.against, self._counted.profile("", np.empty(0)))
            found += [one for one in lost if one.column not in typed]
        return found


def _schemas(asked: Asked) -> list[SchemaCheck]:
    found = []
    if asked.schema is not None:
        found.append(SchemaCheck(read_schema(asked.schema), inferred=False))
    if asked.against is not None:
        found.append(SchemaCheck(schema_of(asked.against), inferred=True))
    return found


def _present(keys: Keys, names: dict[str, None]) -> Keys:
    """The keys that were named, else those of an export, where they are."""
    usual = {"id": ID, "subject": SUBJECT, "time": TS}
    found = {
        key: getattr(keys, key) or (name if name in names else None) for key, name in usual.items()
    }
    return Keys(**found)


def _columns_of(test: Path | None, columns: Columns) -> frozenset[str] | None:
    """The columns of the test, which may lack some: only what both have can stand in both."""
    if test is None:
        return None
    for batch in read_batches(test, columns.text):
        return frozenset(batch.rows.column_names)
    raise MistakeError(f"--test {test.name} has no rows")


def _check_keys(keys: Keys, names: dict[str, None]) -> None:
    for option, name in (("--id", keys.id), ("--subject", keys.subject), ("--time", keys.time)):
        if name is not None and name not in names:
            raise MistakeError(f"{option} {name}: no such column; there are {', '.join(names)}")


def _duplicates(side: Side, whole: Repeats) -> list[Finding]:
    found = []
    ids = side.ids.repeated()
    if len(ids):
        found.append(
            Finding(
                check="duplicate id",
                severity="error",
                column=str(side.keys.id),
                count=len(ids),
                of=side.rows,
                says=f"{share_text(len(ids), side.rows)} have an id that a row before them has",
                todo="keep one row an id, or name the right column with --id",
                examples=tuple(int(place) + 1 for place in ids[:EXAMPLES_MAX]),
            )
        )
    rows = whole.repeated()
    if len(rows):
        found.append(
            Finding(
                check="duplicate row",
                severity="info",
                column="",
                count=len(rows),
                of=side.rows,
                says=f"{share_text(len(rows), side.rows)} repeat a row before them in every value "
                "but id, subject and time",
                todo="if they are one event told twice, drop them before any split",
                examples=tuple(int(place) + 1 for place in rows[:EXAMPLES_MAX]),
            )
        )
    return found


def _left_out(chosen: Chosen, constants: "_Constants") -> list[Finding]:
    """Columns that are no features, for another reason than that they never vary."""
    return [
        Finding(
            check="no feature",
            severity="info",
            column=name,
            count=0,
            of=0,
            says=why,
            todo="name it with --ignore, or with --id, --subject or --time if it is one of them",
        )
        for name, why in chosen.skipped.items()
        if not constants.holds(name) and name != LABEL
    ]


def _missing(before: Profile, after: Profile) -> list[Finding]:
    found = []
    for name, old in before.streams.items():
        new = after.streams[name]
        if name.startswith("@") or not new.counts.any() or not old.counts.any():
            continue
        if new.missing_share > old.missing_share + MISSING_MORE:
            found.append(
                Finding(
                    check="missing",
                    severity="error",
                    column=name,
                    count=int(new.counts[-1]),
                    of=new.n + int(new.counts[-1]),
                    says=f"{new.missing_share:.1%} are missing, {old.missing_share:.1%} in the "
                    "reference",
                    todo="find out where they went",
                )
            )
    return found


def _against_test(train: Side, asked: Asked, progress: Progress) -> list[Finding]:
    path = asked.test
    if path is None:
        return []
    test = Side(train.keys, train.content, every_time=True)
    if not train.content:
        raise MistakeError(f"--test {path.name}: it has no column of the table that is checked")
    for batch in read_batches(path, asked.columns.text):
        test.add(batch.rows)
        progress(batch.done)
    if not test.rows:
        raise MistakeError(f"--test {path.name} has no rows")
    return split_findings(train, test)


class _Constants:
    """Columns that never vary, the missing value counted as a value."""

    def __init__(self) -> None:
        self._rows = 0
        self._first: dict[str, object] = {}
        self._varying: set[str] = set()

    def add(self, rows: pa.Table) -> None:
        for name in rows.column_names:
            column = rows[name]
            if name in self._varying or pa.types.is_nested(column.type):
                self._varying.add(name)
                continue
            values = pc.unique(column.slice(0, 1_000))
            if len(values) == 1:
                values = pc.unique(column)
            value = values[0].as_py() if len(values) else None
            if len(values) > 1 or self._first.setdefault(name, value) != value:
                self._varying.add(name)
        self._rows += rows.num_rows

    def holds(self, name: str) -> bool:
        """Whether a column never varied."""
        return name in self._first and name not in self._varying

    def findings(self) -> list[Finding]:
        """One a column."""
        return [
            Finding(
                check="constant",
                severity="warning",
                column=name,
                count=self._rows,
                of=self._rows,
                says="it has no value at all" if value is None else "it has one value only",
                todo="leave it out: it tells a model nothing",
            )
            for name, value in self._first.items()
            if name not in self._varying
        ]
