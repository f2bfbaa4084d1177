"""What has served its time goes: oldest first, a bounded number of rows a transaction."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, or_, select, tuple_

from driftd.store.database import Database
from driftd.store.schema import (
    decision,
    inbox,
    incident,
    model_state,
    outbox,
    pane,
    profile,
    quality,
    request,
)

# So few rows a transaction that a flush of ingest waits some milliseconds for it, on SQLite too.
ROWS_A_BATCH = 200
ENDED_STATES = ("done", "failed", "refused")


class Pruning:
    """``store.pruning``. Every method deletes one batch and returns how many rows that were; 0 means
    that nothing is left to do. Wall times for what people and commands do, event times for what was
    counted.

    Kept whatever its age: what an open incident or an open rollout refers to, a model's current
    profile, the newest command of each kind, and every revision of a policy: whether an old file
    may be published rests on whether its content ever was.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def panes(self, model: str, before: float) -> int:
        """Closed panes that begin before ``before`` (event time)."""
        return self._batch(pane, and_(pane.c.model == model, pane.c.start < before))

    def quality(self, model: str, before: float) -> int:
        """Matured quality of buckets that begin before ``before`` (event time)."""
        return self._batch(quality, and_(quality.c.model == model, quality.c.bucket < before))

    def incidents(self, model: str, before: float) -> int:
        """Incidents that were closed before ``before`` (event time)."""
        ended = and_(incident.c.state != "open", incident.c.closed < before)
        return self._batch(incident, and_(incident.c.model == model, ended))

    def decisions(self, wall_before: float) -> int:
        """Lines of the journal; those of incidents that are still there stay with them."""
        known = select(incident.c.incident_id)
        loose = or_(decision.c.incident_id == "", decision.c.incident_id.not_in(known))
        rollouts = select(model_state.c.model).where(model_state.c.rollout_open)
        old = and_(decision.c.wall_at < wall_before, loose, decision.c.model.not_in(rollouts))
        return self._batch(decision, old)

    def profiles(self, wall_before: float) -> int:
        """Reference profiles that a newer one of their model replaced."""
        newer = profile.alias("newer")
        replaced = (
            select(1)
            .where(newer.c.model == profile.c.model, newer.c.profile_id > profile.c.profile_id)
            .exists()
        )
        return self._batch(profile, and_(profile.c.wall_at < wall_before, replaced))

    def commands(self, wall_before: float, busy: Collection[str]) -> int:
        """Commands that ended. Their rows are what makes a command that is decided again the same
        one, so the models ``busy``, which may come back to one, keep all of theirs."""
        newest = select(func.max(outbox.c.seq)).group_by(outbox.c.model, outbox.c.kind)
        rollouts = select(model_state.c.model).where(model_state.c.rollout_open)
        open_ones = select(incident.c.model).where(incident.c.state == "open")
        ended = and_(
            outbox.c.state.in_(ENDED_STATES),
            outbox.c.wall_finished > 0,
            outbox.c.wall_finished < wall_before,
        )
        calm = and_(
            outbox.c.model.not_in(sorted(busy)),
            outbox.c.model.not_in(rollouts),
            outbox.c.model.not_in(open_ones),
        )
        return self._batch(outbox, and_(ended, calm, outbox.c.seq.not_in(newest)))

    def requests(self, wall_before: float) -> int:
        """Names of requests that were handled; asked again, they would be done again."""
        waiting = select(inbox.c.request_id)
        old = and_(request.c.wall_at < wall_before, request.c.request_id.not_in(waiting))
        return self._batch(request, old)

    def _batch(self, table: Table, condition: ColumnElement[bool]) -> int:
        keys = list(table.primary_key)
        oldest = select(*keys).where(condition).order_by(*keys).limit(ROWS_A_BATCH)
        with self._database.reading() as connection:
            found = [tuple(row) for row in connection.execute(oldest)]
        if not found:
            return 0

        def work(connection: Connection) -> int:
            # Looked at again: what was found may have become needed since.
            mine = delete(table).where(tuple_(*keys).in_(found), condition)
            return connection.execute(mine).rowcount

        with self._database.writing() as connection:
            return work(connection)
