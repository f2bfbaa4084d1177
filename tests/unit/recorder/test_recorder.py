"""The producers' library: what it sends, what it counts, and that it never stands in the way."""

import math
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest
from confluent_kafka import KafkaException
from driftd_recorder.events import Label, Prediction, encode
from driftd_recorder.recorder import Recorder, new_id

NOBODY = "127.0.0.1:1"
T = 1_357_034_400.0


@pytest.fixture
def recorder() -> Any:
    made = Recorder(NOBODY, queue_events_max=5)
    yield made
    made.close(0)


def test_an_event_holds_only_what_is_known() -> None:
    event = Prediction(v=1, id="a", model="m", version="3", variant="champion", ts=T, score=0.5)

    assert msgspec.json.decode(encode(event)) == {
        "v": 1,
        "id": "a",
        "model": "m",
        "version": "3",
        "variant": "champion",
        "ts": T,
        "score": 0.5,
    }


@dataclass
class _Case:
    value: Any
    written: Any
    name: str = field(default="")


@pytest.mark.parametrize(
    "case",
    [
        _Case(math.nan, None, "nan"),
        _Case(-math.inf, None, "infinity"),
        _Case(np.float32(0.5), 0.5, "float32"),
        _Case(np.int64(3), 3, "int64"),
        _Case(np.bool_(True), True, "numpy bool"),
        _Case(np.float64("nan"), None, "numpy nan"),
    ],
    ids=lambda case: case.name,
)
def test_numbers_of_all_kinds_are_written_as_json(case: _Case) -> None:
    written = msgspec.json.decode(encode(Label(v=1, id="a", model="m", label=case.value, ts=T)))

    assert written["label"] == case.written


def test_ids_sort_by_time_and_differ() -> None:
    ids = [new_id(T + second) for second in range(5)]

    assert sorted(ids) == ids
    assert new_id(T) != new_id(T)
    assert len(new_id(math.nan)) == len(new_id(-5.0)) == 32


def test_a_full_queue_drops_the_newest_and_counts_it(recorder: Recorder) -> None:
    for number in range(12):
        recorder.label(model="m", id=str(number), label="late", ts=T)

    counts = recorder.counts()
    assert (counts.sent, counts.dropped, counts.delivered) == (12, 7, 0)


def test_what_cannot_be_written_is_counted_and_never_raised(recorder: Recorder) -> None:
    name = recorder.prediction(model="m", version="1", features={"x": object()})  # type: ignore[dict-item]

    assert name
    assert (recorder.counts().sent, recorder.counts().failed) == (1, 1)


def test_an_event_above_the_message_limit_is_counted_as_failed(recorder: Recorder) -> None:
    recorder.label(model="m", id="a", label="x" * 2_000_000, ts=T)

    assert recorder.counts().failed == 1


def test_a_tick_without_a_broker_is_counted_as_failed() -> None:
    quick = Recorder(NOBODY)
    quick._partition_counts["known"] = 3
    quick.tick("known", T)

    assert quick.counts().sent == 3
    assert quick.close(0) == 3


def test_events_after_the_end_are_dropped(recorder: Recorder) -> None:
    recorder.close(0)
    recorder.label(model="m", id="a", label="late", ts=T)

    assert recorder.counts().dropped == 1
    assert recorder.close(0) == 0


def test_a_wrong_setting_is_told_at_the_start() -> None:
    with pytest.raises(KafkaException):
        Recorder(NOBODY, extra={"no.such.setting": 1})
