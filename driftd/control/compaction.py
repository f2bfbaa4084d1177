"""Merges the many partials of a long bucket that is still open: a day of flushes is one sum."""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from agents.codec import CodecError, merge_stored
from driftd.store.crowding import Crowd
from driftd.store.rows import PartialRow
from driftd.store.store import Store

log = structlog.get_logger()

# Fewer rows than this an arm and bucket are read by a control step as they are.
ROWS_MIN = 64


class Compaction:
    """Blocks on the store; run it in a thread. Nothing is lost or counted twice if two do it at
    once: who comes second finds that a row is gone, and writes nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unreadable: set[Crowd] = set()

    def run(self) -> int:
        """Merge what is crowded; how many rows are fewer now."""
        fewer = 0
        for crowd in self._store.crowding.crowds(ROWS_MIN):
            if crowd not in self._unreadable:
                fewer += self._merge(crowd)
        return fewer

    def _merge(self, crowd: Crowd) -> int:
        parts = self._store.crowding.parts(crowd)
        if len(parts) < 2:
            return 0
        try:
            merged = merged_rows([row for _, row in parts])
        except CodecError as error:
            # A later version wrote it, and merges it.
            self._unreadable.add(crowd)
            log.warning("leave partials", model=crowd.model, bucket=crowd.bucket, why=str(error))
            return 0
        if len(merged) >= len(parts):
            return 0
        if not self._store.crowding.replace([key for key, _ in parts], merged):
            return 0
        return len(parts) - len(merged)


def merged_rows(rows: Sequence[PartialRow]) -> list[PartialRow]:
    """The sum of rows of one arm and bucket, as few rows. Raises ``CodecError``."""
    first = rows[0]
    return [replace(first, n=n, blob=blob) for n, blob in merge_stored(row.blob for row in rows)]
