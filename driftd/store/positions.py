"""The store as ingest sees it: positions of partitions, moved together with what was read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import BindParameter, Connection, Double, bindparam, case, select, update

from driftd.store.database import Database, LostError, insert
from driftd.store.moves import PARTITION_LIST, Flush, Move, Position, Witness
from driftd.store.schema import (
    dead_letter_count,
    increment,
    model_state,
    partial,
    position,
    sample,
)


def _largest(column: Any, parameter: str) -> Any:
    # GREATEST is MAX on SQLite, and the two differ on NULL; CASE says the same in both.
    value: BindParameter[Any] = bindparam(parameter, type_=Double)
    return case((value > column, value), else_=column)


_COMPARE = (position.c.topic == bindparam("t")) & (position.c.partition == bindparam("p"))
_MOVE = (
    update(position)
    .where(_COMPARE)
    .where(position.c.lineage == bindparam("l"), position.c.next_offset == bindparam("old"))
    .values(
        next_offset=bindparam("new"),
        watermark=_largest(position.c.watermark, "w"),
        proof=_largest(position.c.proof, "f"),
        records=position.c.records + bindparam("n"),
        gap=position.c.gap + bindparam("g"),
        left_out=bindparam("out"),
    )
)
_MOVE_WITNESS = (
    update(position)
    .where(_COMPARE)
    .values(
        witness_offset=bindparam("wo"),
        witness_crc32=bindparam("wc"),
        witness_timestamp_ms=bindparam("wt"),
    )
)


class Positions:
    """``store.ingest``. Writers of one partition are told apart by compare-and-set, never by who
    believes to own it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def positions(self, topics: Iterable[str]) -> dict[tuple[str, int], Position]:
        """(topic, partition) -> position; the row of a topic's partition list is left out."""
        query = select(position).where(
            position.c.topic.in_(sorted(topics)), position.c.partition > PARTITION_LIST
        )
        with self._database.reading() as connection:
            found = [_position(row) for row in connection.execute(query).mappings()]
        return {(one.topic, one.partition): one for one in found}

    def discover(
        self, beginnings: Mapping[tuple[str, int], int], *, listed: Mapping[str, float]
    ) -> None:
        """Add partitions that are new, at their first offset, with a watermark that holds panes
        open; and prove the lists: ``listed`` is topic -> time up to which its list is known.

        Both in one transaction, so that a new partition is never overtaken by its own topic.
        """
        rows = [
            {"topic": topic, "partition": partition, "next_offset": first}
            for (topic, partition), first in sorted(beginnings.items())
        ]
        proofs = [
            {"topic": topic, "partition": PARTITION_LIST, "proof": proof}
            for topic, proof in sorted(listed.items())
        ]
        with self._database.writing() as connection:
            statement = insert(connection, position)
            if rows:
                connection.execute(statement.on_conflict_do_nothing(), rows)
            if proofs:
                newer = statement.excluded.proof
                largest = case((newer > position.c.proof, newer), else_=position.c.proof)
                connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=["topic", "partition"], set_={"proof": largest}
                    ),
                    proofs,
                )

    def new_lineage(self, old: Position, *, first: int, gap: int) -> bool:
        """The partition was made anew or lost records: go on at ``first``, counting the gap."""
        statement = (
            update(position)
            .where(position.c.topic == old.topic, position.c.partition == old.partition)
            .where(position.c.lineage == old.lineage, position.c.next_offset == old.next_offset)
            .values(
                lineage=old.lineage + 1,
                next_offset=first,
                gap=position.c.gap + gap,
                witness_offset=-1,
                witness_crc32=0,
                witness_timestamp_ms=0,
            )
        )

        def work(connection: Connection) -> None:
            if connection.execute(statement).rowcount != 1:
                raise LostError

        return self._database.attempt(work)

    def flush(self, flush: Flush) -> bool:
        """Write all of ``flush`` in one transaction; False: a compare failed, nothing is written.

        After an error of the database the same flush may be tried again: had it been committed,
        its compare fails.
        """
        return self._database.attempt(lambda connection: _flush(connection, flush))

    def rollouts_open(self) -> frozenset[str]:
        """Models whose rollout is open: their increments are wanted."""
        query = select(model_state.c.model).where(model_state.c.rollout_open)
        with self._database.reading() as connection:
            return frozenset(connection.execute(query).scalars())


def _position(row: Mapping[Any, Any]) -> Position:
    plain = {name: row[name] for name in row if not name.startswith("witness_")}
    seen = {name.removeprefix("witness_"): row[name] for name in row if name not in plain}
    return Position(**plain, witness=Witness(**seen))


def _flush(connection: Connection, flush: Flush) -> None:
    # In one order for all writers: two that touch the same rows then wait, never deadlock.
    moves = sorted(flush.moves, key=lambda move: (move.topic, move.partition))
    if moves:
        done = connection.execute(_MOVE, [_values(move) for move in moves])
        if done.rowcount != len(moves):
            raise LostError
        _witnesses(connection, moves)
        _rejected(connection, moves)
    for table, rows in (
        (partial, flush.partials),
        (sample, flush.samples),
        (increment, flush.increments),
    ):
        if rows:
            connection.execute(table.insert(), [asdict(row) for row in rows])


def _values(move: Move) -> dict[str, Any]:
    return {
        "t": move.topic,
        "p": move.partition,
        "l": move.lineage,
        "old": move.old,
        "new": move.new,
        "w": move.watermark,
        "f": move.proof,
        "n": move.records,
        "g": move.gap,
        "out": move.left_out,
    }


def _witnesses(connection: Connection, moves: Sequence[Move]) -> None:
    rows = [
        {
            "t": move.topic,
            "p": move.partition,
            "wo": move.witness.offset,
            "wc": move.witness.crc32,
            "wt": move.witness.timestamp_ms,
        }
        for move in moves
        if move.witness is not None
    ]
    if rows:
        connection.execute(_MOVE_WITNESS, rows)


def _rejected(connection: Connection, moves: Sequence[Move]) -> None:
    counted: dict[tuple[str, str], int] = {}
    for move in moves:
        for reason, n in move.rejected.items():
            counted[move.topic, reason] = counted.get((move.topic, reason), 0) + n
    if not counted:
        return
    statement = insert(connection, dead_letter_count)
    total = dead_letter_count.c.n + statement.excluded.n
    connection.execute(
        statement.on_conflict_do_update(index_elements=["topic", "reason"], set_={"n": total}),
        [{"topic": t, "reason": r, "n": n} for (t, r), n in sorted(counted.items())],
    )
