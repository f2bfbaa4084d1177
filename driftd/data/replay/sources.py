"""Where recorded rows come from: a file, or the archive of labelled requests."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agents.watching.learning import PANES_MIN, SPAN_MIN_S
from agents.watching.streams import latency_thresholds, layouts_of
from detectors.profile import Profile
from driftd.data.archive import DAY_S, Archive
from driftd.data.features import feature_table
from driftd.data.profile import Chosen, Columns, Counted, choose
from driftd.data.profile_file import SAMPLE_ROWS, labels_of, scores_of
from driftd.data.replay.buckets import Buckets, moment
from driftd.data.replay.labels import Labels
from driftd.data.replay.roles import Roles
from driftd.data.replay.watching import Replay, Replayed
from driftd.data.tables import Batch, read_batches
from driftd.errors import MistakeError
from policies.specs import ModelSpec

Progress = Callable[[float], None]
Batches = Callable[[], Iterator[Batch]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Rows with event time in [since, until) count."""

    since: float = float("-inf")
    until: float = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Rows with their times; ``first_row`` is the number of the first of them, from 0."""

    rows: pa.Table
    ts: np.ndarray[tuple[int], np.dtype[np.float64]]
    first_row: int
    done: float


def file_batches(path: Path, roles: Roles) -> Batches:
    """The batches of a file, as often as they are asked for."""
    return lambda: read_batches(path, roles.text)


def archive_batches(archive: Archive, model: str, span: Span) -> Batches:
    """The archive's labelled requests day by day, features flat."""
    days = archive.dates(model)

    def read() -> Iterator[Batch]:
        for place, day in enumerate(days):
            start = (day - type(day)(1970, 1, 1)).days * DAY_S
            if start + DAY_S <= span.since or start >= span.until:
                continue
            rows = archive.read(model, start, start + DAY_S)
            features = feature_table(rows["features"])
            rows = rows.drop_columns("features").append_column(
                "model", pa.array([model] * rows.num_rows)
            )
            for name in features.column_names:
                rows = rows.append_column(name, features[name])
            yield Batch(rows=rows, done=(place + 1) / len(days))

    return read


def column_names(batches: Batches) -> frozenset[str]:
    """The columns of the first batch that has rows."""
    for batch in batches():
        if batch.rows.num_rows:
            return frozenset(batch.rows.column_names)
    raise MistakeError("the record has no rows")


def timed(batches: Batches, roles: Roles, span: Span) -> Iterator[Timed]:
    """Batches with times, without rows of other models, of sources, or outside of the span."""
    first = 0
    for batch in batches():
        rows = batch.rows
        begin, first = first, first + rows.num_rows
        ts = roles.clock.times(rows, begin)
        keep = (ts >= span.since) & (ts < span.until)
        if roles.records and roles.model and "model" in rows.column_names:
            ours = pc.fill_null(pc.equal(rows["model"], roles.model), fill_value=False)
            keep &= ours.to_numpy()
        if np.isnan(ts).any() and not roles.records:
            place = int(np.flatnonzero(np.isnan(ts))[0])
            raise MistakeError(f"row {begin + place + 1} has no time in {roles.clock.time or 'ts'}")
        if not keep.all():
            rows, ts = rows.filter(pa.array(keep)), ts[keep]
        yield Timed(rows=rows, ts=ts, first_row=begin, done=batch.done)


def learn_reference(
    batches: Batches, roles: Roles, spec: ModelSpec, span: Span, upto: float | None
) -> tuple[Profile, Chosen]:
    """The profile of the rows before ``upto``; without one, of as long as a burn-in takes."""
    kept: list[pa.Table] = []
    held, end = 0, upto if upto is not None else float("inf")
    times = []
    for batch in timed(batches, roles, span):
        asked = answered(batch.rows, roles)
        rows, ts = batch.rows.filter(pa.array(asked)), batch.ts[asked]
        if len(ts) and end == float("inf"):
            end = ts[0] + max(SPAN_MIN_S, PANES_MIN * spec.clock.pane_s)
        mine = ts < end
        kept.append(rows.filter(pa.array(mine)))
        times.append(ts[mine])
        held += kept[-1].num_rows
        if held > SAMPLE_ROWS or not mine.all():
            break
    if not held:
        raise MistakeError(
            "there is no row to learn a reference from"
            + (f" before {moment(end)}; look at --reference-until and --since" if upto else "")
        )
    table = pa.concat_tables(kept, promote_options="permissive")
    columns = Columns(
        score=roles.score if roles.score in table.column_names else None,
        label=roles.label if roles.label in table.column_names else None,
        ignore=roles.own(),
        text=roles.text,
    )
    positive = spec.labels.positive
    names = _names_of(table, columns, positive)
    chosen = choose(table, columns, None, latency_thresholds(spec), names)
    counted = Counted(chosen.layouts, names)
    counted.add(table, scores_of(table, columns), labels_of(table, columns, positive))
    return counted.profile("", np.concatenate(times)), chosen


def answered(rows: pa.Table, roles: Roles) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Rows that are requests: of event records not those that only bring a label."""
    if not roles.records:
        return np.ones(rows.num_rows, bool)
    found = np.zeros(rows.num_rows, bool)
    own = roles.own() - {roles.score, roles.prediction}
    for name in rows.column_names:
        if name not in own:
            found |= pc.is_valid(rows[name]).to_numpy()
    return found


def _names_of(table: pa.Table, columns: Columns, positive: str | None) -> tuple[str, str]:
    """What the positive and the other label are called."""
    if columns.label is None:
        return positive or "1", "0"
    counted = pc.value_counts(table[columns.label].cast(pa.string()).drop_null()).to_pylist()
    others = [one["values"] for one in sorted(counted, key=lambda one: -one["counts"])]
    return positive or "1", next((name for name in others if name != (positive or "1")), "0")


def replay_rows(
    spec: ModelSpec,
    batches: Batches,
    roles: Roles,
    profile: Profile,
    *,
    span: Span | None = None,
    progress: Progress = lambda _: None,
) -> Replayed:
    """Run the policy over recorded rows, which come in the order of time.

    Raises ``MistakeError`` for a row that is out of order, a time that is none, an empty record.
    """
    replay, names = Replay(spec, profile), set[str]()
    buckets = Buckets(layouts_of(spec, profile), roles, spec.clock.bucket_s, spec.clock.lateness_s)
    labels = Labels(spec, roles)
    for batch in timed(batches, roles, span or Span()):
        names |= set(batch.rows.column_names)
        labels.add(batch.rows, batch.ts)
        asked = answered(batch.rows, roles)
        rows = batch.rows if asked.all() else batch.rows.filter(pa.array(asked))
        for pane in buckets.add(rows, batch.ts[asked], batch.first_row):
            replay.close(pane, labels.close(pane.start, pane.end))
        progress(batch.done)
    roles.check(frozenset(names))
    for pane in buckets.rest():
        replay.close(pane, labels.close(pane.start, pane.end))
    if not replay.found.events:
        raise MistakeError("there is no whole bucket to replay: the record is empty or too short")
    return replay.end()
