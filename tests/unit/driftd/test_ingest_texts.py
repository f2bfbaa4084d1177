"""Texts of events on their way to vectors: which are drawn, and what becomes of the flush."""

from collections import Counter
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
import pytest
from aiokafka import ConsumerRecord
from structlog.testing import capture_logs

from agents.codec import decode_arm
from agents.events import ArmCounts
from detectors.contract import events
from detectors.profile import Profile, StreamProfile
from detectors.sketches.numeric import NumericLayout
from detectors.sketches.vector import VectorLayout
from driftd.data.encoding import EncoderSpec
from driftd.data.live_encoder import LiveEncoder
from driftd.data.samples import decode_predictions
from driftd.ingest.buffer import Buffer, Horizon
from driftd.ingest.events import TEXT_MAX, Limits
from driftd.ingest.folding import Folded, fold
from driftd.ingest.partition import Partition
from driftd.ingest.plans import Plan, Plans, index_plans, make_plan
from driftd.ingest.readiness import absent_vectors
from driftd.ingest.reasons import Repair
from driftd.ingest.texts import BoundedEncoder, Texts, draw
from policies.specs import EventsSpec, ModelSpec, PrivacySpec, RegistrySpec
from tests.support.encoder_child import WELL, comes_true, encoder_child, starts

TS = 1_700_000_000.0
LAYOUT = VectorLayout.from_reference(np.random.default_rng(1).normal(size=(500, 2)))
EVENTS = EventsSpec(predictions="predictions", encode=(("query", "sentence"),))


def plan(model: str = "m", layout: VectorLayout = LAYOUT, **more: Any) -> Plan:
    numbers = NumericLayout((0.0,))
    streams = {
        "temp": StreamProfile(layout=numbers, counts=numbers.fold([1.0])),
        "query": StreamProfile(layout=layout, counts=layout.fold([])),
    }
    profile = Profile(version="1", n=1, since=0.0, until=1.0, streams=streams)
    spec = ModelSpec(
        **{"model": model, "registry": RegistrySpec(name=model), "events": EVENTS, **more}
    )
    return make_plan(spec, profile, profile_id=1, key=b"k")


def event(number: int, query: Any = "", **more: Any) -> dict[str, Any]:
    features = {"temp": 1.0, "query": query or f"text {number}"}
    return {
        "id": f"e{number}",
        "model": "m",
        "version": "1",
        "ts": TS,
        "score": 0.5,
        "features": features,
        **more,
    }


def read(plans: Plans, found: list[dict[str, Any]]) -> tuple[Buffer, Partition]:
    buffer = Buffer(opened=0.0)
    partition = Partition(
        topic="predictions",
        partition=0,
        lineage=0,
        base=0,
        next=0,
        watermark=0.0,
        proof=0.0,
        left_out=False,
    )
    records = [
        ConsumerRecord("predictions", 0, n, 1, 0, None, msgspec.json.encode(one), None, 0, 1, ())
        for n, one in enumerate(found)
    ]
    limits = Limits(texts=plans.texts["predictions"])
    horizon = Horizon(now=TS, future_s=1e9, event_clock=True)
    assert buffer.add(records, partition, plans, limits, horizon) == []
    return buffer, partition


class Flushes:
    """Reads, encodes and folds as the flusher does, and counts what becomes of texts."""

    def __init__(
        self, spec: EncoderSpec, *plans: Plan, texts_max: int = 64, timeout_s: float = 60.0
    ) -> None:
        self.live = LiveEncoder(lambda: spec)
        self.plans = index_plans({one.spec.model: one for one in plans or [plan()]})
        self.outcomes: Counter[str] = Counter()
        bounded = BoundedEncoder(self.live, texts_max=texts_max, timeout_s=timeout_s)
        self.texts = Texts({"sentence": bounded}, self._count)

    def _count(self, encoder: str, outcome: str, texts: int) -> None:
        assert encoder == "sentence"
        self.outcomes[outcome] += texts

    def warm(self) -> "Flushes":
        def ready() -> bool:
            self.live.start()
            return self.live.ready

        comes_true(ready)
        return self

    def flush(self, found: list[dict[str, Any]], hurried: bool = False) -> Folded:
        buffer, partition = read(self.plans, found)
        encoded = self.texts.encode(buffer, self.plans, hurried=lambda: hurried)
        move = partition.swap()
        assert move is not None
        assert move.records == len(found)
        return fold(buffer, (move,), self.plans, 1.0, encoded)


