"""Labels meet live answers and their shadows, once, whatever the order of arrival."""

from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.events import Arm
from driftd.data.join import consolidate, duplicates_of, join, matured, pairs_of, quality_of
from driftd.data.samples import (
    LABELS,
    PREDICTIONS,
    decode_pending,
    encode_pending,
    encode_predictions,
    table_of,
)

DAY_S = 86_400.0


def predictions(*rows: dict[str, Any]) -> pa.Table:
    """Rows with the usual things filled in."""
    usual = {"version": "1", "variant": "champion", "ts": 10.0, "score": 0.8, "subject": 1}
    names = ("id", *usual, "prediction", "shadow_of")
    return table_of({n: [{**usual, **row}.get(n) for row in rows] for n in names}, PREDICTIONS)


def labels(*rows: tuple[str, float, str]) -> pa.Table:
    """(id, ts, label) rows."""
    ids, ts, names = zip(*rows, strict=True) if rows else ((), (), ())
    return table_of({"id": list(ids), "ts": list(ts), "label": list(names)}, LABELS)


def live(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"r{number}", "ts": 10.0 + number, **more}


def shadow(number: int, **more: Any) -> dict[str, Any]:
    usual = {"id": f"r{number}/s", "version": "2", "variant": "shadow", "score": 0.3}
    return {**usual, "ts": 10.0 + number, "shadow_of": f"r{number}", **more}


def pending(*rows: dict[str, Any], bucket: float = 0.0) -> dict[float, pa.Table]:
    return {bucket: consolidate([predictions(*rows)])}


def test_a_label_reaches_the_live_answer_and_its_shadow() -> None:
    joined = join(
        pending(live(1), shadow(1), live(2)), labels(("r1", 50, "1")), arrive_within_s=DAY_S
    )
    assert joined.rows["id"].to_pylist() == ["r1", "r1/s"]
    assert joined.rows["label"].to_pylist() == ["1", "1"]
    assert joined.changed[0.0]["label"].to_pylist() == ["1", "1", None]
    assert (joined.unmatched.num_rows, joined.duplicates, joined.late) == (0, 0, 0)


def test_the_first_label_wins_and_the_others_are_counted() -> None:
    first = join(pending(live(1)), labels(("r1", 60, "0"), ("r1", 50, "1")), arrive_within_s=DAY_S)
    assert first.rows["label"].to_pylist() == ["1"]
    assert first.duplicates == 1
    again = join(first.changed, labels(("r1", 40, "0")), arrive_within_s=DAY_S)
    assert again.rows.num_rows == 0
    assert (again.duplicates, again.changed) == (1, {})


def test_a_label_without_a_prediction_is_handed_back() -> None:
    joined = join(pending(live(1)), labels(("nobody", 50, "1")), arrive_within_s=DAY_S)
    assert joined.unmatched["id"].to_pylist() == ["nobody"]


def test_a_label_after_the_longest_wait_counts_nowhere() -> None:
    joined = join(pending(live(1)), labels(("r1", 112, "1")), arrive_within_s=100)
    assert joined.rows.num_rows == 0
    assert joined.late == 1
    in_time = join(pending(live(1)), labels(("r1", 111, "1")), arrive_within_s=100)
    assert (in_time.rows.num_rows, in_time.late) == (1, 0)


def test_only_changed_buckets_are_written_back() -> None:
    two = {**pending(live(1)), **pending(live(2), bucket=DAY_S)}
    joined = join(two, labels(("r2", 50, "1")), arrive_within_s=DAY_S)
    assert list(joined.changed) == [DAY_S]


def test_a_shadow_that_comes_after_its_label_gets_it_too_and_the_pair_counts_once() -> None:
    first = join(pending(live(1)), labels(("r1", 50, "1")), arrive_within_s=DAY_S)
    table = consolidate([first.changed[0.0], predictions(shadow(1))])
    second = join({0.0: table}, labels(), arrive_within_s=DAY_S)
    assert second.rows["id"].to_pylist() == ["r1/s"]
    assert second.partners["id"].to_pylist() == ["r1"]
    before = pairs_of(first.rows, "1", "2", start=0, end=1, partners=first.partners)
    after = pairs_of(second.rows, "1", "2", start=0, end=1, partners=second.partners)
    assert (len(before.label), len(after.label)) == (0, 1)
    assert (after.champion_score.tolist(), after.challenger_score.tolist()) == ([0.8], [0.3])


def test_duplicates_are_dropped_for_the_earliest_and_never_a_labelled_row() -> None:
    table = consolidate([predictions(live(1, score=0.9, ts=30.0)), predictions(live(1, score=0.1))])
    assert table["score"].to_pylist() == [0.1]
    assert duplicates_of(table) == 1
    labelled = join({0.0: table}, labels(("r1", 50, "1")), arrive_within_s=DAY_S).changed[0.0]
    again = consolidate([predictions(live(1, ts=1.0)), labelled])
    assert again["label"].to_pylist() == ["1"]
    assert duplicates_of(again) == 2
    assert duplicates_of(decode_pending(encode_pending(again))) == 2


