"""Bad records stop nothing: each has its counter, what cannot be attributed leaves a dead letter."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import pytest

from driftd.clock import wall_now
from driftd.demo.broker import start_broker
from driftd.ingest.reasons import EXPLANATIONS, Refusal
from policies.specs import EventsSpec
from tests.support.ingesting import (
    MODEL,
    at_ends,
    end_offsets,
    ingesting,
    prediction,
    produce,
    settings,
    spec,
    until,
    values_of,
)

TOPICS = {"predictions": 1, "labels": 1, "big": 1}
LIMIT = 64 * 1024
GOOD = 50

# What is wrong with it, the record, its counter (reason of the store), whether it leaves a letter.
BAD: dict[str, tuple[bytes, str, bool]] = {
    "broken JSON": (b'{"model": "flight-delay", "ts": 1', "broken", True),
    "no JSON at all": (b"\x00\x9f\xff", "broken", True),
    "a list": (b"[1, 2]", "not_an_object", True),
    "milliseconds": (json.dumps(prediction(1, ts=1.7e12)).encode(), "milliseconds", True),
    "far future": (json.dumps(prediction(1, ts=wall_now() + 7_300)).encode(), "far_future", True),
    "no time": (json.dumps(prediction(1, ts=None)).encode(), "no_ts", True),
    "no model": (json.dumps(prediction(1, model=None)).encode(), "no_model_or_source", True),
    "wrong format": (json.dumps(prediction(1, v=2)).encode(), "unknown_format_version", True),
    "unknown model": (json.dumps(prediction(1, model="other")).encode(), "no_policy", False),
    "unknown source": (
        json.dumps({"source": "tides", "ts": 1.7e9, "features": {"level": 1.0}}).encode(),
        "no_subscriber",
        False,
    ),
    "label without id": (
        json.dumps({"model": MODEL, "label": "late", "ts": 1.7e9}).encode(),
        "label_without_id",
        False,
    ),
}
# Kept, with what could not be used taken as missing.
REPAIRED: dict[str, tuple[bytes, str]] = {
    "NaN": (
        json.dumps(prediction(2, features={"temp": float("nan")})).encode(),
        "not_finite",
    ),
    "wrong types": (
        json.dumps(prediction(3, features={"temp": {"deep": 1}}, score="high")).encode(),
        "changed_type",
    ),
    "a string beyond all measure": (
        json.dumps(prediction(4, features={"temp": "x" * 5_000})).encode(),
        "long_string",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run over all bad records left behind."""

    rejected: dict[tuple[str, str], int]
    letters: list[dict[str, Any]]
    counted: int
    records: int
    ends: int
    versions: set[str]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    directory = tmp_path_factory.mktemp("records")
    broker = start_broker({**TOPICS, "driftd.dead_letters": 1}, directory / "broker")
    given = settings(broker.bootstrap, directory, record_limit="64KiB")
    policy = spec(events=EventsSpec(predictions="predictions", labels="labels", sources=("big",)))
    bad = [raw for raw, _, _ in BAD.values()] + [raw for raw, _ in REPAIRED.values()]
    # Half of a surrogate pair and NUL: legal in JSON, in no database.
    odd = prediction(5, version="v\x00\ud800", id="i\ud800", features={"temp": "\ud800"})

    async def story() -> Outcome:
        async with ingesting(given, policies=lambda: {MODEL: policy}) as (_, store):
            produce(broker, "predictions", bad)
            produce(broker, "predictions", [json.dumps(odd).encode()])
            produce(broker, "big", [b'"' + b"x" * (2 * 1024 * 1024) + b'"', b'"small"'])
            await until(lambda: at_ends(store, end_offsets(broker, TOPICS)), "bad records")
            # It goes on: what comes after them counts.
            produce(broker, "predictions", (prediction(n) for n in range(10, 10 + GOOD)))
            ends = end_offsets(broker, TOPICS)
            await until(lambda: at_ends(store, ends), "good records")
            expected = sum(letter for _, _, letter in BAD.values()) + 2
            await until(
                lambda: end_offsets(broker, {"driftd.dead_letters": 1}).popitem()[1] == expected,
                "dead letters",
            )
            counts = store.views.counts()
            found = store.control.work(MODEL, (), -1e12, 60.0, None)
            rows = [row for _, row in (*found.partials, *found.late)]
            return Outcome(
                rejected=dict(counts.rejected),
                letters=values_of(broker, "driftd.dead_letters"),
                counted=sum(row.n for row in rows),
                records=sum(counts.records.values()),
                ends=sum(ends.values()),
                versions={row.version for row in rows},
            )

    yield asyncio.run(story())
    broker.stop()


def test_every_record_is_counted_against_the_broker(outcome: Outcome) -> None:
    assert outcome.records == outcome.ends == len(BAD) + len(REPAIRED) + 1 + 2 + GOOD


@pytest.mark.parametrize("what", BAD)
def test_a_bad_record_has_its_counter_and_its_letter(outcome: Outcome, what: str) -> None:
    raw, reason, leaves_letter = BAD[what]

    alike = [name for name, (_, other, _) in BAD.items() if other == reason]
    assert outcome.rejected["predictions", reason] == len(alike)
    mine = [letter for letter in outcome.letters if letter["crc32"] == crc32(raw)]
    assert len(mine) == leaves_letter
    for letter in mine:
        assert letter["reason"] == reason
        assert letter["explanation"] == EXPLANATIONS[Refusal(reason)]
        assert (letter["topic"], letter["length"]) == ("predictions", len(raw))
        assert "value" not in letter, "what does not parse cannot be cleaned of private fields"


@pytest.mark.parametrize("what", REPAIRED)
def test_a_record_with_a_fault_counts_and_its_fault_too(outcome: Outcome, what: str) -> None:
    _, reason = REPAIRED[what]

    assert outcome.rejected["predictions", reason] >= 1


def test_good_and_repaired_events_are_counted_and_no_others(outcome: Outcome) -> None:
    assert outcome.counted == GOOD + len(REPAIRED) + 1
    assert outcome.versions == {"1", "v??"}


def test_an_oversize_record_on_a_topic_of_its_own_is_told_and_passed(outcome: Outcome) -> None:
    assert outcome.rejected["big", "too_large"] == 1
    (letter,) = [one for one in outcome.letters if one["reason"] == "too_large"]
    assert (letter["topic"], letter["offset"], letter["length"]) == ("big", 0, 2 * 1024 * 1024 + 2)
    assert outcome.rejected["big", "not_an_object"] == 1, "the one behind it was read"