def arm(folded: Folded) -> ArmCounts:
    (partial,) = folded.flush.partials
    return decode_arm(partial.blob)


def sampled(folded: Folded) -> tuple[int, int] | None:
    """How many events had a vector, and how many had none."""
    counts = arm(folded).counts.get("query")
    return None if counts is None else (events(LAYOUT, counts), int(counts[-1]))


def test_the_drawn_texts_are_the_stream_and_every_event_is_counted(tmp_path: Path) -> None:
    flushes = Flushes(encoder_child(tmp_path), texts_max=30).warm()
    folded = flushes.flush([event(n) for n in range(100)])

    lowest = sorted(range(100), key=lambda n: crc32(f"e{n}".encode()))[:30]
    vectors = [[float(len(f"text {n}")), 1.0] for n in lowest]
    assert arm(folded).counts["query"].tolist() == LAYOUT.fold(vectors).tolist()
    assert arm(folded).n == 100
    assert arm(folded).counts["temp"].sum() == 100
    assert flushes.outcomes == {"encoded": 30, "unusable": 0}
    flushes.texts.close()


def test_a_drawn_event_without_its_text_is_missing_and_others_say_nothing(tmp_path: Path) -> None:
    flushes = Flushes(encoder_child(tmp_path)).warm()
    none = [
        event(1, features={"temp": 1.0}),
        event(2, features={"temp": 1.0, "query": None}),
        event(3, features={"temp": 1.0, "query": 7}),
    ]
    silent = [
        event(4, features=None),
        event(5, id=None),
        event(6, variant="shadow", shadow_of="e0"),
    ]
    buffer, _ = read(flushes.plans, [event(0), *none, *silent])
    encoded = flushes.texts.encode(buffer, flushes.plans)
    folded = fold(buffer, (), flushes.plans, 1.0, encoded)
    counts = {row.variant: decode_arm(row.blob).counts for row in folded.flush.partials}

    query = counts["champion"]["query"]
    assert (events(LAYOUT, query), query[-1]) == (1, 3)
    assert "query" not in counts["shadow"]
    flushes.texts.close()


def test_models_share_an_encoder_in_equal_parts() -> None:
    plans = index_plans({name: plan(name) for name in ("busy", "quiet", "silent")})
    found = [event(n, model="busy") for n in range(500)]
    found += [event(n, model="quiet") for n in range(8)]
    buffer, _ = read(plans, found)

    drawn = Counter(one.cell[0] for one in draw(buffer, plans, "sentence", 40))
    assert drawn == {"busy": 32, "quiet": 8}
    first = Counter(one.cell[0] for one in draw(buffer, plans, "sentence", 40)[:10])
    assert first == {"busy": 5, "quiet": 5}, "a stop in the midst takes from both"


def test_what_has_died_loses_no_event_and_is_told_once(tmp_path: Path) -> None:
    flushes = Flushes(encoder_child(tmp_path, 'say({"ready": True})')).warm()
    with capture_logs() as logs:
        folded = [flushes.flush([event(n) for n in range(50)]) for _ in range(20)]

    assert [arm(one).n for one in folded] == [50] * 20
    assert [sampled(one) for one in folded] == [None] * 20
    assert flushes.outcomes == {"away": 1_000}
    (line,) = [one for one in logs if one["event"] == "skip texts"]
    assert (line["encoder"], line["why"]) == ("sentence", "its process has ended")
    flushes.texts.close()


def test_one_that_hangs_holds_up_one_flush_and_no_longer_than_its_time(tmp_path: Path) -> None:
    hangs = (
        'say({"ready": True})\nvectors(json.loads(sys.stdin.buffer.readline()))\ntime.sleep(600)'
    )
    flushes = Flushes(encoder_child(tmp_path, hangs), timeout_s=3.0).warm()
    first = flushes.flush([event(n) for n in range(50)])
    second = flushes.flush([event(n) for n in range(50)])

    # What was answered before it hung are the lowest hashes, a sample as good as any.
    assert sampled(first) == (1, 0)
    assert sampled(second) is None
    assert flushes.outcomes == {"encoded": 1, "unusable": 0, "away": 99}
    flushes.texts.close()


def test_one_that_is_slow_is_asked_for_as_many_as_there_is_time_for(tmp_path: Path) -> None:
    slow = WELL.replace("    vectors", "    time.sleep(0.1 * len(json.loads(line)))\n    vectors")
    flushes = Flushes(encoder_child(tmp_path, slow), timeout_s=3.0).warm()
    folded = flushes.flush([event(n) for n in range(64)])

    found = sampled(folded)
    assert found is not None
    assert 1 <= found[0] < 64
    assert found[1] == 0
    assert flushes.outcomes["encoded"] == found[0]
    assert sum(flushes.outcomes.values()) == 64
    flushes.texts.close()


