"""The one step itself: in the order in which things happened, then one write."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import pyarrow as pa

from agents.codec import encode_arm
from agents.commands import AnyCommand, Decided, PublishDecisions
from agents.events import ArmCounts, PaneClosed, QualityMatured
from agents.ids import op_id
from agents.incidents import Incident
from agents.lifecycle import pairing, rollout_open
from agents.snapshot import FORMAT
from driftd.control.draft import Draft
from driftd.control.joining import Joiner
from driftd.control.reading import (
    NOTE,
    SOURCE,
    Marks,
    noted,
    observed,
    pane_of,
    queried,
    told,
)
from driftd.data.samples import encode_pending
from driftd.store.rows import (
    DecisionRow,
    IncidentRow,
    LateRow,
    ModelRow,
    OutboxRow,
    PaneRow,
    PendingRow,
    QualityRow,
    StepWrite,
    Work,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Newly labelled rows of one closing, for the archive."""

    start: float
    table: pa.Table


class Session:
    """A step of one model. ``event_clock``: once a command is decided on, later buckets stay open
    until it has ended, so that a story does not depend on the wall clock."""

    def __init__(
        self, draft: Draft, row: ModelRow, work: Work, marks: Marks, *, event_clock: bool
    ) -> None:
        self.draft = draft
        self.rows: list[Rows] = []
        self.labels: Counter[str] = Counter()
        self.closed = row.closed
        self._row = row
        self._work = work
        self._marks = marks
        self._event_clock = event_clock
        self._panes: list[PaneClosed] = []
        self._matured: list[QualityMatured] = []
        self._joiner: Joiner | None = None
        self._partials: dict[float, list[int]] = defaultdict(list)

    @property
    def fresh_panes(self) -> Sequence[PaneClosed]:
        """Buckets closed in this step: history that is not yet in the store."""
        return self._panes

    def hear(self) -> None:
        """Handle the inbox and the canary's increments, which wait for no watermark."""
        for message in self._work.inbox:
            if message.kind == NOTE:
                self.draft.decisions.append(noted(message, self.draft.now))
                continue
            event = told(message)
            read = queried(event)
            if read is not None:
                self.draft.query(read)
            else:
                self.draft.tell(event)
        for increment in observed(row for _, row in self._work.increments):
            # How far into a day a flush reached is chance; under the event clock the story must not
            # depend on it, so traffic counts as seen at the time up to which all is known.
            known = self.closed if self._event_clock and self.closed is not None else increment.at
            self.draft.tell(replace(increment, at=known))

    def close_buckets(self, joiner: Joiner) -> None:
        """Close what may be closed, one bucket after the other."""
        self._joiner = joiner
        bucket_s = self.draft.spec.clock.bucket_s
        by_bucket = defaultdict(list)
        for row_id, partial in self._work.partials:
            by_bucket[partial.bucket].append(partial)
            self._partials[partial.bucket].append(row_id)
        start = self._work.start
        while start + bucket_s <= self._work.upto:
            end = start + bucket_s
            pane = pane_of(start, end, by_bucket[start], self._marks)
            self._close(pane, joiner)
            self.closed = start = end
            if self._event_clock and self.draft.waits_for_commands():
                return

    def _close(self, pane: PaneClosed, joiner: Joiner) -> None:
        draft = self.draft
        if self._event_clock:
            draft.now = pane.end
        self._panes.append(pane)
        draft.pane(pane)
        meeting = joiner.close(pane.start, pane.end, pairing(draft.snapshot.lifecycle))
        self.labels.update(
            joined=meeting.rows.num_rows, late=meeting.late, unmatched=meeting.unmatched
        )
        if meeting.rows.num_rows:
            self.rows.append(Rows(start=pane.start, table=meeting.rows))
        for matured in meeting.matured:
            self._matured.append(matured)
            draft.quality(matured)
        if meeting.pairs is not None and len(meeting.pairs.label):
            draft.tell(meeting.pairs)
        draft.tick(pane.end)

    def write(self, snapshot: bytes) -> StepWrite | None:
        """All of it as one transaction, or None where nothing changed."""
        work, draft = self._work, self.draft
        inbox = tuple(message.id for message in work.inbox)
        increments = tuple(row_id for row_id, _ in work.increments)
        late = tuple(row_id for row_id, _ in work.late)
        nothing = not (inbox or increments or late or self._panes or draft.commands)
        same = draft.spec.revision == self._row.policy_revision and snapshot == self._row.snapshot
        if nothing and same:
            return None
        closed = float("-inf") if self.closed is None else self.closed
        taken = [
            row_id for start, ids in self._partials.items() if start < closed for row_id in ids
        ]
        samples = [row_id for row_id, row in work.samples if row.bucket < closed]
        return StepWrite(
            model=draft.spec.model,
            revision=self._row.revision,
            snapshot=snapshot,
            snapshot_format=FORMAT,
            closed=self.closed,
            policy_revision=draft.spec.revision,
            rollout_open=rollout_open(draft.snapshot.lifecycle),
            readings=msgspec.json.encode(draft.readings) if draft.readings else None,
            panes=tuple(
                row
                for pane in self._panes
                for row in _pane_rows(draft.spec.model, pane, self._marks)
            ),
            late=tuple(self._late_rows()),
            decisions=tuple(_decision(d, draft.spec.revision) for d in draft.decisions),
            incidents=tuple(_incident(i) for i in draft.incidents.values()),
            outbox=tuple(self._outbox()),
            quality_replace=tuple(
                row for matured in self._matured for row in _quality(draft.spec.model, matured)
            ),
            pending_replace=tuple(self._pending()),
            pending_delete=tuple(sorted(self._joiner.gone)) if self._joiner and self._panes else (),
            baseline=draft.newly_fitted.to_bytes() if draft.newly_fitted else None,
            partials_read=(*taken, *late),
            samples_read=tuple(samples) if self._panes else (),
            increments_read=increments,
            inbox_read=inbox,
        )

    def _late_rows(self) -> list[LateRow]:
        bucket_s = self.draft.spec.clock.bucket_s
        return [
            LateRow(
                version=row.version,
                variant=row.variant,
                start=row.bucket,
                end=row.bucket + bucket_s,
                n=row.n,
            )
            for _, row in self._work.late
        ]

    def _pending(self) -> list[PendingRow]:
        joiner = self._joiner
        if joiner is None or not self._panes:
            return []
        rows = []
        for bucket in sorted(joiner.changed):
            table = joiner.pending(bucket)
            rows.append(
                PendingRow(
                    model=self.draft.spec.model,
                    bucket=bucket,
                    n=table.num_rows,
                    blob=encode_pending(table),
                )
            )
        return rows

    def _outbox(self) -> list[OutboxRow]:
        model, decisions = self.draft.spec.model, tuple(self.draft.decisions)
        commands: list[AnyCommand | PublishDecisions] = list(self.draft.commands)
        if decisions:
            told = op_id(model, "decisions", self._row.revision)
            commands.append(PublishDecisions(op_id=told, model=model, decisions=decisions))
        return [
            OutboxRow(
                op_id=command.op_id,
                model=model,
                kind=str(command.__struct_config__.tag),
                payload=msgspec.json.encode(command),
            )
            for command in commands
        ]


