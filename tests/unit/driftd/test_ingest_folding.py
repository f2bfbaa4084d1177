"""Events become sketches and samples; what is private is gone before anything is kept."""

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pytest
from aiokafka import ConsumerRecord

from agents.codec import decode_arm
from agents.events import LATENCY, PREDICTION, SCORE
from detectors.contract import Layout
from detectors.profile import Profile, StreamProfile
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout
from driftd.data.samples import decode_labels, decode_predictions
from driftd.ingest.buffer import Buffer, Horizon
from driftd.ingest.events import Limits
from driftd.ingest.folding import Folded, fold
from driftd.ingest.limits import ARMS_MAX
from driftd.ingest.partition import Partition
from driftd.ingest.plans import Plan, Plans, index_plans, make_plan
from driftd.ingest.sampling import chosen
from driftd.store.moves import Position
from policies.specs import ClockSpec, EventsSpec, ModelSpec, PrivacySpec, RegistrySpec

NOW = 1_700_000_000.0
LAYOUTS: dict[str, Layout] = {
    "temp": NumericLayout((10.0, 20.0)),
    "carrier": CategoryLayout(("AA", "UA")),
    "weather.wind": NumericLayout((5.0,)),
}
PROFILE = Profile(
    version="1",
    n=0,
    since=0.0,
    until=1.0,
    streams={
        name: StreamProfile(layout=layout, counts=np.zeros(layout.size, np.int64))
        for name, layout in LAYOUTS.items()
    },
)


def spec(model: str = "m", **more: Any) -> ModelSpec:
    events = EventsSpec(predictions="predictions", labels="labels", sources=("weather",))
    clock = ClockSpec(pane_s=60.0, bucket_s=60.0)
    return ModelSpec(
        model=model, registry=RegistrySpec(name=model), events=events, clock=clock, **more
    )


def plan(model: str = "m", *, rollout_open: bool = False, **more: Any) -> Plan:
    return make_plan(
        spec(model, **more), PROFILE, profile_id=1, key=b"key", rollout_open=rollout_open
    )


def event(**more: Any) -> dict[str, Any]:
    given = {
        "id": "a",
        "model": "m",
        "version": "1",
        "ts": 30.0,
        "features": {"temp": 15.0, "carrier": "UA"},
        "score": 0.5,
        "prediction": 1,
        "latency_ms": 12.0,
        "subject": "ann",
    }
    return {name: value for name, value in {**given, **more}.items() if value is not ...}


def folded(
    events: Iterable[dict[str, Any]],
    *plans: Plan,
    topic: str = "predictions",
    sample: float = 1.0,
    partition: Partition | None = None,
) -> Folded:
    known: Plans = index_plans({one.spec.model: one for one in plans or (plan(),)})
    where = partition or Partition.at(Position(topic=topic, partition=0))
    buffer = Buffer(opened=0.0)
    records = [record(n, msgspec.json.encode(one), topic) for n, one in enumerate(events)]
    horizon = Horizon(now=NOW, future_s=3_600.0, event_clock=True)
    assert buffer.add(records, where, known, Limits(), horizon) == []
    move = where.swap()
    assert move is not None
    return fold(buffer, (move,), known, sample)


def record(offset: int, value: bytes, topic: str) -> ConsumerRecord:
    return ConsumerRecord(topic, 0, offset, 1_000, 0, None, value, None, 0, len(value), ())


