"""What people and pages read, and the small switches beside it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Select, func, select

from driftd.store.boxes import OPEN_STATES, Outbox
from driftd.store.database import Database, put_all
from driftd.store.policies import Policies
from driftd.store.rows import Counts, DecisionRow, IncidentRow, OutboxRow, Pulse, Status
from driftd.store.schema import (
    dead_letter_count,
    decision,
    flag,
    inbox,
    incident,
    model_state,
    outbox,
    pane,
    position,
)
from driftd.store.steps import Steps

STATUS_DECISIONS = 20
VIEW_ROWS_MAX = 10_000
PAUSED_ALL = "paused_all"


class Views:
    """``store.views``: read only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pulse(self, model: str) -> Pulse:
        """How far the model is closed and what is in flight, all from one moment."""
        ours = (outbox.c.model == model, outbox.c.state.in_(OPEN_STATES))
        with self._database.reading() as connection:
            closed = connection.execute(
                select(model_state.c.closed).where(model_state.c.model == model)
            ).scalar_one_or_none()
            commands = connection.execute(select(outbox.c.kind).where(*ours)).scalars().all()
            waiting = select(func.count()).select_from(inbox).where(inbox.c.model == model)
            return Pulse(
                closed=closed,
                commands=tuple(commands),
                inbox=int(connection.execute(waiting).scalar_one()),
            )

    def status(self, model: str, decisions: int = STATUS_DECISIONS) -> Status:
        """One model at a glance."""
        return Status(
            model=Steps(self._database).model_row(model),
            policy=Policies(self._database).current(model),
            incidents=tuple(self.incidents(model, state="open")),
            outbox=tuple(Outbox(self._database).open(model)),
            decisions=tuple(self.decisions(model, decisions)),
        )

    def decisions(
        self, model: str | None = None, limit: int = 100, *, after: int = 0
    ) -> list[DecisionRow]:
        """The newest ``limit`` lines of the journal with id > ``after``, newest first."""
        query = select(decision).where(decision.c.id > after)
        if model is not None:
            query = query.where(decision.c.model == model)
        return [
            DecisionRow(**row) for row in self._all(query.order_by(decision.c.id.desc()), limit)
        ]

    def incidents(self, model: str | None = None, state: str | None = None) -> list[IncidentRow]:
        """Incidents, newest first; of one model or all, in one state or any."""
        query = select(incident)
        if model is not None:
            query = query.where(incident.c.model == model)
        if state is not None:
            query = query.where(incident.c.state == state)
        query = query.order_by(incident.c.opened.desc(), incident.c.incident_id)
        return [IncidentRow(**row) for row in self._all(query, VIEW_ROWS_MAX)]

    def commands(
        self, model: str | None = None, kind: str | None = None, limit: int = 1_000
    ) -> list[OutboxRow]:
        """What was done outside, oldest first; trainings are those of kind ``train``."""
        query = select(outbox)
        if model is not None:
            query = query.where(outbox.c.model == model)
        if kind is not None:
            query = query.where(outbox.c.kind == kind)
        return [OutboxRow(**row) for row in self._all(query.order_by(outbox.c.seq), limit)]

    def records(self) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
        """Records by topic, and rejected ones by (topic, reason), both from one moment. Without
        transactions, whose markers are no records, they equal the sum of its end offsets."""
        with self._database.reading() as connection:
            return _records(connection)

    def counts(self, model: str | None = None) -> Counts:
        """What was counted, for checks from outside: every pane as well."""
        columns = ("model", "version", "variant", "start", "n", "errors", "late")
        panes = select(*(pane.c[name] for name in columns)).order_by(
            pane.c.model, pane.c.start, pane.c.version, pane.c.variant
        )
        if model is not None:
            panes = panes.where(pane.c.model == model)
        with self._database.reading() as connection:
            records, rejected = _records(connection)
            found = tuple(tuple(row) for row in connection.execute(panes))
        return Counts(records=records, rejected=rejected, panes=found)

    def _all(self, query: Select[Any], limit: int) -> list[Mapping[str, Any]]:
        with self._database.reading() as connection:
            found = connection.execute(query.limit(limit)).mappings()
            return [{str(name): row[name] for name in row} for row in found]


def _records(connection: Connection) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    records = select(position.c.topic, func.sum(position.c.records)).group_by(position.c.topic)
    rejected = connection.execute(select(dead_letter_count)).mappings()
    return (
        {topic: int(n) for topic, n in connection.execute(records)},
        {(row["topic"], row["reason"]): int(row["n"]) for row in rejected},
    )


class Flags:
    """``store.flags``: switches that hold for the whole fleet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> str:
        """The flag's value; empty when it was never set."""
        query = select(flag.c.value).where(flag.c.name == name)
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none() or ""

    def set(self, name: str, value: str, by: str) -> None:
        """Set a flag; an empty value takes it back."""
        row = {"name": name, "value": value, "by": by, "wall_at": self._database.now()}
        with self._database.writing() as connection:
            put_all(connection, flag, [row])

    def paused_all(self) -> bool:
        """Whether every effect outside is paused; read before each command."""
        return self.get(PAUSED_ALL) != ""

    def pause_all(self, by: str) -> None:
        """Stop every effect outside until ``resume_all``."""
        self.set(PAUSED_ALL, "yes", by)

    def resume_all(self, by: str) -> None:
        """Let effects happen again."""
        self.set(PAUSED_ALL, "", by)
