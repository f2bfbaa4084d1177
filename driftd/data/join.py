"""Where predictions meet their labels: live and shadow answers of a request share one label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from agents.events import Arm, ArmQuality, PairsJoined
from detectors.contract import IntArray
from detectors.quality import QualitySketch
from driftd.data.answers import answers_of, arms_of, bools, root_of
from driftd.data.samples import DUPLICATES_KEY, LABELS, PENDING, conform, decode

_MEETING = ["id", "shadow_of", "ts", "label", "label_ts"]
_ORDER = [(name, "ascending") for name in ("ts", "id", "variant", "version")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What a batch of labels changed.

    ``rows``: rows that got their label now, live and shadow, columns of ``PENDING``, ordered by
    ts, id, variant, version. ``partners``: rows of the same requests that had theirs before.
    ``changed``: bucket -> its table with the labels in it. ``unmatched``: labels (columns of
    ``LABELS``) of which no prediction is pending. ``duplicates`` counts labels of requests that
    have one already, ``late`` those that came after ``arrive_within_s``.
    """

    rows: pa.Table
    partners: pa.Table
    changed: Mapping[float, pa.Table]
    unmatched: pa.Table
    duplicates: int
    late: int


def consolidate(parts: Sequence[bytes | pa.Table]) -> pa.Table:
    """All parts of one bucket as one pending table, one row an (id, version, variant).

    A labelled row goes before an unlabelled one, then the earliest: the result does not depend on
    how the parts were cut. What was dropped is counted, see ``duplicates_of``.
    """
    tables = [part if isinstance(part, pa.Table) else decode(part) for part in parts]
    counted = sum(duplicates_of(table) for table in tables)
    if not tables:
        return PENDING.empty_table()
    table = pa.concat_tables([_bare(table) for table in tables])
    table = table.append_column("_open", pc.is_null(table["label"]))
    table = table.sort_by([("_open", "ascending"), *_ORDER, ("score", "ascending")])
    first = _first_of_each(table.select(["id", "version", "variant"]))
    dropped = table.num_rows - len(first)
    kept = table.take(pa.array(first)).drop_columns("_open").sort_by(_ORDER)
    return kept.replace_schema_metadata({DUPLICATES_KEY: b"%d" % (counted + dropped)})


def duplicates_of(table: pa.Table) -> int:
    """How many rows were dropped on the way to this pending table."""
    return int((table.schema.metadata or {}).get(DUPLICATES_KEY, b"0"))


def join(pending: Mapping[float, pa.Table], labels: pa.Table, *, arrive_within_s: float) -> Joined:
    """Give each label to every row of its request: the live one and its shadows. First label wins.

    ``pending``: bucket -> consolidated table; ``labels``: columns of ``LABELS``, any order. A row
    that came after its request was labelled gets that label too.
    """
    tables = {bucket: conform(table, PENDING) for bucket, table in sorted(pending.items())}
    # Features are the bulk of a row and decide nothing here: only changed buckets touch them.
    slim = [table.select(_MEETING).replace_schema_metadata(None) for table in tables.values()]
    table = pa.concat_tables([PENDING.empty_table().select(_MEETING), *slim]).combine_chunks()
    root = root_of(table)
    labels, repeated = _first_labels(labels)

    labelled = pc.is_valid(table["label"]).combine_chunks()
    known_root, known = root.filter(labelled), table.filter(labelled)
    from_known = pc.index_in(root, value_set=known_root)
    from_new = pc.index_in(root, value_set=labels["id"].combine_chunks())
    found = {
        name: pc.coalesce(
            table[name], known[name].take(from_known), labels[source].take(from_new)
        ).combine_chunks()
        for name, source in (("label", "label"), ("label_ts", "ts"))
    }
    # A label after the policy's longest wait counts nowhere: a bucket's quality must not depend on
    # when it is looked at.
    in_time = pc.less_equal(found["label_ts"], pc.add(table["ts"], arrive_within_s))
    gained = bools(pc.and_(pc.invert(labelled), in_time))
    partner = bools(labelled) & bools(pc.is_in(root, value_set=root.filter(pa.array(gained))))

    matched = pc.is_in(labels["id"], value_set=root)
    answered = pc.is_in(labels["id"], value_set=root.filter(pa.array(bools(labelled) | gained)))
    updated = _updated(tables, gained, found)
    return Joined(
        rows=_gathered(updated, tables, gained),
        partners=_gathered({}, tables, partner),
        changed=updated,
        unmatched=labels.filter(pc.invert(matched)),
        duplicates=repeated + _count(pc.is_in(labels["id"], value_set=known_root)),
        late=_count(pc.and_(matched, pc.invert(answered))),
    )


def quality_of(rows: pa.Table, positive: str | None = None) -> dict[Arm, QualitySketch]:
    """A quality sketch an arm of labelled rows; ``positive`` is what ``labels.positive`` names.

    The predicted label is ``prediction == positive``, or ``score >= 0.5`` where a row has no
    prediction; a row without a score counts as 0 or 1. Rows with neither are left out.
    """
    answers = answers_of(rows, positive)
    arms, codes = arms_of(rows)
    sketches = {}
    for code, arm in enumerate(arms):
        mine = answers.usable & (codes == code)
        sketches[arm] = QualitySketch.fold(
            answers.score[mine], answers.predicted[mine], answers.label[mine]
        )
    return dict(sorted(sketches.items()))


