"""The store as the control loop sees it: what waits for a model, and one step written whole."""

import math
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, case, func, select

from driftd.store.database import Database, insert
from driftd.store.rows import (
    InboxRow,
    IncrementRow,
    ModelRow,
    PaneRow,
    PartialRow,
    PendingRow,
    QualityRow,
    SampleRow,
    StepWrite,
    Work,
)
from driftd.store.schema import (
    baseline,
    inbox,
    increment,
    model_state,
    pane,
    partial,
    pending,
    position,
    quality,
    sample,
)
from driftd.store.writes import write_step

# Bounds of one step; what is beyond them waits for the next, and Work.more says so.
WORK_BYTES_MAX = 64 * 1024 * 1024
WORK_BUCKETS_MAX = 1_000
WORK_INCREMENTS_MAX = 10_000
WORK_INBOX_MAX = 1_000
# How far back a model's first step looks: one event of 1970 must not open half a century of panes.
FIRST_BUCKETS_MAX = 20_000


class Steps:
    """``store.control``. Every write is a compare-and-set on the model's revision."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def model_row(self, model: str) -> ModelRow:
        """The model's state; made at revision 0 when there is none."""
        query = select(model_state).where(model_state.c.model == model)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is not None:
            return ModelRow(**row)
        with self._database.writing() as connection:
            new = insert(connection, model_state).values(model=model, snapshot=b"")
            connection.execute(new.on_conflict_do_nothing())
            return ModelRow(**connection.execute(query).mappings().one())

    def all_models(self) -> list[ModelRow]:
        """The state of every model, by name."""
        query = select(model_state).order_by(model_state.c.model)
        with self._database.reading() as connection:
            return [ModelRow(**row) for row in connection.execute(query).mappings()]

    def work(
        self,
        model: str,
        topics: Iterable[str],
        lateness_s: float,
        bucket_s: float,
        closed: float | None,
    ) -> Work:
        """What waits for the model, up to the newest bucket that may be closed."""
        with self._database.reading() as connection:
            # The watermark comes first: whatever is committed after it can only be newer than it.
            watermark = _watermark(connection, topics)
            horizon = max(0.0, math.floor((watermark - lateness_s) / bucket_s) * bucket_s)
            start, upto = _span(connection, model, horizon, bucket_s, closed)
            found = _rows(connection, partial, model, upto, bucket_s)
            parts = [(key, PartialRow(**row)) for key, row in found]
            samples = _rows(connection, sample, model, upto, bucket_s)
            newest = _newest(connection, increment, model, WORK_INCREMENTS_MAX)
            asked = _newest(connection, inbox, model, WORK_INBOX_MAX)
        return Work(
            watermark=watermark,
            start=start,
            upto=upto,
            more=upto < horizon,
            partials=tuple(part for part in parts if part[1].bucket >= start),
            late=tuple(part for part in parts if part[1].bucket < start),
            samples=tuple((key, SampleRow(**row)) for key, row in samples),
            increments=tuple((key, IncrementRow(**row)) for key, row in newest),
            inbox=tuple(InboxRow(id=key, **row) for key, row in asked),
        )

    def commit(self, write: StepWrite) -> bool:
        """Write one step; False, and nothing written, when somebody else was here first."""
        now = self._database.now()
        return self._database.attempt(lambda connection: write_step(connection, write, now))

    def panes(self, model: str, start: float, end: float) -> list[PaneRow]:
        """Closed panes that begin in [start, end), oldest first."""
        query = (
            select(pane)
            .where(pane.c.model == model, pane.c.start >= start, pane.c.start < end)
            .order_by(pane.c.start, pane.c.version, pane.c.variant)
        )
        with self._database.reading() as connection:
            return [PaneRow(**row) for row in connection.execute(query).mappings()]

    def pending_samples(self, model: str) -> list[PendingRow]:
        """Predictions that wait for labels, oldest first."""
        query = select(pending).where(pending.c.model == model).order_by(pending.c.bucket)
        with self._database.reading() as connection:
            return [PendingRow(**row) for row in connection.execute(query).mappings()]

    def quality(self, model: str, start: float, end: float) -> list[QualityRow]:
        """Joined labels of buckets in [start, end), oldest first."""
        query = (
            select(quality)
            .where(quality.c.model == model, quality.c.bucket >= start, quality.c.bucket < end)
            .order_by(quality.c.bucket, quality.c.version, quality.c.variant)
        )
        with self._database.reading() as connection:
            return [QualityRow(**row) for row in connection.execute(query).mappings()]

    def baseline(self, model: str) -> bytes | None:
        """What was learned as normal, or None."""
        query = select(baseline.c.blob).where(baseline.c.model == model)
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none()


def _watermark(connection: Connection, topics: Iterable[str]) -> float:
    newest = case(
        (position.c.watermark > position.c.proof, position.c.watermark), else_=position.c.proof
    )
    query = select(func.min(newest)).where(
        position.c.topic.in_(sorted(topics)), position.c.left_out.is_(False)
    )
    return float(connection.execute(query).scalar_one_or_none() or 0.0)


def _span(
    connection: Connection, model: str, horizon: float, bucket_s: float, closed: float | None
) -> tuple[float, float]:
    """The buckets [start, upto) of this step: what the bounds allow, but one bucket at least."""
    sizes = _bytes_by_bucket(connection, model, horizon, bucket_s)
    if closed is not None:
        # A policy may have changed the length of buckets: go on where the new ones begin.
        start = math.ceil(closed / bucket_s) * bucket_s
    else:
        first = min(sizes, default=horizon)
        start = max(first, horizon - FIRST_BUCKETS_MAX * bucket_s)
    upto = max(start, min(horizon, start + WORK_BUCKETS_MAX * bucket_s))
    total = 0
    for place, bucket in enumerate(sorted(sizes)):
        total += sizes[bucket]
        if total > WORK_BYTES_MAX and place > 0 and start < bucket < upto:
            return start, bucket
    return start, upto


def _bytes_by_bucket(
    connection: Connection, model: str, horizon: float, bucket_s: float
) -> dict[float, int]:
    sizes: dict[float, int] = {}
    for table in (partial, sample):
        query = (
            select(table.c.bucket, func.sum(func.length(table.c.blob)))
            .where(table.c.model == model, table.c.bucket < horizon)
            .group_by(table.c.bucket)
        )
        for bucket, size in connection.execute(query):
            aligned = _aligned(bucket, bucket_s)
            sizes[aligned] = sizes.get(aligned, 0) + int(size)
    return sizes


def _aligned(bucket: float, bucket_s: float) -> float:
    return math.floor(bucket / bucket_s) * bucket_s


def _rows(
    connection: Connection, table: Table, model: str, upto: float, bucket_s: float
) -> list[tuple[int, dict[str, Any]]]:
    query = (
        select(table)
        .where(table.c.model == model, table.c.bucket < upto)
        .order_by(table.c.bucket, table.c.id)
    )
    found = [_keyed(row) for row in connection.execute(query).mappings()]
    for _, row in found:
        # Rows that were written before the length of buckets changed belong to the new ones too.
        row["bucket"] = _aligned(row["bucket"], bucket_s)
    return found


def _newest(
    connection: Connection, table: Table, model: str, limit: int
) -> list[tuple[int, dict[str, Any]]]:
    query = select(table).where(table.c.model == model).order_by(table.c.id).limit(limit)
    return [_keyed(row) for row in connection.execute(query).mappings()]


def _keyed(row: Any) -> tuple[int, dict[str, Any]]:
    return row["id"], {name: row[name] for name in row if name != "id"}
