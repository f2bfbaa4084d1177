"""A leak between train and test: rows, ids or subjects on both sides, or a test from the past."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from driftd.data.check.findings import EXAMPLES_MAX, Finding, share_text
from driftd.data.check.rows import Repeats, hashes_of
from driftd.data.profile import seconds

# Rows of which the test holds so many times more than train repeats of itself are no coincidence.
COINCIDENCE = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Which columns name a row, whom it is about, and when it was; None where there is none."""

    id: str | None = None
    subject: str | None = None
    time: str | None = None

    def own(self) -> frozenset[str]:
        """The columns that are no content of a row."""
        return frozenset(name for name in (self.id, self.subject, self.time) if name)


@dataclass(slots=True)
class Side:
    """What is remembered of one side: eight bytes a row and key, and the span of its times."""

    keys: Keys
    content: tuple[str, ...]
    every_time: bool = False
    """Whether each row's time is kept, and not the span alone."""
    rows: int = 0
    contents: Repeats = field(default_factory=Repeats)
    ids: Repeats = field(default_factory=Repeats)
    subjects: Repeats = field(default_factory=Repeats)
    first: float = float("inf")
    last: float = float("-inf")
    times: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = field(default_factory=list)

    def add(self, table: pa.Table) -> None:
        """The next rows."""
        have = set(table.column_names)
        self.rows += table.num_rows
        self.contents.add(hashes_of(table, [name for name in self.content if name in have]))
        for name, kept in ((self.keys.id, self.ids), (self.keys.subject, self.subjects)):
            if name in have:
                kept.add(hashes_of(table, [str(name)]))
        if self.keys.time in have:
            ts = seconds(table[self.keys.time])
            if self.every_time:
                self.times.append(ts)
            ts = ts[np.isfinite(ts)]
            self.first = min(self.first, float(ts.min(initial=np.inf)))
            self.last = max(self.last, float(ts.max(initial=-np.inf)))


def split_findings(train: Side, test: Side) -> list[Finding]:
    """What of the test the training already saw. Rows are those of the test."""
    found = [_contents(train, test)]
    keys = (("id", train.ids, test.ids), ("subject", train.subjects, test.subjects))
    for what, seen, asked in keys:
        column = train.keys.id if what == "id" else train.keys.subject
        places = _both(seen, asked)
        if len(places) and column:
            found.append(_key(what, column, places, test.rows))
    if test.first <= train.last:
        found.append(_overlap(train, test))
    return [one for one in found if one is not None]


def _both(seen: Repeats, asked: Repeats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.flatnonzero(np.isin(asked.all(), seen.all()))


def _contents(train: Side, test: Side) -> Finding | None:
    places = _both(train.contents, test.contents)
    if not len(places):
        return None
    repeats = len(train.contents.repeated()) / max(train.rows, 1)
    expected = len(places) / max(test.rows, 1) <= COINCIDENCE * repeats
    natural = f"; train repeats {100 * repeats:.2g} % of its own rows, so that is to be expected"
    return Finding(
        check="rows in both",
        severity="info" if expected else "error",
        column="",
        count=len(places),
        of=test.rows,
        says=f"{share_text(len(places), test.rows)} of the test stand in train, value for value"
        + (natural if expected else ""),
        todo="nothing" if expected else "split again; drop duplicates before the split, not after",
        examples=tuple(int(place) + 1 for place in places[:EXAMPLES_MAX]),
    )


def _key(
    what: str, column: str, places: np.ndarray[tuple[int], np.dtype[np.int64]], rows: int
) -> Finding:
    article = "an" if what == "id" else "a"
    return Finding(
        check=f"{what}s in both",
        severity="error",
        column=column,
        count=len(places),
        of=rows,
        says=f"{share_text(len(places), rows)} of the test have {article} {what} that train has",
        todo="split again" if what == "id" else "split by subject: no subject on both sides",
        examples=tuple(int(place) + 1 for place in places[:EXAMPLES_MAX]),
    )


def _overlap(train: Side, test: Side) -> Finding:
    times = np.concatenate(test.times)
    places = np.flatnonzero(times <= train.last)
    return Finding(
        check="time overlap",
        severity="error",
        column=str(train.keys.time),
        count=len(places),
        of=test.rows,
        says=f"the test begins before train ends: {share_text(len(places), test.rows)} of it",
        todo="let the test begin after the newest row of train: a model must not know the future",
        examples=tuple(int(place) + 1 for place in places[:EXAMPLES_MAX]),
    )
