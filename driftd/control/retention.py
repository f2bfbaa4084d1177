"""Lets go of what has served its time, and packs together what is many and small.

One worker at a time does it, whichever comes first; all of it bears to be done twice. Everything is
done in small steps with pauses, so that no flush waits for it.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

import msgspec
import structlog

from agents.snapshot import Snapshot, SnapshotError
from driftd.clock import wall_now
from driftd.control.compaction import Compaction
from driftd.data.archive import Archive
from driftd.errors import OutsideError
from driftd.metrics import Metrics
from driftd.sections import RetentionSettings
from driftd.store.rows import ModelRow
from driftd.store.store import Store
from driftd.telemetry import Complaints
from policies.specs import ModelSpec

log = structlog.get_logger()

LOOK_S = 15.0
LEASE_S = 120.0
PAUSE_S = 0.05
DAY_S = 86_400.0
_EPOCH = date(1970, 1, 1)
TURN, COMPACTION_TURN = "retention", "compaction"
COMPACTION_EVERY_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one model still needs. Event times: ``closed`` is its present, ``since`` the onset of
    what is open or being learned. ``busy``: its agents may come back to a command."""

    closed: float
    since: float
    busy: bool


class Retention:
    """``settings.retention``, applied. Event time counts from what a model has closed: a replay of
    old data loses nothing, and a model that reads no more keeps what it had."""

    def __init__(
        self,
        store: Store,
        archive: Archive,
        settings: RetentionSettings,
        metrics: Metrics,
        *,
        specs: Callable[[], Mapping[str, ModelSpec]],
        worker: str,
    ) -> None:
        self._store = store
        self._archive = archive
        self._settings = settings
        self._metrics = metrics
        self._specs = specs
        self._worker = worker
        self._compaction = Compaction(store)
        self._complaints = Complaints(log)
        # Model -> the newest day of its archive that is one part by our own doing.
        self._whole: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled; a store or an archive that is away is told and tried again."""
        while True:
            for turn in (self.compact, self.prune):
                try:
                    await turn()
                except OutsideError as error:
                    self._complaints.say("away", "miss retention", why=str(error))
                except Exception:
                    # A surprise here must not end a worker that counts and decides.
                    log.exception("fail retention")
            await asyncio.sleep(LOOK_S)

    async def compact(self) -> int:
        """Merge crowded partials if it is this worker's turn; how many rows are fewer now."""
        turns = self._store.turns
        if not await asyncio.to_thread(turns.take, COMPACTION_TURN, self._worker, LEASE_S):
            return 0
        fewer = await asyncio.to_thread(self._compaction.run)
        await asyncio.to_thread(turns.end, COMPACTION_TURN, self._worker, COMPACTION_EVERY_S)
        return fewer

    async def prune(self) -> dict[str, int]:
        """Delete what is too old if it is this worker's turn; table -> rows that went."""
        turns, gone = self._store.turns, dict[str, int]()
        if not await asyncio.to_thread(turns.take, TURN, self._worker, LEASE_S):
            return gone
        for table, batch in await asyncio.to_thread(lambda: list(self._batches())):
            while count := await asyncio.to_thread(batch):
                gone[table] = gone.get(table, 0) + count
                self._metrics.retention_deleted.labels(table).inc(count)
                if not await asyncio.to_thread(turns.keep, TURN, self._worker, LEASE_S):
                    return gone
                await asyncio.sleep(PAUSE_S)
        await asyncio.to_thread(turns.end, TURN, self._worker, self._settings.every_s)
        self._complaints.over("away")
        if gone:
            log.info("prune store", **gone)
        return gone

    def _batches(self) -> Iterator[tuple[str, Callable[[], int]]]:
        keep, prune, now = self._settings, self._store.pruning, wall_now()
        needs = self._needs()
        specs = self._specs()
        for model, need in needs.items():
            yield from self._of_model(model, need, specs.get(model))
        busy = {model for model, need in needs.items() if need.busy}
        decided = now - keep.decisions_s
        yield "decision", lambda: prune.decisions(decided)
        yield "profile", lambda: prune.profiles(now - keep.panes_s)
        yield "outbox", lambda: prune.commands(now - keep.commands_s, busy)
        yield "request", lambda: prune.requests(now - keep.requests_s)

    def _of_model(
        self, model: str, need: Needs, spec: ModelSpec | None
    ) -> Iterator[tuple[str, Callable[[], int]]]:
        keep, prune = self._settings, self._store.pruning
        panes = min(need.closed - max(keep.panes_s, looks_back_s(spec)), need.since)
        rows = max(keep.archive_s, trains_on_s(spec)) + max(0.0, need.closed - need.since)
        yield "pane", lambda: prune.panes(model, panes)
        yield "quality", lambda: prune.quality(model, panes)
        yield "incident", lambda: prune.incidents(model, need.closed - keep.decisions_s)
        yield "archive", lambda: len(self._archive.retain(model, need.closed, rows))
        yield "archive parts", lambda: self._pack(model, need.closed, spec)

    def _pack(self, model: str, closed: float, spec: ModelSpec | None) -> int:
        """Make one part of the oldest day that no label comes for any more; how many went."""
        wait_s = spec.labels.arrive_within_s if spec is not None else 0.0
        until = closed - wait_s - 2 * DAY_S
        for day in self._archive.dates(model):
            begin = (day - _EPOCH).days * DAY_S
            if self._whole.get(model, float("-inf")) < begin < until:
                self._whole[model] = begin
                parts = self._archive.compact(model, day)
                if parts > 1:
                    return parts - 1
        return 0

    def _needs(self) -> dict[str, Needs]:
        found = {}
        for row in self._store.control.all_models():
            if row.closed is not None:
                with suppress(SnapshotError, msgspec.DecodeError):
                    # Of a later version: it knows what it needs, and prunes it.
                    found[row.model] = needs_of(row)
        return found


def needs_of(row: ModelRow) -> Needs:
    """What the snapshot of a model's agents refers to. Raises ``SnapshotError``."""
    snapshot = Snapshot.from_bytes(row.snapshot, row.snapshot_format)
    watch, life = snapshot.watch, snapshot.lifecycle
    closed = row.closed or 0.0
    since = [closed, *(incident.onset for incident in watch.incidents)]
    if watch.learning_since is not None and (not watch.learned or watch.relearning):
        since.append(watch.learning_since)
    open_work = (life.attempt, life.rollout, life.retreat, life.approval)
    if life.rollout is not None and life.rollout.began is not None:
        since.append(life.rollout.began)
    busy = bool(life.ops or watch.incidents or row.rollout_open or any(open_work))
    return Needs(closed=closed, since=min(since), busy=busy)


def looks_back_s(spec: ModelSpec | None) -> float:
    """The longest window of a rule, of quality and of learning; 0 without a policy."""
    if spec is None:
        return 0.0
    return max([rule.over_s for rule in spec.rules], default=0.0) + spec.labels.arrive_within_s


def trains_on_s(spec: ModelSpec | None) -> float:
    """How far back a training of the model reads the archive."""
    if spec is None or spec.retrain is None:
        return 0.0
    return spec.retrain.window_s + spec.labels.arrive_within_s
