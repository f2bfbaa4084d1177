"""Records in, events out: every kind of bad record has one treatment, and its reason is counted."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from driftd_recorder.events import Features, Label, Prediction, Tick, encode
from hypothesis import given
from hypothesis import strategies as st

from driftd.ingest.decoders import DECODERS, MappedDecoder, decode_chunk
from driftd.ingest.events import Decoded, Event, Limits
from driftd.ingest.reasons import EXPLANATIONS, Refusal, Repair, Skip

T = 1_357_034_400.0
LIMITS = Limits(record_bytes_max=10_000, features_max=3, vector_max=4)
SOUND: dict[str, Any] = {"model": "m", "ts": T, "score": 0.5}


def _decode(*records: Any, decoder: str = "json") -> Decoded:
    values = [r if isinstance(r, bytes | None) else json.dumps(r).encode() for r in records]
    return decode_chunk(values, LIMITS, DECODERS[decoder])


def _only(decoded: Decoded) -> Event:
    assert decoded.rejected == []
    (event,) = decoded.events
    return event


@dataclass(frozen=True)
class _Refused:
    record: Any
    reason: Refusal
    name: str


@pytest.mark.parametrize(
    "case",
    [
        _Refused(None, Refusal.NULL, "null value"),
        _Refused(b"", Refusal.BROKEN, "no bytes"),
        _Refused(b'{"model": "m", "ts"', Refusal.BROKEN, "cut off"),
        _Refused(b'{"model": "\xff", "ts": 1, "score": 1}', Refusal.BROKEN, "not utf-8"),
        _Refused(b"[" * 5_000, Refusal.BROKEN, "deep nesting"),
        _Refused(b'{"ts":' + b"9" * 5_000 + b"}", Refusal.BROKEN, "a number of 5,000 digits"),
        _Refused([SOUND], Refusal.NOT_AN_OBJECT, "a list"),
        _Refused("text", Refusal.NOT_AN_OBJECT, "a text"),
        _Refused(b" " * 10_001, Refusal.TOO_LARGE, "oversize"),
        _Refused({**SOUND, "v": 2}, Refusal.UNKNOWN_FORMAT, "a later format"),
        _Refused({"model": "m", "score": 1}, Refusal.NO_TS, "no time"),
        _Refused({**SOUND, "ts": None}, Refusal.NO_TS, "null time"),
        _Refused({**SOUND, "ts": T * 1_000}, Refusal.MILLISECONDS, "milliseconds"),
        _Refused({**SOUND, "ts": int(T * 1e9)}, Refusal.MILLISECONDS, "nanoseconds"),
        _Refused({**SOUND, "ts": -5}, Refusal.BAD_TS, "a time before 1970"),
        _Refused({**SOUND, "ts": True}, Refusal.BAD_TS, "a boolean time"),
        _Refused({**SOUND, "ts": float("nan")}, Refusal.BAD_TS, "NaN time"),
        _Refused({**SOUND, "ts": "yesterday"}, Refusal.BAD_TS, "a word as time"),
        _Refused({**SOUND, "ts": "2013-01-01T10:00:00"}, Refusal.BAD_TS, "no offset"),
        _Refused({"ts": T, "score": 1}, Refusal.NO_MODEL, "no model"),
        _Refused({**SOUND, "model": ""}, Refusal.NO_MODEL, "an empty model"),
        _Refused({**SOUND, "model": ["m"]}, Refusal.NO_MODEL, "a list as model"),
        _Refused({**SOUND, "model": "m" * 300}, Refusal.NO_MODEL, "a model of 300 letters"),
        _Refused({**SOUND, "variant": "control"}, Refusal.BAD_VARIANT, "an unknown variant"),
        _Refused({"model": "m", "ts": T}, Refusal.EMPTY, "nothing to count"),
        _Refused({"tick": T * 1_000}, Refusal.MILLISECONDS, "a tick in milliseconds"),
    ],
    ids=lambda case: case.name,
)
def test_what_cannot_be_attributed_is_refused_with_its_reason(case: _Refused) -> None:
    decoded = _decode(SOUND, case.record, SOUND)

    assert [(r.index, r.reason) for r in decoded.rejected] == [(1, case.reason)]
    assert decoded.origin == [0, 2]
    assert len(decoded.events) == 2


@dataclass(frozen=True)
class _Repaired:
    record: dict[str, Any]
    field: str
    value: Any
    repair: Repair | None
    name: str


@pytest.mark.parametrize(
    "case",
    [
        _Repaired({"score": float("nan")}, "score", None, Repair.NOT_FINITE, "NaN"),
        _Repaired({"score": 10**400}, "score", None, Repair.NOT_FINITE, "beyond float64"),
        _Repaired({"score": "0.5"}, "score", None, Repair.CHANGED_TYPE, "a text as score"),
        _Repaired({"score": True}, "score", None, Repair.CHANGED_TYPE, "a boolean as score"),
        _Repaired({"prediction": [1]}, "prediction", None, Repair.CHANGED_TYPE, "a list"),
        _Repaired({"label": "x" * 2_000}, "label", None, Repair.LONG_STRING, "a long label"),
        _Repaired({"id": "x" * 300}, "id", None, Repair.LONG_STRING, "a long id"),
        _Repaired({"id": 7}, "id", "7", None, "a number as id"),
        _Repaired({"version": 3}, "version", "3", None, "a number as version"),
        _Repaired({"error": {"code": 5}}, "error", "{'code': 5}", None, "an object as error"),
        _Repaired({"error": False}, "error", None, None, "error: false"),
        _Repaired({"features": [1]}, "features", None, Repair.CHANGED_TYPE, "a feature list"),
        _Repaired(
            {"features": {"a": float("inf"), "b": 1}},
            "features",
            {"a": None, "b": 1.0},
            Repair.NOT_FINITE,
            "an infinite feature",
        ),
        _Repaired(
            {"features": {"a": {"deep": 1}, "b": True}},
            "features",
            {"a": None, "b": True},
            Repair.CHANGED_TYPE,
            "a nested feature",
        ),
        _Repaired(
            {"features": {"a": "x" * 2_000}},
            "features",
            {"a": None},
            Repair.LONG_STRING,
            "a long feature",
        ),
        _Repaired(
            {"features": {"a": 1, "b": 2, "c": 3, "d": 4}},
            "features",
            {"a": 1.0, "b": 2.0, "c": 3.0},
            Repair.TOO_MANY_FEATURES,
            "too many features",
        ),
        _Repaired(
            {"vectors": {"text": [0.1, None], "image": [1, 2.5]}},
            "vectors",
            {"image": [1.0, 2.5]},
            Repair.CHANGED_TYPE,
            "a vector with a hole",
        ),
        _Repaired(
            {"vectors": {"text": [0.1] * 5}}, "vectors", {}, Repair.CHANGED_TYPE, "a long vector"
        ),
        _Repaired(
            {"segment": {"region": 5, "tier": "pro"}},
            "segment",
            {"tier": "pro"},
            Repair.CHANGED_TYPE,
            "a number as segment",
        ),
        _Repaired({"sorce": "x"}, "source", None, Repair.UNKNOWN_FIELD, "a misspelt field"),
    ],
    ids=lambda case: case.name,
)
def test_what_cannot_be_used_is_missing_and_counted(case: _Repaired) -> None:
    decoded = _decode({**SOUND, **case.record})

    assert getattr(_only(decoded), case.field) == case.value
    counted = {k: n for k, n in decoded.repairs.items() if n and k != Repair.SLOW_PATH}
    assert counted == ({case.repair: 1} if case.repair else {})


def test_a_tick_is_nothing_else_on_either_path() -> None:
    record = {**SOUND, "features": {"a": 1}, "tick": T}

    assert _only(_decode(record)) == _only(_decode({**record, "score": float("nan")}))


def test_vectors_take_the_quick_path_unless_one_is_too_long() -> None:
    short = _decode({**SOUND, "vectors": {"text": [0.5, 2, -1e300]}})
    long = _decode({**SOUND, "vectors": {"text": [0.5] * 5, "image": [1.0]}})

    assert _only(short).vectors == {"text": [0.5, 2.0, -1e300]}
    assert short.repairs[Repair.SLOW_PATH] == 0
    assert _only(long).vectors == {"image": [1.0]}
    assert long.repairs[Repair.CHANGED_TYPE] == 1


def test_a_sound_event_takes_the_quick_path() -> None:
    decoded = _decode({**SOUND, "features": {"a": 3, "b": "JFK", "c": None}, "error": None})

    assert _only(decoded).features == {"a": 3.0, "b": "JFK", "c": None}
    assert decoded.repairs[Repair.SLOW_PATH] == 0


def test_the_slow_path_is_counted_a_record() -> None:
    decoded = _decode(SOUND, {**SOUND, "score": float("nan")}, {**SOUND, "id": 7})

    assert decoded.repairs[Repair.SLOW_PATH] == 2


@pytest.mark.parametrize(
    "text", ["2013-01-01T10:00:00Z", "2013-01-01T05:00:00-05:00", "2013-01-01 10:00:00.000+00:00"]
)
def test_rfc_3339_with_an_offset_is_a_time(text: str) -> None:
    assert _only(_decode({**SOUND, "ts": text})).ts == T


def test_a_tick_needs_nothing_else() -> None:
    assert _only(_decode({"v": 1, "tick": T})).tick == T


@pytest.mark.parametrize(
    "sent",
    [
        Prediction(
            v=1,
            id="a",
            model="m",
            version="3",
            variant="shadow",
            ts=T,
            features={"temp": 39.0, "carrier": "UA", "visib": None},
            vectors={"text": [0.5, 1.5]},
            score=0.81,
            prediction="late",
            latency_ms=12.5,
            error="timeout",
            subject="user-42",
            segment={"region": "eu"},
            shadow_of="b",
        ),
        Label(v=1, id="a", model="m", label="late", ts=T),
        Features(v=1, source="weather", ts=T, features={"temp": 39.0}),
        Tick(v=1, tick=T),
    ],
    ids=lambda sent: type(sent).__name__,
)
def test_what_the_recorder_writes_is_read_back_whole(sent: Any) -> None:
    decoded = decode_chunk([encode(sent)], Limits())

    assert msgspec.to_builtins(_only(decoded)) == {
        key: value for key, value in msgspec.to_builtins(sent).items() if key != "v"
    }


def test_cloudevents_lend_their_id_and_time() -> None:
    record = {
        "specversion": "1.0",
        "type": "org.kubeflow.serving.inference.response",
        "id": "a",
        "time": "2013-01-01T10:00:00Z",
        "data": {"model": "m", "score": 0.5},
    }
    event = _only(_decode(record, decoder="cloudevents"))

    assert (event.id, event.ts, event.score) == ("a", T, 0.5)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"specversion": "1.0", "data": "text"}, Refusal.EMPTY),
        ([1], Refusal.NOT_AN_OBJECT),
        (b"{", Refusal.BROKEN),
    ],
)
def test_cloudevents_without_an_event_are_refused(record: Any, reason: Refusal) -> None:
    assert [r.reason for r in _decode(record, decoder="cloudevents").rejected] == [reason]


def test_foreign_fields_are_moved_to_their_places() -> None:
    decoder = MappedDecoder({"request.uuid": "id", "when": "ts", "inputs": "features"})
    record = {
        "request": {"uuid": "a"},
        "when": T,
        "inputs": {"age": 4},
        "model": "m",
        "other": 1,
    }
    event = _only(decode_chunk([json.dumps(record).encode()], LIMITS, decoder))

    assert (event.id, event.ts, event.features) == ("a", T, {"age": 4.0})


def test_a_foreign_field_that_is_not_there_changes_nothing() -> None:
    decoder = MappedDecoder({"request.uuid": "id", "score.value": "score"})

    assert _only(decode_chunk([json.dumps(SOUND).encode()], LIMITS, decoder)).score == 0.5


_leaf = st.sampled_from(
    [None, True, 0, -1, 1, 2**70, 0.5, float("nan"), float("inf"), "", "a", "champion", "x" * 300]
)
_json = _leaf | st.lists(_leaf, max_size=2) | st.dictionaries(st.sampled_from("ab"), _leaf)
_records = st.dictionaries(st.sampled_from(Event.__struct_fields__), _json, max_size=4).map(
    lambda d: json.dumps({**SOUND, **d}).encode()
) | st.binary(max_size=20)


@given(st.lists(_records, max_size=5), st.sampled_from(sorted(DECODERS)))
def test_no_record_raises_and_each_is_accounted_for(values: list[bytes], decoder: str) -> None:
    decoded = decode_chunk(values, LIMITS, DECODERS[decoder])

    indices = sorted(decoded.origin + [rejected.index for rejected in decoded.rejected])
    assert indices == list(range(len(values)))


@given(_records)
def test_both_paths_agree_on_what_the_quick_one_takes(value: bytes) -> None:
    quick = decode_chunk([value], LIMITS)
    slow = decode_chunk([value], LIMITS, MappedDecoder({}))

    if quick.events and not quick.repairs[Repair.SLOW_PATH]:
        assert slow.events == quick.events


def test_every_reason_has_a_sentence_for_people() -> None:
    assert set(EXPLANATIONS) == {*Refusal, *Skip, *Repair}
