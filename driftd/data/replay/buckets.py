"""Recorded rows, batch by batch, as the closed buckets that a watcher is told of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import floor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from agents.events import LATENCY, PREDICTION, SCORE, Arm, ArmCounts, PaneClosed
from agents.watching.streams import LIVE
from detectors.contract import IntArray, Layout
from driftd.data.answers import bools
from driftd.data.folding import fold_column
from driftd.data.replay.roles import Roles
from driftd.errors import MistakeError

EMPTY_MAX = 200_000
"""More empty buckets in a row than this are a wrong unit, no pause."""
REPLAYED = Arm("", "champion")
"""The arm of rows that do not say who answered."""


@dataclass(slots=True)
class _Counting:
    n: int = 0
    errors: int = 0
    counts: dict[str, IntArray] = field(default_factory=dict)


class Buckets:
    """Counts rows into buckets and closes them in order, without gaps, once ``lateness_s`` have
    passed. Rows may be out of order by that much; more is told as a mistake."""

    def __init__(
        self, layouts: Mapping[str, Layout], roles: Roles, bucket_s: float, lateness_s: float
    ) -> None:
        self._layouts = layouts
        self._roles = roles
        self._bucket_s = bucket_s
        self._lateness_s = lateness_s
        self._open: dict[int, dict[Arm, _Counting]] = {}
        self._next: int | None = None
        self._newest = float("-inf")
        self.rows = 0

    def add(self, rows: pa.Table, ts: NDArray[np.float64], first_row: int) -> Iterator[PaneClosed]:
        """Count the next rows, whose number in the file begins at ``first_row`` (from 0); gives the
        buckets that are complete now."""
        if not len(ts):
            return
        bucket = np.floor(ts / self._bucket_s).astype(np.int64)
        self._refuse_old(ts, bucket, first_row)
        arms, arm_of = self._arms(rows)
        order = np.argsort(bucket * len(arms) + arm_of, kind="stable")
        keys = (bucket * len(arms) + arm_of)[order]
        starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
        ends = np.append(starts[1:], len(keys))
        sorted_already = bool((np.diff(order) == 1).all())
        table = rows if sorted_already else rows.take(pa.array(order))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            at = int(keys[start]) // len(arms)
            arm = arms[int(keys[start]) % len(arms)]
            self._count(at, arm, table.slice(start, end - start))
        self.rows += len(ts)
        self._newest = max(self._newest, float(ts.max()))
        yield from self._close(floor((self._newest - self._lateness_s) / self._bucket_s))

    def rest(self) -> Iterator[PaneClosed]:
        """The buckets that are still open at the end, the last one left out: it may be cut off."""
        if self._open:
            yield from self._close(max(self._open))

    def _refuse_old(
        self, ts: NDArray[np.float64], bucket: NDArray[np.int64], first_row: int
    ) -> None:
        newest = np.maximum.accumulate(np.concatenate([[self._newest], ts]))[:-1]
        closed = np.floor((newest - self._lateness_s) / self._bucket_s)
        old = np.flatnonzero(bucket < closed)
        if len(old):
            place = int(old[0])
            raise MistakeError(
                f"row {first_row + place + 1} ({moment(ts[place])}) lies before what came before it "
                f"({moment(float(newest[place]))}): a replay reads rows in the order of time. Sort "
                "the file by its time first, or let the policy wait longer by clock.lateness"
            )
        if self._next is None:
            self._next = int(bucket[0] if self._lateness_s <= 0 else bucket.min())

    def _arms(self, rows: pa.Table) -> tuple[list[Arm], NDArray[np.int64]]:
        roles, names = self._roles, set(rows.column_names)
        given = [name for name in (roles.version, roles.variant) if name in names]
        if not given:
            return [REPLAYED], np.zeros(rows.num_rows, np.int64)
        blank = pa.chunked_array([pa.nulls(rows.num_rows, pa.string())])
        version, variant = (
            pc.fill_null(rows[name].cast(pa.string()) if name in names else blank, usual)
            for name, usual in ((roles.version, ""), (roles.variant, "champion"))
        )
        joined = pc.binary_join_element_wise(version, variant, "\x1f").combine_chunks()
        coded = joined.dictionary_encode()
        found = [Arm(*name.split("\x1f")) for name in coded.dictionary.to_pylist()]
        return found, coded.indices.to_numpy().astype(np.int64)

    def _count(self, at: int, arm: Arm, rows: pa.Table) -> None:
        counting = self._open.setdefault(at, {}).setdefault(arm, _Counting())
        counting.n += rows.num_rows
        roles, names = self._roles, set(rows.column_names)
        if roles.error in names:
            counting.errors += int(bools(_failed(rows[roles.error])).sum())
        own = roles.own()
        special = {SCORE: roles.score, PREDICTION: roles.prediction, LATENCY: roles.latency}
        for name, layout in self._layouts.items():
            column = special.get(name, name)
            wanted = name in special or (name not in own and arm.variant in LIVE)
            if wanted and column in names:
                counts = fold_column(layout, rows[column])
                if counts is not None:
                    before = counting.counts.get(name)
                    counting.counts[name] = counts if before is None else before + counts

    def _close(self, upto: int) -> Iterator[PaneClosed]:
        while self._next is not None and self._next < upto:
            first = min(self._open, default=upto)
            if first - self._next > EMPTY_MAX:
                gap = moment(self._next * self._bucket_s), moment(first * self._bucket_s)
                raise MistakeError(
                    f"nothing happened from {gap[0]} to {gap[1]}: is the time in seconds? Say what "
                    "it is with --time-unit and --start"
                )
            at = self._next
            self._next += 1
            arms = {
                arm: ArmCounts(n=one.n, errors=one.errors, counts=one.counts)
                for arm, one in sorted(self._open.pop(at, {}).items())
            }
            yield PaneClosed(start=at * self._bucket_s, end=(at + 1) * self._bucket_s, arms=arms)


def _failed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    # Anything but null and false is an error, as in an event.
    if pa.types.is_boolean(column.type):
        return pc.fill_null(column, fill_value=False)
    return pc.is_valid(column)


def moment(ts: float) -> str:
    """A time as people write it, in UTC; a number where it is no date."""
    try:
        return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{ts:g}"