def matured(
    pending: pa.Table, *, end: float, maturity_s: float, positive: str | None = None
) -> dict[Arm, ArmQuality]:
    """What is known of a bucket at its maturity: labels with time <= ``end + maturity_s``, no more.

    ``predictions`` counts the sampled rows of the arm, labelled or not. The same bucket gives the
    same answer whenever it is asked, which a restarted control loop needs.
    """
    on_time = pc.fill_null(pc.less_equal(pending["label_ts"], end + maturity_s), fill_value=False)
    sketches = quality_of(pending.filter(on_time), positive)
    arms, codes = arms_of(pending)
    counts = np.bincount(codes, minlength=len(arms))
    empty = QualitySketch.empty()
    return {
        arm: ArmQuality(predictions=int(count), sketch=sketches.get(arm, empty))
        for arm, count in sorted(zip(arms, counts, strict=True))
    }


def pairs_of(
    rows: pa.Table,
    champion: str,
    challenger: str,
    *,
    start: float,
    end: float,
    positive: str | None = None,
    partners: pa.Table | None = None,
) -> PairsJoined:
    """Requests that both versions answered, whichever of them was live, ordered as ``rows`` are.

    A pair counts where at least one of its two answers stands in ``rows``; the other one may stand
    in ``Joined.partners``, so that each pair is handed out exactly once.
    """
    table = rows if partners is None else pa.concat_tables([rows, partners])
    fresh = np.arange(table.num_rows) < rows.num_rows
    answers = answers_of(table, positive)
    version = table["version"].combine_chunks()
    root = root_of(table)
    sides = []
    for name in (champion, challenger):
        mine = answers.usable & bools(pc.equal(version, name))
        sides.append(np.flatnonzero(mine))
    left, right = sides
    found = pc.index_in(root.take(pa.array(left)), value_set=root.take(pa.array(right)))
    hit = bools(pc.is_valid(found))
    left, right = left[hit], right[pc.drop_null(found).to_numpy()]
    new = fresh[left] | fresh[right]
    left, right = left[new], right[new]
    subject = table["subject"].to_numpy().astype(np.int64)
    order = np.lexsort((left, table["ts"].to_numpy()[left]))
    left, right = left[order], right[order]
    return PairsJoined(
        start=start,
        end=end,
        champion=champion,
        challenger=challenger,
        subject=subject[left],
        champion_score=answers.score[left],
        challenger_score=answers.score[right],
        label=answers.label[left],
    )


def _bare(table: pa.Table) -> pa.Table:
    return conform(table, PENDING).replace_schema_metadata(None)


def _first_labels(labels: pa.Table) -> tuple[pa.Table, int]:
    ordered = conform(labels, LABELS).sort_by([("ts", "ascending"), ("label", "ascending")])
    first = _first_of_each(ordered.select(["id"]))
    return ordered.take(pa.array(first)), ordered.num_rows - len(first)


def _first_of_each(keys: pa.Table) -> IntArray:
    """Row numbers of the first row of each combination of string columns, ascending."""
    # The unit separator cannot be typed by accident; ids that hold it would have to collude.
    joined = pc.binary_join_element_wise(*keys.columns, "\x1f").combine_chunks()
    codes = joined.dictionary_encode().indices.to_numpy()
    _, first = np.unique(codes, return_index=True)
    return np.sort(first).astype(np.int64)


def _updated(
    tables: Mapping[float, pa.Table], gained: NDArray[np.bool_], found: Mapping[str, pa.Array]
) -> dict[float, pa.Table]:
    """The buckets in which a row gained its label, with ``found`` in place where it did."""
    changed = {}
    for bucket, (start, table) in _spans(tables).items():
        mine = pa.array(gained[start : start + table.num_rows])
        if not bools(mine).any():
            continue
        for name, values in found.items():
            where = PENDING.get_field_index(name)
            fresh = pc.if_else(mine, values.slice(start, table.num_rows), table[name])
            table = table.set_column(where, PENDING.field(name), fresh)  # noqa: PLW2901
        changed[bucket] = table
    return changed


def _gathered(
    updated: Mapping[float, pa.Table], tables: Mapping[float, pa.Table], mask: NDArray[np.bool_]
) -> pa.Table:
    """The marked rows of all buckets, in their one order."""
    parts = [PENDING.empty_table()]
    for bucket, (start, table) in _spans(tables).items():
        mine = mask[start : start + table.num_rows]
        if mine.any():
            marked = updated.get(bucket, table).filter(pa.array(mine))
            parts.append(marked.replace_schema_metadata(None))
    return pa.concat_tables(parts).sort_by(_ORDER)


def _spans(tables: Mapping[float, pa.Table]) -> dict[float, tuple[int, pa.Table]]:
    """Bucket -> the number of its first row among all, and its table."""
    start, spans = 0, {}
    for bucket, table in tables.items():
        spans[bucket] = (start, table)
        start += table.num_rows
    return spans


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)
