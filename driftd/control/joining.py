"""Labels meet predictions as buckets close: pairs for the canary, quality once it is mature."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from agents.events import PairsJoined, QualityMatured
from driftd.data import join
from driftd.data.samples import LABELS, decode_labels, decode_pending
from policies.specs import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """What the closing of one bucket brought together. ``rows`` go to the archive."""

    rows: pa.Table
    pairs: PairsJoined | None
    matured: tuple[QualityMatured, ...]
    unmatched: int
    late: int


class Joiner:
    """The pending predictions of one model during one step of the control loop.

    ``parts`` and ``labels``: bucket -> blobs of the ingest. Everything is read before the step and
    written after it; the same rows in, the same rows out, however the flushes were cut.
    """

    def __init__(
        self,
        spec: ModelSpec,
        pending: Mapping[float, bytes],
        parts: Mapping[float, Sequence[bytes]],
        labels: Mapping[float, Sequence[bytes]],
    ) -> None:
        self._spec = spec
        self._pending = {bucket: decode_pending(blob) for bucket, blob in pending.items()}
        self._parts = dict(parts)
        self._labels = dict(labels)
        self.changed: set[float] = set()
        self.gone: set[float] = set()

    def pending(self, bucket: float) -> pa.Table:
        """The consolidated table of one bucket, to be written back."""
        return self._pending[bucket]

    def close(self, start: float, end: float, pairing: tuple[str, str] | None) -> Meeting:
        """Take in all that came before ``end`` and say what it changed."""
        self._consolidate(end)
        joined = join.join(
            self._pending,
            self._take_labels(end),
            arrive_within_s=self._spec.labels.arrive_within_s,
        )
        self._pending.update(joined.changed)
        self.changed.update(joined.changed)
        meeting = Meeting(
            rows=joined.rows,
            pairs=self._pairs(joined, start, end, pairing),
            matured=self._matured(start, end),
            unmatched=joined.unmatched.num_rows,
            late=joined.late,
        )
        self._expire(end)
        return meeting

    def _consolidate(self, end: float) -> None:
        for bucket in sorted(bucket for bucket in self._parts if bucket < end):
            parts: list[bytes | pa.Table] = list(self._parts.pop(bucket))
            before = self._pending.get(bucket)
            if before is not None:
                parts.insert(0, before)
            self._pending[bucket] = join.consolidate(parts)
            self.changed.add(bucket)
            self.gone.discard(bucket)

    def _take_labels(self, end: float) -> pa.Table:
        blobs = [
            blob
            for bucket in sorted(bucket for bucket in self._labels if bucket < end)
            for blob in self._labels.pop(bucket)
        ]
        return pa.concat_tables([LABELS.empty_table(), *(decode_labels(blob) for blob in blobs)])

    def _pairs(
        self, joined: join.Joined, start: float, end: float, pairing: tuple[str, str] | None
    ) -> PairsJoined | None:
        if pairing is None:
            return None
        champion, challenger = pairing
        return join.pairs_of(
            joined.rows,
            champion,
            challenger,
            start=start,
            end=end,
            positive=self._spec.labels.positive,
            partners=joined.partners,
        )

    def _matured(self, start: float, end: float) -> tuple[QualityMatured, ...]:
        # A bucket matures at the first closing that lies at or past its age. No flag is needed:
        # buckets close one after the other, so exactly one closing falls into the span.
        maturity, bucket_s = self._spec.labels.maturity_s, self._spec.clock.bucket_s
        matured = []
        for bucket, table in sorted(self._pending.items()):
            age_end = bucket + bucket_s + maturity
            if start < age_end <= end:
                arms = join.matured(
                    table,
                    end=bucket + bucket_s,
                    maturity_s=maturity,
                    positive=self._spec.labels.positive,
                )
                matured.append(QualityMatured(start=bucket, end=bucket + bucket_s, arms=arms))
        return tuple(matured)

    def _expire(self, end: float) -> None:
        # A row waits for its label until arrive_within after its own time; the newest row of a
        # bucket lies at the bucket's end. It also stays until its bucket has matured.
        labels, bucket_s = self._spec.labels, self._spec.clock.bucket_s
        wait = max(labels.arrive_within_s, labels.maturity_s)
        for bucket in [b for b in self._pending if b + bucket_s + wait <= end]:
            del self._pending[bucket]
            self.changed.discard(bucket)
            self.gone.add(bucket)