def test_a_worker_that_lets_go_waits_for_no_text(tmp_path: Path) -> None:
    flushes = Flushes(encoder_child(tmp_path)).warm()

    assert sampled(flushes.flush([event(n) for n in range(5)], hurried=True)) is None
    assert flushes.outcomes == {"slow": 5}
    flushes.texts.close()


@pytest.mark.parametrize("how", ["drop", "hash"])
def test_a_private_text_never_comes_to_an_encoder(how: str, tmp_path: Path) -> None:
    private = PrivacySpec(**{how: frozenset({"query"})})
    flushes = Flushes(encoder_child(tmp_path), plan(privacy=private))
    folded = flushes.flush([event(n) for n in range(5)])

    assert starts(tmp_path) == []
    assert flushes.outcomes == {}
    assert arm(folded).n == 5
    assert b"text 1" not in b"".join(row.blob for row in folded.flush.samples)
    flushes.texts.close()


def test_texts_are_kept_nowhere(tmp_path: Path) -> None:
    body = WELL.replace("vectors(json.loads(line))", 'say({"error": f"KeyError: {line.decode()}"})')
    flushes = Flushes(encoder_child(tmp_path, body)).warm()
    with capture_logs() as logs:
        folded = flushes.flush([event(n, query="my secret text") for n in range(5)])

    (row,) = folded.flush.samples
    assert row.n == 5
    kept = decode_predictions(row.blob)["features"].to_pylist()
    assert kept == ['{"temp":1.0}'] * 5
    assert "secret" not in repr(logs)
    assert "KeyError" in repr(logs)
    flushes.texts.close()


def test_another_encoder_than_the_profiles_is_told_and_takes_nothing_away(tmp_path: Path) -> None:
    wide = VectorLayout.from_reference(np.random.default_rng(1).normal(size=(500, 5)))
    flushes = Flushes(encoder_child(tmp_path), plan(layout=wide)).warm()
    with capture_logs() as logs:
        folded = flushes.flush([event(n) for n in range(5)])

    assert "query" not in arm(folded).counts
    assert flushes.outcomes == {"encoded": 0, "unusable": 5}
    (line,) = logs
    assert "2 coordinates, those of the profile 5" in line["why"]
    flushes.texts.close()


def test_numbers_that_are_not_finite_are_no_missing_text(tmp_path: Path) -> None:
    nan = 'say({"rows": 1, "dimension": 2}, struct.pack("<2f", 0.0, float("nan")))'
    body = WELL.replace("vectors(json.loads(line))", nan)
    flushes = Flushes(encoder_child(tmp_path, body)).warm()

    assert sampled(flushes.flush([event(0)])) is None
    assert flushes.outcomes == {"encoded": 0, "unusable": 1}
    flushes.texts.close()


def test_a_long_text_is_cut_and_not_missing(tmp_path: Path) -> None:
    flushes = Flushes(encoder_child(tmp_path)).warm()
    buffer, partition = read(flushes.plans, [event(0, query="a" * 9_000)])
    encoded = flushes.texts.encode(buffer, flushes.plans)
    folded = fold(buffer, (), flushes.plans, 1.0, encoded)

    expected = LAYOUT.fold([[float(TEXT_MAX), 1.0]])
    assert arm(folded).counts["query"].tolist() == expected.tolist()
    assert Repair.LONG_STRING not in partition.rejected
    flushes.texts.close()


def test_an_encoder_that_the_settings_lost_and_a_stream_that_no_profile_has_are_told() -> None:
    plans = index_plans({"m": plan()})
    buffer, _ = read(plans, [event(0)])
    outcomes: list[tuple[str, str, int]] = []
    with capture_logs() as logs:
        found = Texts({}, lambda *one: outcomes.append(one)).encode(buffer, plans)

    assert (found, outcomes) == ({}, [("sentence", "away", 1)])
    assert "name no such encoder" in logs[0]["why"]
    assert absent_vectors(plans) == ()
    other = EventsSpec(predictions="predictions", encode=(("temp", "sentence"),))
    (told,) = absent_vectors(index_plans({"m": plan(events=other)}))
    assert "driftd data profile --encode temp=ENCODER" in told
