"""The same statements in both dialects: what SQLite runs in the other tests, PostgreSQL takes too."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from driftd.store import positions, writes
from driftd.store.moves import Flush, Move, Witness
from driftd.store.rows import (
    DecisionRow,
    IncidentRow,
    LateRow,
    OutboxRow,
    PendingRow,
    ProfileWrite,
    QualityRow,
    StepWrite,
)
from driftd.store.schema import metadata

DIALECTS: dict[str, Dialect] = {
    "postgresql": postgresql.dialect(),  # type: ignore[no-untyped-call]
    "sqlite": sqlite.dialect(),
}


class Compiling:
    """Stands for a connection: compiles every statement for its dialect and runs none."""

    def __init__(self, name: str) -> None:
        self.dialect = DIALECTS[name]
        self.said: list[str] = []

    def execute(self, statement: Any, rows: Any = None) -> Any:
        keys = sorted(rows[0]) if isinstance(rows, list) else None
        self.said.append(str(statement.compile(dialect=self.dialect, column_keys=keys)))
        n = len(rows) if isinstance(rows, list) else 1
        none = SimpleNamespace(one_or_none=lambda: None)
        return SimpleNamespace(rowcount=n, mappings=lambda: none, scalar_one=lambda: 1)


def flush(connection: Connection) -> None:
    move = Move(
        topic="t", partition=0, lineage=0, old=0, new=1, rejected={"broken": 1}, witness=Witness()
    )
    positions._flush(connection, Flush(moves=(move,)))


def step(connection: Connection) -> None:
    incident = IncidentRow(
        incident_id="i", model="m", kind="q", severity="s", state="open", onset=0.0, opened=0.0
    )
    quality = QualityRow(
        model="m", bucket=0.0, version="1", variant="champion", predictions=1, blob=b""
    )
    write = StepWrite(
        model="m",
        revision=0,
        snapshot=b"",
        closed=None,
        late=(LateRow(version="1", variant="champion", start=0.0, end=1.0, n=1),),
        decisions=(DecisionRow(at=0.0, what="a", why="b", by="c"),),
        incidents=(incident,),
        outbox=(OutboxRow(op_id="o", model="m", kind="train", payload=b"{}"),),
        quality_replace=(quality,),
        pending_replace=(PendingRow(model="m", bucket=0.0, n=1, blob=b""),),
        profile=ProfileWrite(version="1", blob=b""),
        baseline=b"",
        partials_read=(1,),
    )
    writes.write_step(connection, write, 0.0)


@pytest.mark.parametrize("act", [flush, step])
@pytest.mark.parametrize("name", DIALECTS)
def test_every_write_has_words_in_this_dialect(name: str, act: Callable[[Any], None]) -> None:
    connection = Compiling(name)

    act(connection)

    said = "\n".join(connection.said)
    assert "ON CONFLICT" in said
    assert "MAX(" not in said.upper()
    assert "GREATEST(" not in said.upper(), "the dialects differ on these; CASE says the same"


@pytest.mark.parametrize("name", DIALECTS)
def test_every_table_and_index_has_words_in_this_dialect(name: str) -> None:
    for table in metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=DIALECTS[name]))
        nullable = [column.name for column in table.columns if column.nullable]
        assert nullable in ([], ["closed"]), "MIN and CASE treat NULL each in its own way"
        assert table.name in text
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=DIALECTS[name]))
