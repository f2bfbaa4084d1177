"""Writers of one store under fire: ingest, control and compaction, each in a process that may be
killed or stopped at any moment. Arguments: role, URL, seed.

The log that they read is imagined: record ``i`` of each partition has event time ``i / 10``, so what
has to be counted follows from the positions alone.
"""

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing

from sqlalchemy import Connection, text

from agents.codec import encode_arm
from agents.events import ArmCounts
from driftd.control.compaction import merged_rows
from driftd.errors import UnreachableError
from driftd.store.moves import Flush, Move
from driftd.store.positions import _flush
from driftd.store.rows import LateRow, PaneRow, PartialRow, StepWrite
from driftd.store.store import Store, open_store

TOPIC, MODEL = "t", "m"
PARTITIONS = 6
BUCKET_S = 10.0
RECORDS_A_SECOND = 10
STOPPED_IN_TRANSACTION = 0.2
Rounds = Callable[[], bool]


def prepare(url: str) -> None:
    """Partitions at their beginning and a model that has closed nothing."""
    store = open_store(url)
    store.ingest.discover({(TOPIC, n): 0 for n in range(PARTITIONS)}, listed={})
    store.control.model_row(MODEL)
    store.close()


def ingest(url: str, seed: int, more: Rounds, *, zombie: bool = False) -> None:
    """Believes to own some partitions at a time; others believe the same."""
    draw = random.Random(f"ingest {seed}")
    with closing(_opened(url)) as store:
        while more():
            mine = draw.sample(range(PARTITIONS), draw.randint(1, 4))
            try:
                found = store.ingest.positions([TOPIC])
                flush = _read(draw, {n: found[TOPIC, n].next_offset for n in mine})
                if zombie and draw.random() < STOPPED_IN_TRANSACTION:
                    _stop_inside(store, flush)
                else:
                    store.ingest.flush(flush)
            except UnreachableError:
                continue


def control(url: str, seed: int, more: Rounds) -> None:
    """Believes to own the model: closes its buckets."""
    draw = random.Random(f"control {seed}")
    with closing(_opened(url)) as store:
        while more():
            # So that buckets wait together now and then, and partials are there to be merged.
            time.sleep(draw.choice([0.0, 0.0, 0.2]))
            try:
                row = store.control.model_row(MODEL)
                work = store.control.work(MODEL, [TOPIC], 0.0, BUCKET_S, row.closed)
                if work.upto > work.start or work.late:
                    store.control.commit(_step(row.revision, work.upto, work.partials, work.late))
            except UnreachableError:
                continue


def compact(url: str, seed: int, more: Rounds) -> None:
    """Merges partials all the time."""
    draw = random.Random(f"compact {seed}")
    with closing(_opened(url)) as store:
        while more():
            try:
                for crowd in store.crowding.crowds(draw.randint(2, 5)):
                    parts = store.crowding.parts(crowd)
                    if len(parts) > 1:
                        merged = merged_rows([row for _, row in parts])
                        store.crowding.replace([key for key, _ in parts], merged)
            except UnreachableError:
                continue


def truth(store: Store) -> Counter[float]:
    """Bucket -> records below the positions."""
    counted: Counter[float] = Counter()
    for one in store.ingest.positions([TOPIC]).values():
        for bucket, n in _buckets(0, one.next_offset).items():
            counted[bucket] += n
    return counted


def counted(store: Store) -> Counter[float]:
    """Bucket -> what panes and the partials that wait hold."""
    found: Counter[float] = Counter()
    with store.database.reading() as connection:
        for query in (
            "SELECT start, SUM(n + late) FROM pane GROUP BY start",
            "SELECT bucket, SUM(n) FROM partial GROUP BY bucket",
        ):
            for bucket, n in connection.execute(text(query)):
                found[bucket] += int(n)
    return +found


def _opened(url: str) -> Store:
    while True:
        try:
            return open_store(url)
        except UnreachableError:
            # Its session was ended while it looked at the schema.
            continue


def _read(draw: random.Random, at: dict[int, int]) -> Flush:
    moves, rows = [], []
    for partition, old in at.items():
        new = old + draw.randint(1, 60)
        moves.append(
            Move(
                topic=TOPIC, partition=partition, lineage=0, old=old, new=new, records=new - old,
                watermark=(new - 1) / RECORDS_A_SECOND, rejected={"odd": 1},
            )
        )  # fmt: skip
        rows += [_partial(bucket, n) for bucket, n in _buckets(old, new).items()]
    draw.shuffle(moves)
    return Flush(moves=tuple(moves), partials=tuple(rows))


def _partial(bucket: float, n: int) -> PartialRow:
    blob = encode_arm(ArmCounts(n=n))
    return PartialRow(model=MODEL, version="1", variant="champion", bucket=bucket, n=n, blob=blob)


def _buckets(first: int, end: int) -> dict[float, int]:
    size = round(BUCKET_S * RECORDS_A_SECOND)
    return {
        number * BUCKET_S: min(end, (number + 1) * size) - max(first, number * size)
        for number in range(first // size, -(-end // size))
    }


def _stop_inside(store: Store, flush: Flush) -> None:
    def work(connection: Connection) -> None:
        _flush(connection, flush)
        # Whoever watches lets it go on after longer than any session may be idle.
        os.kill(os.getpid(), signal.SIGSTOP)

    store.database.attempt(work)


def _step(
    revision: int,
    upto: float,
    partials: tuple[tuple[int, PartialRow], ...],
    late: tuple[tuple[int, PartialRow], ...],
) -> StepWrite:
    sums: Counter[float] = Counter()
    for _, row in partials:
        sums[row.bucket] += row.n
    return StepWrite(
        model=MODEL,
        revision=revision,
        snapshot=b"",
        closed=upto,
        panes=tuple(
            PaneRow(
                model=MODEL,
                version="1",
                variant="champion",
                start=at,
                end=at + BUCKET_S,
                n=n,
                errors=0,
            )
            for at, n in sorted(sums.items())
        ),
        late=tuple(
            LateRow(
                version="1",
                variant="champion",
                start=row.bucket,
                end=row.bucket + BUCKET_S,
                n=row.n,
            )
            for _, row in late
        ),
        partials_read=tuple(key for key, _ in (*partials, *late)),
    )


def main() -> None:
    """One writer, until it is killed."""
    role, url, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if role in ("ingest", "zombie"):
        ingest(url, seed, lambda: True, zombie=role == "zombie")
    elif role == "control":
        control(url, seed, lambda: True)
    else:
        compact(url, seed, lambda: True)


if __name__ == "__main__":
    main()