def test_live_events_are_counted_by_arm_bucket_and_stream() -> None:
    flush = folded(
        [
            event(),
            event(id="b", ts=31.0, features={"temp": 25.0, "carrier": "new"}, score=None),
            event(id="c", ts=59.9, features={"carrier": None}),
            event(id="d", ts=60.0),
            event(id="e", version="2", variant="challenger"),
        ]
    ).flush

    rows = {(row.version, row.variant, row.bucket): row for row in flush.partials}
    assert rows.keys() == {
        ("1", "champion", 0.0),
        ("1", "champion", 60.0),
        ("2", "challenger", 0.0),
    }
    arm = decode_arm(rows["1", "champion", 0.0].blob)
    assert (arm.n, arm.errors) == (3, 0)
    assert arm.counts["temp"].tolist() == [0, 1, 1, 1]
    assert arm.counts["carrier"].tolist() == [0, 1, 0, 1, 1]
    assert arm.counts[SCORE].sum() == 3
    assert arm.counts[SCORE][-1] == 1, "a missing score"
    assert "weather.wind" not in arm.counts


def test_a_failed_request_counts_as_error_and_has_no_score() -> None:
    flush = folded([event(), event(id="b", error="boom", score=0.9)]).flush

    arm = decode_arm(flush.partials[0].blob)
    assert (arm.n, arm.errors) == (2, 1)
    assert arm.counts[SCORE].sum() == arm.counts[PREDICTION].sum() == 1
    assert arm.counts[LATENCY].sum() == arm.counts["temp"].sum() == 2
    (sample,) = flush.samples
    assert decode_predictions(sample.blob)["id"].to_pylist() == ["a"]


def test_a_shadow_answer_has_no_features_of_its_own() -> None:
    flush = folded([event(), event(id="s", version="2", variant="shadow", shadow_of="a")]).flush

    shadow = next(row for row in flush.partials if row.variant == "shadow")
    assert decode_arm(shadow.blob).counts.keys() == {SCORE, PREDICTION, LATENCY}
    table = decode_predictions(flush.samples[0].blob)
    assert table["shadow_of"].to_pylist() == [None, "a"]
    assert [text is None for text in table["features"].to_pylist()] == [False, True]


def test_a_label_is_kept_by_its_own_time_and_an_event_may_carry_both() -> None:
    flush = folded(
        [
            event(label=1.0),
            event(id="b", ts=75.0, label="1", features=..., score=..., prediction=...),
        ]
    ).flush

    found = {(row.kind, row.bucket): row for row in flush.samples}
    assert found.keys() == {("prediction", 0.0), ("label", 0.0), ("label", 60.0)}
    table = decode_labels(found["label", 60.0].blob)
    assert table.to_pylist() == [{"id": "b", "ts": 75.0, "label": "1"}]
    assert [row.n for row in flush.partials] == [1], "a label is no prediction"


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_prediction_shadow_and_label_of_one_request_are_sampled_together(share: float) -> None:
    ids = [f"id-{n}" for n in range(2_000)]
    kept = {one for one in ids if chosen(one, share)}
    events: list[dict[str, Any]] = []
    for one in ids:
        events.append(event(id=one))
        events.append(event(id=f"{one}-s", variant="shadow", shadow_of=one))
        events.append({"id": one, "model": "m", "label": 1, "ts": 30.0})

    samples = folded(events, sample=share).flush.samples

    assert abs(len(kept) - share * 2_000) <= 4 * (2_000 * share * (1 - share)) ** 0.5
    ids_of = {row.kind: row.blob for row in samples}
    if not kept:
        assert not ids_of
        return
    rows = decode_predictions(ids_of["prediction"]).to_pylist()
    assert {row["shadow_of"] or row["id"] for row in rows} == kept
    assert len(rows) == 2 * len(kept)
    assert set(decode_labels(ids_of["label"])["id"].to_pylist()) == kept


def test_private_fields_are_gone_from_all_that_is_kept() -> None:
    private = plan(privacy=PrivacySpec(drop=frozenset({"carrier"}), hash=frozenset({"id", "temp"})))
    told = [event(id="secret", features={"temp": 15.0, "carrier": "hidden"})]
    told.append({"id": "secret", "model": "m", "label": 1, "ts": 30.0})

    flush = folded(told, private).flush

    prediction, label = (row.blob for row in flush.samples)
    row = decode_predictions(prediction).to_pylist()[0]
    assert row["id"] == decode_labels(label).to_pylist()[0]["id"] != "secret"
    assert "hidden" not in row["features"]
    assert "15" not in row["features"]
    assert decode_arm(flush.partials[0].blob).counts["carrier"].tolist() == [0, 0, 0, 0, 1]


