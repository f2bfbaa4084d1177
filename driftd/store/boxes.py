"""Inbox and outbox: what is asked of us, and what we do outside, each once."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, or_, select, update

from agents.events import CommandDone, Outcome
from driftd.store.database import Database, LostError, added
from driftd.store.rows import OutboxRow
from driftd.store.schema import inbox, outbox, request

CLAIM_MAX = 16
RESULT = "result"
OPEN_STATES = ("new", "running")


class Inbox:
    """``store.inbox``: operators' wishes and commands' results, in order of arrival."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, model: str, kind: str, payload: bytes, request_id: str = "") -> bool:
        """Add a row; False when ``request_id`` was here before, even if it is handled by now."""
        with self._database.writing() as connection:
            row = _row(model, kind, payload, request_id)
            return _put(connection, row, self._database.now())


class Outbox:
    """``store.outbox``: commands to the world. A lease tells who is at work; an executor whose
    lease ran out finishes nothing any more. Times are wall time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self,
        worker: str,
        lease_s: float,
        now_wall: float,
        limit: int = CLAIM_MAX,
        *,
        without: Collection[str] = (),
    ) -> list[OutboxRow]:
        """Take what is due or was left behind, oldest first, but for the op_ids ``without``;
        ``attempt`` counts every claim."""
        due = or_(
            and_(outbox.c.state == "new", outbox.c.not_before <= now_wall),
            and_(outbox.c.state == "running", outbox.c.lease_until < now_wall),
        )
        others = outbox.c.op_id.not_in(sorted(without))
        candidates = select(outbox.c.seq).where(due, others).order_by(outbox.c.seq).limit(limit)
        claimed: list[OutboxRow] = []
        with self._database.reading() as connection:
            if connection.execute(candidates.limit(1)).first() is None:
                return []
        with self._database.writing() as connection:
            for seq in connection.execute(candidates).scalars().all():
                statement = (
                    update(outbox)
                    .where(outbox.c.seq == seq, due)
                    .values(
                        state="running",
                        owner=worker,
                        attempt=outbox.c.attempt + 1,
                        lease_until=now_wall + lease_s,
                    )
                    .returning(outbox)
                )
                row = connection.execute(statement).mappings().one_or_none()
                if row is not None:
                    claimed.append(OutboxRow(**row))
        return claimed

    def renew(
        self, op_id: str, attempt: int, worker: str, lease_s: float, now_wall: float | None = None
    ) -> bool:
        """Keep the lease; False when it is no longer ours: stop working on it."""
        until = (self._database.now() if now_wall is None else now_wall) + lease_s
        return self._change(op_id, attempt, worker, {"lease_until": until})

    def postpone(
        self,
        op_id: str,
        attempt: int,
        worker: str,
        not_before: float,
        reason: str,
        *,
        untried: bool = False,
    ) -> bool:
        """Give it back to be tried again from ``not_before`` on. ``untried``: the claim was no
        attempt, because nothing was begun."""
        news = {"state": "new", "owner": "", "lease_until": 0.0, "not_before": not_before}
        if untried:
            news["attempt"] = attempt - 1
        return self._change(op_id, attempt, worker, {**news, "reason": reason})

    def finish(
        self,
        op_id: str,
        attempt: int,
        worker: str,
        outcome: Outcome,
        result: Mapping[str, Any] | None = None,
        reason: str = "",
        *,
        tell: bool = True,
    ) -> bool:
        """End the command and tell its model, in one transaction: an inbox row of kind ``result``
        whose payload is an encoded ``CommandDone``. False when the lease is no longer ours.
        ``tell`` False: nobody waits for its end."""
        now = self._database.now()
        told = dict(result or {})

        def work(connection: Connection) -> None:
            news = {
                "state": outcome,
                "result": msgspec.json.encode(told),
                "reason": reason,
                "wall_finished": now,
            }
            row = _update(connection, op_id, attempt, worker, news)
            if not tell:
                return
            done = CommandDone(
                op_id=op_id, kind=row["kind"], outcome=outcome, result=told, reason=reason
            )
            payload = msgspec.json.encode(done)
            _put(connection, _row(row["model"], RESULT, payload, f"result:{op_id}"), now)

        return self._database.attempt(work)

    def open(self, model: str) -> list[OutboxRow]:
        """The model's commands that have not ended, oldest first."""
        query = (
            select(outbox)
            .where(outbox.c.model == model, outbox.c.state.in_(OPEN_STATES))
            .order_by(outbox.c.seq)
        )
        with self._database.reading() as connection:
            return [OutboxRow(**row) for row in connection.execute(query).mappings()]

    def running(self, kind: str) -> list[OutboxRow]:
        """The commands of a kind that somebody works on, of all models, oldest first."""
        query = (
            select(outbox)
            .where(outbox.c.kind == kind, outbox.c.state == "running")
            .order_by(outbox.c.seq)
        )
        with self._database.reading() as connection:
            return [OutboxRow(**row) for row in connection.execute(query).mappings()]

    def get(self, op_id: str) -> OutboxRow | None:
        """The command of this name, or None."""
        query = select(outbox).where(outbox.c.op_id == op_id)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else OutboxRow(**row)

    def _change(self, op_id: str, attempt: int, worker: str, news: dict[str, Any]) -> bool:
        def work(connection: Connection) -> None:
            _update(connection, op_id, attempt, worker, news)

        return self._database.attempt(work)


def _update(
    connection: Connection, op_id: str, attempt: int, worker: str, news: dict[str, Any]
) -> Mapping[Any, Any]:
    """Change a command that ``worker`` holds in this very attempt, or lose."""
    ours = (
        outbox.c.op_id == op_id,
        outbox.c.attempt == attempt,
        outbox.c.owner == worker,
        outbox.c.state == "running",
    )
    statement = update(outbox).where(*ours).values(news).returning(outbox.c.model, outbox.c.kind)
    row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise LostError
    return row


def _row(model: str, kind: str, payload: bytes, request_id: str) -> dict[str, Any]:
    return {"model": model, "kind": kind, "payload": payload, "request_id": request_id}


def _put(connection: Connection, row: dict[str, Any], now: float) -> bool:
    if row["request_id"]:
        known = {"request_id": row["request_id"], "model": row["model"], "wall_at": now}
        if not added(connection, request, known):
            return False
    connection.execute(inbox.insert().values(**row, wall_at=now))
    return True