def test_nothing_pending_is_no_special_case() -> None:
    joined = join({}, labels(("r1", 50, "1")), arrive_within_s=DAY_S)
    assert joined.unmatched.num_rows == 1
    assert joined.rows.num_rows == 0
    assert quality_of(joined.rows) == {}
    assert len(pairs_of(joined.rows, "1", "2", start=0, end=1).label) == 0
    assert consolidate([]).num_rows == 0


def test_quality_is_of_each_arm_and_counts_what_the_policy_calls_positive() -> None:
    rows = join(
        pending(
            live(1, prediction="late", score=0.8),
            live(2, prediction="on_time", score=0.4),
            live(3, score=0.7),
            shadow(1, score=0.2),
            live(4, score=None, prediction=None),
        ),
        labels(("r1", 50, "late"), ("r2", 50, "late"), ("r3", 50, "on_time"), ("r4", 50, "late")),
        arrive_within_s=DAY_S,
    ).rows
    found = quality_of(rows, "late")
    assert list(found) == [Arm("1", "champion"), Arm("2", "shadow")]
    champion = found[Arm("1", "champion")]
    assert (champion.n, champion.tp, champion.fn, champion.fp) == (3, 1, 1, 1)
    assert champion.brier == pytest.approx((0.2**2 + 0.6**2 + 0.7**2) / 3)
    assert found[Arm("2", "shadow")].fn == 1


@pytest.mark.parametrize("label", ["1", "true", "True"])
def test_without_a_named_label_one_and_true_are_positive(label: str) -> None:
    rows = join(pending(live(1)), labels(("r1", 50, label)), arrive_within_s=DAY_S).rows
    assert quality_of(rows)[Arm("1", "champion")].tp == 1


def test_maturity_counts_labels_up_to_it_whenever_it_is_asked() -> None:
    table = pending(live(1), live(2), live(3))
    early = join(table, labels(("r1", 150, "1")), arrive_within_s=DAY_S).changed[0.0]
    everything = join(
        {0.0: early}, labels(("r2", 200, "1"), ("r3", 201, "1")), arrive_within_s=DAY_S
    ).changed[0.0]
    found = matured(everything, end=100, maturity_s=100)[Arm("1", "champion")]
    assert (found.predictions, found.sketch.n) == (3, 2)
    unlabelled = matured(table[0.0], end=100, maturity_s=100)[Arm("1", "champion")]
    assert (unlabelled.predictions, unlabelled.sketch.n) == (3, 0)


def test_either_version_may_be_the_live_one_of_a_pair() -> None:
    rows = join(
        pending(
            live(1, score=0.8, subject=5),
            shadow(1, score=0.3),
            live(2, version="2", variant="challenger", score=0.6, subject=6),
            shadow(2, version="1", score=0.1),
            live(3),
        ),
        labels(("r1", 50, "1"), ("r2", 50, "0"), ("r3", 50, "1")),
        arrive_within_s=DAY_S,
    ).rows
    pairs = pairs_of(rows, "1", "2", start=0, end=86_400)
    assert pairs.champion_score.tolist() == [0.8, 0.1]
    assert pairs.challenger_score.tolist() == [0.3, 0.6]
    assert pairs.label.tolist() == [1, 0]
    assert pairs.subject.tolist() == [5, 1]
    assert (pairs.start, pairs.end, pairs.champion, pairs.challenger) == (0, 86_400, "1", "2")


_ROWS = [live(n) for n in range(6)] + [shadow(n) for n in range(6)]


@given(order=st.permutations(range(len(_ROWS))), cuts=st.sets(st.integers(1, len(_ROWS) - 1)))
@settings(max_examples=60, deadline=None)
def test_a_bucket_does_not_depend_on_how_its_flushes_were_cut(
    order: list[int], cuts: set[int]
) -> None:
    edges = [0, *sorted(cuts), len(_ROWS)]
    flushes = [
        encode_predictions(predictions(*(_ROWS[i] for i in order[a:b])).to_pydict())
        for a, b in pairwise(edges)
    ]
    assert consolidate(list(flushes)).equals(consolidate([predictions(*_ROWS)]))


@given(split=st.integers(0, 6), order=st.permutations(range(6)))
@settings(max_examples=60, deadline=None)
def test_labels_and_pairs_do_not_depend_on_when_they_were_looked_at(
    split: int, order: list[int]
) -> None:
    came = [(f"r{n}", 50.0 + n, str(n % 2)) for n in order]
    table = pending(*_ROWS)
    whole = join(table, labels(*came), arrive_within_s=DAY_S)
    first = join(table, labels(*came[:split]), arrive_within_s=DAY_S)
    second = join({**table, **first.changed}, labels(*came[split:]), arrive_within_s=DAY_S)
    last = {**table, **first.changed, **second.changed}
    assert last[0.0].equals(whole.changed[0.0])
    pairs = [
        len(pairs_of(step.rows, "1", "2", start=0, end=1, partners=step.partners).label)
        for step in (whole, first, second)
    ]
    assert pairs[0] == pairs[1] + pairs[2] == 6
