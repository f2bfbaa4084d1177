"""One step of one model: read the store, let the agents decide, write all of it or nothing."""

import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import structlog

from agents.alerter import Alert, Alerter, Links
from agents.codec import layout_marks
from agents.commands import SIDE_KINDS
from agents.events import PaneClosed
from agents.lifecycle import Lifecycle
from agents.snapshot import Snapshot
from agents.watcher import Watcher
from agents.watching.fitted import Fitted
from agents.watching.streams import layouts_of
from detectors.profile import Profile
from driftd.clock import wall_now
from driftd.control.counting import count_step
from driftd.control.draft import Draft
from driftd.control.joining import Joiner
from driftd.control.policies import PolicyBook
from driftd.control.reading import Marks, panes_of
from driftd.control.session import Session
from driftd.data.archive import Archive
from driftd.store.rows import ModelRow, Work
from driftd.store.store import Store
from driftd.telemetry import Metrics
from policies.specs import ModelSpec

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """``lost``: another worker wrote first. ``again``: there is more to do right now."""

    name: Literal["idle", "written", "lost", "unknown"]
    commands: int = 0
    again: bool = False
    alerts: tuple[Alert, ...] = ()


class Stepper:
    """Steps models. Holds nothing that the store does not hold, caches apart."""

    def __init__(
        self,
        store: Store,
        book: PolicyBook,
        archive: Archive,
        metrics: Metrics,
        *,
        event_clock: bool,
        links: Links,
        resend_s: float,
        worker: str = "",
    ) -> None:
        self._store = store
        self._book = book
        self._archive = archive
        self._metrics = metrics
        self._event_clock = event_clock
        self._links = links
        self._resend_s = resend_s
        self._mark = f"-{zlib.crc32(worker.encode()):08x}" if worker else ""
        self._profiles: dict[str, tuple[int, Profile]] = {}
        # With the revision of the model that it belongs to: another worker may learn a newer one.
        self._fitted: dict[str, tuple[int, Fitted | None]] = {}
        self._marks: dict[str, tuple[tuple[int, int], Marks]] = {}

    def step(self, model: str) -> StepOutcome:
        """Read, decide, write. Raises whatever the store raises; then nothing was written."""
        spec = self._book.spec(model)
        if spec is None:
            return StepOutcome(name="unknown")
        row = self._store.control.model_row(model)
        held = self._event_clock and self._in_flight(model)
        work = self._work(spec, row)
        profile = self._profile(model)
        draft = self._draft(spec, row, profile)
        marks = self._marks_of(spec, profile)
        session = Session(draft, row, work, marks, event_clock=self._event_clock)
        fresh = session.fresh_panes
        draft.history = lambda start, end: self._history(model, start, end, fresh, marks)
        session.hear()
        held = held or (self._event_clock and draft.waits_for_commands())
        if work.upto > work.start and not held:
            session.close_buckets(self._joiner(spec, work))
        draft.tick(session.closed or 0.0)
        alerts = self._alert(draft)
        write = session.write(draft.snapshot.to_bytes())
        if write is None:
            return StepOutcome(name="idle")
        # Files first, then the row that makes them count: a part is named by the revision that
        # writes it, so a repeated step replaces it. And by its worker: who is about to lose must
        # not replace what the winner wrote. A row of two parts is read once.
        for rows in session.rows:
            name = f"{rows.start:.0f}-{row.revision + 1}{self._mark}"
            self._archive.write(model, name, rows.table)
        if not self._store.control.commit(write):
            return StepOutcome(name="lost", again=True)
        self._settle(draft, row)
        count_step(self._metrics, write, session.labels)
        again = not held and (work.more or (session.closed or 0.0) < work.upto)
        return StepOutcome(name="written", commands=len(write.outbox), again=again, alerts=alerts)

    def _in_flight(self, model: str) -> bool:
        return any(row.kind not in SIDE_KINDS for row in self._store.outbox.open(model))

    def _work(self, spec: ModelSpec, row: ModelRow) -> Work:
        return self._store.control.work(
            spec.model,
            topics=(spec.events.predictions, spec.events.labels, *spec.events.sources),
            lateness_s=spec.clock.lateness_s,
            bucket_s=spec.clock.bucket_s,
            closed=row.closed,
        )

    def _draft(self, spec: ModelSpec, row: ModelRow, profile: Profile | None) -> Draft:
        now = (row.closed or 0.0) if self._event_clock else wall_now()
        return Draft(
            spec=spec,
            watcher=Watcher(spec, profile),
            lifecycle=Lifecycle(spec),
            snapshot=Snapshot.from_bytes(row.snapshot, row.snapshot_format),
            fitted=self._baseline(row),
            history=lambda _start, _end: (),
            now=now,
        )

    def _profile(self, model: str) -> Profile | None:
        row = self._store.profiles.current(model)
        if row is None:
            return None
        known = self._profiles.get(model)
        if known is None or known[0] != row.profile_id:
            known = (row.profile_id, Profile.from_bytes(row.blob))
            self._profiles[model] = known
        return known[1]

    def _marks_of(self, spec: ModelSpec, profile: Profile | None) -> Marks:
        key = (spec.revision, self._profiles.get(spec.model, (0, profile))[0])
        known = self._marks.get(spec.model)
        if known is None or known[0] != key:
            known = (key, layout_marks(layouts_of(spec, profile)))
            self._marks[spec.model] = known
        return known[1]

    def _baseline(self, row: ModelRow) -> Fitted | None:
        known = self._fitted.get(row.model)
        if known is None or known[0] != row.revision:
            blob = self._store.control.baseline(row.model)
            known = (row.revision, Fitted.from_bytes(blob) if blob else None)
            self._fitted[row.model] = known
        return known[1]

    def _history(
        self, model: str, start: float, end: float, fresh: Sequence[PaneClosed], marks: Marks
    ) -> list[PaneClosed]:
        stored = panes_of(self._store.control.panes(model, start, end), marks)
        return stored + [pane for pane in fresh if start <= pane.start < end]

    def _joiner(self, spec: ModelSpec, work: Work) -> Joiner:
        parts: dict[str, dict[float, list[bytes]]] = {
            "prediction": defaultdict(list),
            "label": defaultdict(list),
        }
        for _, sample in work.samples:
            parts[sample.kind][sample.bucket].append(sample.blob)
        pending = self._store.control.pending_samples(spec.model)
        return Joiner(
            spec,
            {row.bucket: row.blob for row in pending},
            parts["prediction"],
            parts["label"],
        )

    def _alert(self, draft: Draft) -> tuple[Alert, ...]:
        alerter = Alerter(draft.spec, resend_s=self._resend_s, links=self._links)
        known = {incident.incident_id: incident for incident in draft.snapshot.watch.incidents}
        known.update(draft.incidents)
        state, alerts = alerter.alerts(tuple(known.values()), draft.snapshot.alerts, wall_now())
        draft.snapshot = msgspec.structs.replace(draft.snapshot, alerts=state)
        return alerts

    def _settle(self, draft: Draft, row: ModelRow) -> None:
        model = row.model
        self._fitted[model] = (row.revision + 1, draft.fitted)
        for decided in draft.decisions:
            log.info(
                "decide", model=model, what=decided.what, why=decided.why, by=decided.by,
                at=decided.at,
            )  # fmt: skip