def test_dropping_the_text_of_errors_does_not_hide_that_they_happened() -> None:
    private = plan(privacy=PrivacySpec(drop=frozenset({"error"})))

    arm = decode_arm(folded([event(error="name: Ann")], private).flush.partials[0].blob)

    assert (arm.n, arm.errors) == (1, 1)


def test_a_source_is_counted_for_each_subscriber_with_its_own_privacy() -> None:
    reading = {"source": "weather", "ts": 30.0, "features": {"wind": 3.0}}
    strict = plan("strict", privacy=PrivacySpec(drop=frozenset({"wind"})))

    flush = folded([reading], plan("m"), strict, topic="weather").flush

    rows = {row.model: row for row in flush.partials}
    assert {(row.version, row.variant) for row in flush.partials} == {("", "source:weather")}
    assert decode_arm(rows["m"].blob).counts["wind"].tolist() == [1, 0, 0]
    assert decode_arm(rows["strict"].blob).counts["wind"].tolist() == [0, 0, 1]


def test_counts_say_on_which_layouts_they_were_made() -> None:
    blob = folded([event()]).flush.partials[0].blob

    assert "temp" in decode_arm(blob, plan().marks).counts
    assert "temp" not in decode_arm(blob, {**plan().marks, "temp": 1}).counts


def test_increments_join_the_buckets_of_a_flush_for_live_arms_only() -> None:
    flush = folded(
        [
            event(),
            event(id="b", ts=90.0, error="x"),
            event(id="c", version="2", variant="challenger"),
            event(id="d", version="2", variant="shadow"),
        ],
        plan(rollout_open=True),
    ).flush

    found = {(row.version, row.variant): row for row in flush.increments}
    assert found.keys() == {("1", "champion"), ("2", "challenger")}
    assert {row.at for row in flush.increments} == {90.0}
    arm = decode_arm(found["1", "champion"].blob)
    assert (arm.n, arm.errors, set(arm.counts)) == (2, 1, {LATENCY})


def test_what_nobody_asked_for_is_skipped_and_counted() -> None:
    where = Partition.at(Position(topic="predictions", partition=0))

    flush = folded(
        [event(model="other"), {"source": "tides", "ts": 1.0, "features": {"x": 1.0}}, event()],
        partition=where,
    ).flush

    (move,) = flush.moves
    assert move.rejected == {"no_policy": 1, "no_subscriber": 1}
    assert (move.records, move.new) == (3, 3)


def test_versions_beyond_all_measure_are_not_kept_apart() -> None:
    many = [event(id=str(n), version=str(n)) for n in range(ARMS_MAX + 5)]

    flush = folded([*many, event(version="0", ts=90.0)]).flush

    assert len(flush.partials) == ARMS_MAX + 1
    assert flush.moves[0].rejected == {"too_many_versions": 5}


def test_ticks_and_events_move_the_watermark_and_nothing_moves_it_back() -> None:
    where = Partition.at(Position(topic="predictions", partition=0))

    first = folded([event(ts=50.0), {"tick": 40.0}], partition=where)
    assert first.flush.moves[0].watermark == 50.0
    assert first.models == {"m"}
    second = Buffer(opened=0.0)
    horizon = Horizon(now=NOW, future_s=0.0, event_clock=True)
    late = record(2, msgspec.json.encode(event(ts=10.0)), "predictions")
    second.add([late], where, index_plans({"m": plan()}), Limits(), horizon)
    move = where.swap()
    assert move is not None
    assert (move.watermark, move.old, move.new) == (50.0, 2, 3)
