"""What a scrape reads: all models of a worker in one read transaction, and only what is new."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, Table, func, select

from driftd.store.boxes import OPEN_STATES
from driftd.store.database import Database
from driftd.store.rows import ModelRow, QualityRow
from driftd.store.schema import (
    flag,
    inbox,
    incident,
    model_state,
    outbox,
    policy,
    position,
    quality,
)
from driftd.store.views import PAUSED_ALL

# Newest rows a model and scrape: one arm each of so many panes.
QUALITY_ROWS_MAX = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCommand:
    """A command that has not ended; ``wall_created`` is when it was decided."""

    kind: str
    state: str
    attempt: int
    wall_created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scraped:
    """One moment of the store. ``states`` and ``quality`` hold only what was asked for as unknown;
    ``watermarks``: topic -> event time up to which all of it was read."""

    paused_all: bool
    revisions: Mapping[str, int]
    closed: Mapping[str, float | None]
    published: Mapping[str, int]
    states: Mapping[str, ModelRow]
    incidents: Mapping[tuple[str, str, str, str], int]
    """(model, kind, severity, state) -> how many."""
    commands: Mapping[str, list[OpenCommand]]
    inbox: Mapping[str, int]
    watermarks: Mapping[str, float]
    lineages: Mapping[str, int]
    """Topic -> how often its partitions began anew."""
    quality: Mapping[str, list[QualityRow]] = field(default_factory=dict)


class Scrapes:
    """``store.scrapes``: read only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(
        self,
        models: Collection[str],
        known: Mapping[str, int],
        matured: Mapping[str, float],
    ) -> Scraped:
        """``known``: model -> the revision whose state is known already. ``matured``: model -> the
        newest bucket of quality that is known; its rows begin behind it."""
        names = sorted(models)
        with self._database.reading() as connection:
            columns = (model_state.c.model, model_state.c.revision, model_state.c.closed)
            heads = connection.execute(_of(select(*columns), model_state, names)).all()
            revisions = {row.model: int(row.revision) for row in heads}
            changed = sorted(name for name, n in revisions.items() if known.get(name) != n)
            rows = connection.execute(_of(select(model_state), model_state, changed)).mappings()
            return Scraped(
                paused_all=_paused_all(connection),
                revisions=revisions,
                closed={row.model: row.closed for row in heads},
                published=_published(connection, names),
                states={row["model"]: ModelRow(**row) for row in rows},
                incidents=_incidents(connection, names),
                commands=_commands(connection, names),
                inbox=_inbox(connection, names),
                watermarks=_watermarks(connection),
                lineages=_lineages(connection),
                quality={name: _quality(connection, name, matured.get(name)) for name in changed},
            )


def _of(query: Select[Any], table: Table, names: Collection[str]) -> Select[Any]:
    return query.where(table.c.model.in_(names))


def _paused_all(connection: Connection) -> bool:
    query = select(flag.c.value).where(flag.c.name == PAUSED_ALL)
    return bool(connection.execute(query).scalar_one_or_none())


def _published(connection: Connection, names: Collection[str]) -> dict[str, int]:
    query = select(policy.c.model, func.max(policy.c.revision)).group_by(policy.c.model)
    return {model: int(n) for model, n in connection.execute(_of(query, policy, names))}


def _incidents(
    connection: Connection, names: Collection[str]
) -> dict[tuple[str, str, str, str], int]:
    key = (incident.c.model, incident.c.kind, incident.c.severity, incident.c.state)
    query = select(*key, func.count()).group_by(*key)
    rows = connection.execute(_of(query, incident, names))
    return {(model, kind, severity, state): int(n) for model, kind, severity, state, n in rows}


def _commands(connection: Connection, names: Collection[str]) -> dict[str, list[OpenCommand]]:
    columns = (
        outbox.c.model, outbox.c.kind, outbox.c.state, outbox.c.attempt, outbox.c.wall_created,
    )  # fmt: skip
    query = select(*columns).where(outbox.c.state.in_(OPEN_STATES))
    found: dict[str, list[OpenCommand]] = {}
    for model, kind, state, attempt, created in connection.execute(_of(query, outbox, names)):
        command = OpenCommand(kind=kind, state=state, attempt=attempt, wall_created=created)
        found.setdefault(model, []).append(command)
    return found


def _inbox(connection: Connection, names: Collection[str]) -> dict[str, int]:
    query = select(inbox.c.model, func.count()).group_by(inbox.c.model)
    return {model: int(n) for model, n in connection.execute(_of(query, inbox, names))}


def _watermarks(connection: Connection) -> dict[str, float]:
    """The same that a control step sees, but for a topic that is left out whole: its newest."""
    columns = (position.c.topic, position.c.left_out, position.c.watermark, position.c.proof)
    counted: dict[str, list[float]] = {}
    others: dict[str, list[float]] = {}
    for topic, left_out, watermark, proof in connection.execute(select(*columns)):
        (others if left_out else counted).setdefault(topic, []).append(max(watermark, proof))
    newest = {topic: max(times) for topic, times in others.items()}
    return newest | {topic: min(times) for topic, times in counted.items()}


def _lineages(connection: Connection) -> dict[str, int]:
    query = select(position.c.topic, func.sum(position.c.lineage)).group_by(position.c.topic)
    return {topic: int(n) for topic, n in connection.execute(query)}


def _quality(connection: Connection, model: str, after: float | None) -> list[QualityRow]:
    query = select(quality).where(quality.c.model == model)
    if after is not None:
        query = query.where(quality.c.bucket > after)
    query = query.order_by(quality.c.bucket.desc()).limit(QUALITY_ROWS_MAX)
    return [QualityRow(**row) for row in connection.execute(query).mappings()]
