"""Vectors from their records through ingest, store and control loop to an incident."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from aiokafka import ConsumerRecord

from agents.codec import decode_arm
from detectors.contract import events
from detectors.profile import Profile, StreamProfile
from detectors.sketches.numeric import NumericLayout
from detectors.sketches.vector import VectorLayout
from driftd.console.report import render_report
from driftd.ingest.buffer import Buffer, Horizon
from driftd.ingest.events import Limits
from driftd.ingest.folding import fold
from driftd.ingest.partition import Partition
from driftd.ingest.plans import Plan, index_plans, make_plan
from driftd.ingest.reasons import Repair
from driftd.store.moves import Flush, Move
from policies.specs import EventsSpec, ModelSpec, PrivacySpec, RegistrySpec
from tests.support.control import DAY, MODEL, START, Bench

DIMENSION, EVENTS = 64, 80
LAYOUT = VectorLayout.from_reference(np.random.default_rng(1).normal(size=(2_000, DIMENSION)))
POLICY = """\
model: flight-delay
clock: {pane: 1d, lateness: 0s}
watch: {rules: [{metric: mmd, of: text, above: 0.2, over: 1d, min_events: 50}]}
"""


def profile() -> Profile:
    numbers = NumericLayout((0.0,))
    vectors = np.random.default_rng(2).normal(size=(3_000, DIMENSION))
    streams = {
        "temp": StreamProfile(layout=numbers, counts=numbers.fold([1.0])),
        "text": StreamProfile(layout=LAYOUT, counts=LAYOUT.fold(vectors)),
        "weather.radar": StreamProfile(layout=LAYOUT, counts=LAYOUT.fold([])),
    }
    return Profile(version="1", n=3_000, since=0.0, until=1.0, streams=streams)


def plan(**more: Any) -> Plan:
    events_spec = EventsSpec(predictions="predictions", labels="labels", sources=("weather",))
    spec = ModelSpec(model=MODEL, registry=RegistrySpec(name=MODEL), events=events_spec, **more)
    return make_plan(spec, profile(), profile_id=1)


class Reader:
    """Reads records of two topics as the poll loop does, and gives what one flush writes."""

    def __init__(self, plan: Plan) -> None:
        self._plans = index_plans({MODEL: plan})
        self._partitions: dict[str, Partition] = {}

    def flush(self, topic_records: dict[str, Iterable[bytes]]) -> tuple[Flush, Partition]:
        buffer = Buffer(opened=0.0)
        horizon = Horizon(now=START, future_s=1e9, event_clock=True)
        for topic, values in topic_records.items():
            known = self._partitions.setdefault(topic, _at_start(topic))
            found = [
                ConsumerRecord(topic, 0, known.next + n, 1, 0, None, value, None, 0, 1, ())
                for n, value in enumerate(values)
            ]
            assert (
                buffer.add(found, known, self._plans, Limits(vector_max=DIMENSION), horizon) == []
            )
        moves = [self._partitions[topic].swap() for topic in sorted(topic_records)]
        made: tuple[Move, ...] = tuple(move for move in moves if move is not None)
        return fold(buffer, made, self._plans, 0.0).flush, self._partitions["predictions"]


def _at_start(topic: str) -> Partition:
    return Partition(
        topic=topic,
        partition=0,
        lineage=0,
        base=0,
        next=0,
        watermark=0.0,
        proof=0.0,
        left_out=False,
    )


def event(vectors: Any = ..., **more: Any) -> bytes:
    found = {"id": "a", "model": MODEL, "version": "1", "ts": START + 5.0, "score": 0.5, **more}
    if vectors is not ...:
        found["vectors"] = vectors
    return msgspec.json.encode(found)


def counted(*records: bytes, stream: str = "text", **more: Any) -> Any:
    flush, _ = Reader(plan(**more)).flush({"predictions": records})
    return decode_arm(flush.partials[0].blob).counts.get(stream)


GOOD = [0.5] * DIMENSION


def test_a_vector_counts_once_and_what_is_none_is_missing() -> None:
    counts = counted(
        event({"text": GOOD}),
        event({"text": GOOD}, features={"temp": 1.0}),
        event({"text": [1e300, *GOOD[1:]]}),
        event({"text": GOOD[1:]}),
        event({"text": [*GOOD, 1.0]}),
        event({"text": [*GOOD[1:], None]}),
        event({"text": "a sentence"}),
        event({"other": GOOD}),
        event({}),
    )

    assert (events(LAYOUT, counts), counts[-1]) == (3, 6)


def test_an_event_without_any_vectors_says_nothing_about_them() -> None:
    counts = counted(event(features={"temp": 1.0}), event(), event({"text": GOOD}), event(None))

    assert (events(LAYOUT, counts), counts[-1]) == (1, 0)
    assert counted(event(features={"temp": 1.0})) is None


def test_vectors_that_come_with_a_label_count() -> None:
    assert events(LAYOUT, counted(event({"text": GOOD}, label="late", score=None))) == 1


def test_usual_vectors_need_no_slow_path() -> None:
    flush, _ = Reader(plan()).flush({"predictions": [event({"text": GOOD})] * 3})

    assert flush.moves[0].rejected == {}
    _, partition = Reader(plan()).flush({"predictions": [event({"text": [*GOOD, 1.0]})]})
    assert partition.rejected == {}
    flush, _ = Reader(plan()).flush({"predictions": [event({"text": [*GOOD, 1.0]})]})
    assert flush.moves[0].rejected[Repair.CHANGED_TYPE] == 1


def test_a_private_vector_is_never_counted() -> None:
    counts = counted(event({"text": GOOD}), privacy=PrivacySpec(drop=frozenset({"text"})))

    assert (events(LAYOUT, counts), counts[-1]) == (0, 1)


def test_a_source_may_send_vectors() -> None:
    record = msgspec.json.encode(
        {"source": "weather", "ts": START + 5.0, "vectors": {"radar": GOOD}}
    )
    flush, _ = Reader(plan()).flush({"weather": [record], "predictions": [event()]})
    (row,) = [row for row in flush.partials if row.variant == "source:weather"]

    assert events(LAYOUT, decode_arm(row.blob).counts["radar"]) == 1


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    bench = Bench(tmp_path)
    bench.store.profiles.put(MODEL, "1", profile().to_bytes())
    bench.publish(POLICY)
    bench.step()
    bench.settle()
    yield bench
    bench.store.close()


def day(number: int, *, moved: float = 0.0, spread: float = 1.0) -> list[bytes]:
    rng = np.random.default_rng([3, number])
    vectors = rng.normal(moved, spread, (EVENTS, DIMENSION)).round(4).tolist()
    start = START + number * DAY
    return [event({"text": one}, ts=start + 60.0 * i) for i, one in enumerate(vectors)]


def live(bench: Bench, reader: Reader, first: int, last: int, **how: float) -> None:
    """Days [first, last) are read, written and judged."""
    for number in range(first, last):
        tick = msgspec.json.encode({"v": 1, "tick": START + (number + 1) * DAY})
        flush, _ = reader.flush({"labels": [tick], "predictions": [*day(number, **how), tick]})
        assert bench.store.ingest.flush(flush)
        bench.step()
        bench.settle()


@pytest.mark.parametrize(
    "how", [{"moved": 0.4}, {"spread": 1.3}], ids=["another mean", "another spread"]
)
def test_vectors_that_drift_are_an_incident_and_others_are_not(
    bench: Bench, how: dict[str, float]
) -> None:
    spec = bench.book.spec(MODEL)
    assert spec is not None
    reader = Reader(make_plan(spec, profile(), profile_id=1))
    live(bench, reader, 0, 72)
    assert bench.store.views.incidents(MODEL) == []

    live(bench, reader, 72, 80, **how)

    (drift,) = [row for row in bench.store.views.incidents(MODEL) if row.kind == "input_drift"]
    streams = msgspec.json.decode(drift.body)["streams"]
    moved = next(one for one in streams if one["stream"] == "text" and not one["rule"])
    assert moved["distance"] == "mmd"
    assert "coordinate " in moved["how"]
    assert moved["effect"] > 0.15
    assert any(one["rule"].startswith("mmd of text above 0.2") for one in streams)
    page = render_report(bench.store, spec).decode()
    assert "MMD" in page
