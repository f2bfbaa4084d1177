"""The embedded broker, and the recorder against it: counts are checked from outside."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from driftd_recorder.recorder import Recorder

from driftd.demo.broker import BrokerError, EmbeddedBroker, start_broker

T = 1_357_034_400.0
_FORK = """
import os, sys
from driftd_recorder.recorder import Recorder
recorder = Recorder(sys.argv[1])
recorder.label(model="m", id="parent", label="late", ts=1.0)
child = os.fork()
recorder.label(model="m", id=f"after-{child == 0}", label="late", ts=1.0)
left = recorder.close(10.0)
if child:
    _, status = os.waitpid(child, 0)
    sys.exit(left or os.waitstatus_to_exitcode(status) or recorder.counts().delivered != 2)
sys.exit(left or recorder.counts().delivered != 1)
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    running = start_broker({"predictions": 4, "labels": 3, "large": 1}, tmp_path)
    yield running
    running.stop()


def _values(broker: EmbeddedBroker, topic: str, partitions: int) -> list[list[bytes]]:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "outside"})
    held: list[list[bytes]] = []
    for number in range(partitions):
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
        consumer.assign([TopicPartition(topic, number, 0)])
        values: list[bytes] = []
        while len(values) < end:
            message = consumer.poll(10)
            assert message is not None
            assert message.error() is None
            values.append(message.value())
        held.append(values)
    consumer.close()
    return held


def test_every_event_that_was_delivered_is_in_its_topic(broker: EmbeddedBroker) -> None:
    recorder = Recorder(broker.bootstrap)
    for number in range(2_000):
        recorder.prediction(model="m", version="1", ts=T, score=0.5, id=str(number))
    recorder.label(model="m", id="7", label="late", ts=T)
    assert recorder.close() == 0

    held = _values(broker, "predictions", 4)
    ids = {msgspec.json.decode(value)["id"] for values in held for value in values}
    assert recorder.counts().delivered == 2_001
    assert ids == {str(number) for number in range(2_000)}
    assert min(len(values) for values in held) > 300, "the id as key spreads the load"
    assert sum(len(values) for values in _values(broker, "labels", 3)) == 1


def test_a_tick_stands_behind_all_earlier_events_of_every_partition(broker: EmbeddedBroker) -> None:
    recorder = Recorder(broker.bootstrap)
    for number in range(100):
        recorder.label(model="m", id=str(number), label="late", ts=T)
    recorder.tick("labels", T + 3_600)
    assert recorder.close() == 0

    for values in _values(broker, "labels", 3):
        ticks = [msgspec.json.decode(value).get("tick") for value in values]
        assert ticks[-1] == T + 3_600
        assert ticks[:-1] == [None] * (len(ticks) - 1)


def test_a_topic_may_carry_records_above_one_megabyte(broker: EmbeddedBroker) -> None:
    recorder = Recorder(broker.bootstrap, labels="large", extra={"message.max.bytes": 8_000_000})
    recorder.label(model="m", id="a", label="x" * 3_000_000, ts=T)

    assert recorder.close() == 0
    assert len(_values(broker, "large", 1)[0][0]) > 3_000_000


def test_a_forked_worker_sends_with_a_producer_of_its_own(broker: EmbeddedBroker) -> None:
    done = subprocess.run([sys.executable, "-c", _FORK, broker.bootstrap], timeout=60, check=False)

    assert done.returncode == 0
    held = [msgspec.json.decode(v)["id"] for part in _values(broker, "labels", 3) for v in part]
    assert sorted(held) == ["after-False", "after-True", "parent"]


def test_the_broker_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from driftd.demo.broker import start_broker\n"
        "broker = start_broker({'a': 1}, Path(sys.argv[1]))\n"
        "print(broker.process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    dead = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, timeout=60, check=False
    )
    pid = int(dead.stdout)

    assert dead.returncode == -9
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the broker outlived its parent"
        time.sleep(0.05)


def test_a_topic_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"broker\.log"):
        start_broker({"a": 0}, tmp_path)
