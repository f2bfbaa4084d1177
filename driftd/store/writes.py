"""One control step as one transaction: the compare first, then what was read, then what is new."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, delete, update

from driftd.store.database import LostError, delete_all, insert, put_all
from driftd.store.profiles import put_baseline, put_profile
from driftd.store.rows import StepWrite
from driftd.store.schema import (
    decision,
    inbox,
    incident,
    increment,
    model_state,
    outbox,
    pane,
    partial,
    pending,
    quality,
    sample,
)


def write_step(connection: Connection, write: StepWrite, now: float) -> None:
    """Write all of ``write``; raises ``LostError`` when somebody else was here first."""
    _compare_and_set(connection, write)
    for table, ids in (
        (partial, write.partials_read),
        (sample, write.samples_read),
        (increment, write.increments_read),
        (inbox, write.inbox_read),
    ):
        delete_all(connection, table, ids)
    _panes(connection, write)
    _journal(connection, write, now)
    put_all(connection, incident, [asdict(row) for row in write.incidents])
    put_all(connection, quality, [asdict(row) for row in write.quality_replace])
    put_all(connection, pending, [asdict(row) for row in write.pending_replace])
    if write.pending_delete:
        _forget_pending(connection, write.model, write.pending_delete)
    if write.profile is not None:
        put_profile(connection, write.model, write.profile, now)
    if write.baseline is not None:
        put_baseline(connection, write.model, write.baseline, now)


def _compare_and_set(connection: Connection, write: StepWrite) -> None:
    news: dict[str, Any] = {
        "revision": write.revision + 1,
        "closed": write.closed,
        "snapshot": write.snapshot,
        "snapshot_format": write.snapshot_format,
        "policy_revision": write.policy_revision,
        "rollout_open": write.rollout_open,
    }
    if write.readings is not None:
        news["readings"] = write.readings
    statement = (
        update(model_state)
        .where(model_state.c.model == write.model, model_state.c.revision == write.revision)
        .values(news)
    )
    if connection.execute(statement).rowcount != 1:
        raise LostError


def _panes(connection: Connection, write: StepWrite) -> None:
    if write.panes:
        connection.execute(pane.insert(), [asdict(row) for row in write.panes])
    if write.late:
        statement = insert(connection, pane)
        more = {"late": pane.c.late + statement.excluded.late}
        keys = [column.name for column in pane.primary_key]
        rows = [
            {
                "model": write.model,
                "version": row.version,
                "variant": row.variant,
                "start": row.start,
                "end": row.end,
                "late": row.n,
                "complete": True,
                "blob": b"",
            }
            for row in write.late
        ]
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=more), rows)


def _journal(connection: Connection, write: StepWrite, now: float) -> None:
    if write.decisions:
        given = {"model": write.model, "wall_at": now}
        rows = [{**asdict(row), **given} for row in write.decisions]
        for row in rows:
            del row["id"]
        connection.execute(decision.insert(), rows)
    if write.outbox:
        commands = [
            {
                "op_id": row.op_id,
                "model": row.model,
                "kind": row.kind,
                "payload": row.payload,
                "not_before": row.not_before,
                "wall_created": now,
            }
            for row in write.outbox
        ]
        # One op_id is one effect: the same command decided again is the same row.
        statement = insert(connection, outbox)
        connection.execute(statement.on_conflict_do_nothing(index_elements=["op_id"]), commands)


def _forget_pending(connection: Connection, model: str, buckets: Sequence[float]) -> None:
    for bucket in buckets:
        connection.execute(
            delete(pending).where(pending.c.model == model, pending.c.bucket == bucket)
        )
