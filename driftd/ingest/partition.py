"""One partition as its owner sees it: how far it is read, and what changed since the last flush."""

from collections import Counter
from dataclasses import dataclass, field

from driftd.ingest.limits import SILENCE_BROKEN_S
from driftd.store.moves import Move, Position, Witness


@dataclass(slots=True, kw_only=True)
class Partition:
    """``next``: the offset that is read next; ``base``: the one where the store stands, or will
    stand when the flush that is under way has been written; ``gap``: offsets that hold no record
    for us (markers of transactions, aborted records, what compaction took away)."""

    topic: str
    partition: int
    lineage: int
    base: int
    next: int
    watermark: float
    proof: float
    left_out: bool
    records: int = 0
    gap: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    witness: Witness | None = None
    sought: int = -1
    """The offset to which it was sought back last, so that a true gap is told from a race."""
    _changed: bool = False
    _silent_since: float | None = None
    _seen_at: float = 0.0

    @classmethod
    def at(cls, position: Position) -> "Partition":
        """The partition where the store says that it stands."""
        return cls(
            topic=position.topic,
            partition=position.partition,
            lineage=position.lineage,
            base=position.next_offset,
            next=position.next_offset,
            watermark=position.watermark,
            proof=position.proof,
            left_out=position.left_out,
        )

    @property
    def dirty(self) -> bool:
        """Whether a flush would write something."""
        return self.next != self.base or self._changed

    def take(self, last: Witness, records: int) -> None:
        """Records up to ``last`` were read."""
        self.pass_to(last.offset + 1 - records)
        self.next = last.offset + 1
        self.records += records
        self.witness = last
        self._silent_since = None

    def pass_to(self, offset: int) -> None:
        """No record for us lies before ``offset``; to stand there already is no change."""
        if offset > self.next:
            self.gap += offset - self.next
            self.next = offset

    def advance(self, watermark: float) -> None:
        """Event time has reached ``watermark`` here; a partition with event time is in the minimum."""
        self.watermark = max(self.watermark, watermark)
        if self.watermark > 0 and self.left_out:
            self.left_out, self._changed = False, True

    def leave_out(self) -> None:
        """Read to its end and without any event time: it must not hold the minimum."""
        if self.watermark == 0 and not self.left_out:
            self.left_out, self._changed = True, True

    def take_in(self) -> None:
        """It holds the minimum until it has event time itself."""
        if self.left_out:
            self.left_out, self._changed = False, True

    def look(self, seen_at: float, idle_s: float, *, at_end: bool) -> None:
        """A fetch at ``seen_at`` (wall time) showed the log's end here, or more records.

        Only silence that was watched without a break proves anything: a process that was stopped
        sees an old answer with a new stamp when it wakes, and must not speak for the time between.
        """
        if not at_end:
            self._silent_since = None
            return
        if seen_at <= self._seen_at:
            return
        if self._silent_since is None or seen_at - self._seen_at > SILENCE_BROKEN_S:
            self._silent_since = seen_at
        self._seen_at = seen_at
        if seen_at - self._silent_since >= idle_s and seen_at - idle_s > self.proof:
            self.proof, self._changed = seen_at - idle_s, True

    def swap(self) -> Move | None:
        """What goes into the next flush, or None; counting starts anew."""
        if not self.dirty:
            return None
        move = Move(
            topic=self.topic,
            partition=self.partition,
            lineage=self.lineage,
            old=self.base,
            new=self.next,
            watermark=self.watermark,
            proof=self.proof,
            records=self.records,
            gap=self.gap,
            rejected={reason: n for reason, n in self.rejected.items() if n},
            witness=self.witness,
            left_out=self.left_out,
        )
        self.base, self.records, self.gap, self.witness = self.next, 0, 0, None
        self.rejected = Counter()
        self._changed = False
        return move