def _pane_rows(model: str, pane: PaneClosed, marks: Marks) -> list[PaneRow]:
    arms = dict(pane.arms.items())
    named: list[tuple[str, str, ArmCounts]] = [(a.version, a.variant, c) for a, c in arms.items()]
    named += [("", f"{SOURCE}{name}", counts) for name, counts in pane.sources.items()]
    # A series without holes: an empty bucket is a row too.
    named = named or [("", "", ArmCounts())]
    return [
        PaneRow(
            model=model,
            version=version,
            variant=variant,
            start=pane.start,
            end=pane.end,
            n=counts.n,
            errors=counts.errors,
            complete=pane.complete,
            blob=encode_arm(counts, marks) if counts.n or counts.counts else b"",
        )
        for version, variant, counts in named
    ]


def _quality(model: str, matured: QualityMatured) -> list[QualityRow]:
    return [
        QualityRow(
            model=model,
            bucket=matured.start,
            version=arm.version,
            variant=arm.variant,
            predictions=quality.predictions,
            blob=msgspec.msgpack.encode(quality.sketch.to_dict()),
        )
        for arm, quality in matured.arms.items()
    ]


def _decision(decided: Decided, revision: int) -> DecisionRow:
    return DecisionRow(
        at=decided.at,
        what=decided.what,
        why=decided.why,
        by=decided.by,
        incident_id=decided.incident_id,
        op_id=decided.op_id,
        evidence=msgspec.json.encode(decided.evidence),
        policy_revision=revision,
    )


def _incident(incident: Incident) -> IncidentRow:
    return IncidentRow(
        incident_id=incident.incident_id,
        model=incident.model,
        kind=incident.kind,
        severity=incident.severity,
        state=incident.state,
        onset=incident.onset,
        opened=incident.opened,
        closed=incident.closed,
        body=msgspec.json.encode(incident),
    )
