"""A Kafka broker for a first try: librdkafka's mock cluster, through ctypes, in its own process.

    python -m driftd.demo.broker --topics predictions:16,labels:16 --ready FILE

It ends on SIGTERM or when its standard input is closed, so it outlives a killed daemon and never its
parent. It keeps 5 MB a partition, knows no TLS and serves consumer groups of one member.
"""

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from driftd.errors import DriftdError

RETENTION_BYTES = 5 * 1024 * 1024
"""What the mock cluster keeps of a partition; older batches are dropped."""
_PRODUCER = 0
_LIBRARIES = (
    "confluent_kafka.libs/librdkafka-*.so*",
    "confluent_kafka/.dylibs/librdkafka*.dylib",
    "confluent_kafka.libs/librdkafka*.dll",
)


class BrokerError(DriftdError):
    """The embedded broker did not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedBroker:
    """A running broker; ``bootstrap`` is its host:port."""

    bootstrap: str
    process: subprocess.Popen[bytes]

    def stop(self, timeout_s: float = 5.0) -> None:
        """End it; what it held is gone. Safe to call twice."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_broker(
    topics: Mapping[str, int], directory: Path, timeout_s: float = 15.0
) -> EmbeddedBroker:
    """Start a broker with ``topics`` (name -> partitions) and wait until it answers.

    Raises ``BrokerError`` when it does not within ``timeout_s``; its log stands in ``directory``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    ready, log = directory / "broker.ready", directory / "broker.log"
    ready.unlink(missing_ok=True)
    listed = ",".join(f"{name}:{count}" for name, count in topics.items())
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, "--topics", listed, "--ready", str(ready)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=output,
            # A Ctrl-C in the terminal must not take the broker from under the rest.
            start_new_session=True,
        )
    deadline = time.monotonic() + timeout_s
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            EmbeddedBroker(bootstrap="", process=process).stop(0)
            raise BrokerError(f"the embedded broker did not start: see {log}")
        time.sleep(0.02)
    return EmbeddedBroker(bootstrap=ready.read_text(), process=process)


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or the end of standard input."""
    parser = argparse.ArgumentParser(description="librdkafka's mock cluster as a broker")
    parser.add_argument("--topics", required=True, help="name:partitions,name:partitions")
    parser.add_argument("--ready", type=Path, required=True, help="where to write host:port")
    options = parser.parse_args(arguments)
    cluster = _Cluster(_library())
    for listed in filter(None, options.topics.split(",")):
        name, _, partitions = listed.rpartition(":")
        cluster.create_topic(name, int(partitions))
    partial = options.ready.with_suffix(".partial")
    partial.write_text(cluster.bootstrap)
    partial.replace(options.ready)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while sys.stdin.buffer.read(4096):
        pass
    return 0


class _Cluster:
    """The few calls of ``rdkafka_mock.h`` that a single broker needs."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = _declared(library)
        error = ctypes.create_string_buffer(512)
        handle = library.rd_kafka_new(_PRODUCER, library.rd_kafka_conf_new(), error, 512)
        if not handle:
            raise BrokerError(error.value.decode())
        self._mock = library.rd_kafka_mock_cluster_new(handle, 1)
        # The default waits 3 s for more members; a group has one here.
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._mock, 100)

    @property
    def bootstrap(self) -> str:
        text: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._mock)
        return text.decode()

    def create_topic(self, name: str, partitions: int) -> None:
        # The mock cluster takes a topic without partitions and then serves nobody.
        create = self._library.rd_kafka_mock_topic_create
        code = create(self._mock, name.encode(), partitions, 1) if partitions > 0 else "none"
        if code:
            raise BrokerError(f"topic {name!r} with {partitions} partitions: error {code}")


def _library() -> ctypes.CDLL:
    # Looked up without an import: the client itself is not needed here.
    spec = find_spec("confluent_kafka")
    if spec is None or spec.origin is None:
        raise BrokerError("confluent-kafka is not installed")
    site = Path(spec.origin).parent.parent
    for pattern in _LIBRARIES:
        for found in sorted(site.glob(pattern)):
            return ctypes.CDLL(str(found))
    raise BrokerError("this confluent-kafka has no librdkafka of its own: install its wheel")


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, text, integer = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    library.rd_kafka_conf_new.restype = pointer
    library.rd_kafka_new.restype = pointer
    library.rd_kafka_new.argtypes = [integer, pointer, text, ctypes.c_size_t]
    library.rd_kafka_mock_cluster_new.restype = pointer
    library.rd_kafka_mock_cluster_new.argtypes = [pointer, integer]
    library.rd_kafka_mock_cluster_bootstraps.restype = text
    library.rd_kafka_mock_cluster_bootstraps.argtypes = [pointer]
    library.rd_kafka_mock_topic_create.argtypes = [pointer, text, integer, integer]
    library.rd_kafka_mock_group_initial_rebalance_delay_ms.argtypes = [pointer, ctypes.c_int32]
    return library


if __name__ == "__main__":
    raise SystemExit(main())
