"""Sends events to Kafka in the background: it never blocks a request and never raises into one."""

import atexit
import ctypes
import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from driftd_recorder.events import AnyEvent, Features, Label, Prediction, Tick, Value, encode

_log = logging.getLogger("driftd_recorder")
_POLL_S = 0.1
_METADATA_TIMEOUT_S = 5.0
_EXIT_FLUSH_S = 3.0
_COMPLAIN_EVERY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What became of the events so far. ``sent`` were handed over; each of them is by now
    ``delivered``, ``dropped`` (the queue was full), ``failed`` (it could not be written, or the
    broker refused it or was away for too long), or still on its way."""

    sent: int
    delivered: int
    dropped: int
    failed: int


class Recorder:
    """One producer a process. Every method may be called from any thread and returns at once; a
    full queue drops the newest event, and ``counts()`` tells. After a fork the child gets a
    producer of its own.

    ``extra`` holds further librdkafka settings, e.g. for TLS and SASL; a wrong one raises
    ``KafkaException`` here, at the start, and nowhere else.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        predictions: str = "predictions",
        labels: str = "labels",
        features: str = "features",
        queue_events_max: int = 100_000,
        linger_ms: float = 20,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self._predictions, self._labels, self._features = predictions, labels, features
        self._config: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "client.id": "driftd-recorder",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": linger_ms,
            "queue.buffering.max.messages": queue_events_max,
            # A broker that is away would flood the service's standard error; `error_cb` tells it
            # once a minute through `logging` instead.
            "log_level": 2,
            "error_cb": self._complain,
            **(extra or {}),
        }
        self._lock = threading.Lock()
        self._start()
        atexit.register(self.close, _EXIT_FLUSH_S)
        os.register_at_fork(after_in_child=partial(_tell_fork, weakref.ref(self)))

    def prediction(
        self,
        *,
        model: str,
        version: str,
        variant: str = "champion",
        ts: float | None = None,
        features: Mapping[str, Value] | None = None,
        vectors: Mapping[str, Any] | None = None,
        score: float | None = None,
        prediction: Value = None,
        latency_ms: float | None = None,
        error: str | None = None,
        subject: str | None = None,
        segment: Mapping[str, str] | None = None,
        shadow_of: str | None = None,
        id: str | None = None,  # noqa: A002 - the event's own word
    ) -> str:
        """Send one answer and return its id: the caller's, or a new one in order of time.

        ``ts`` is seconds since 1970, now where it is left out.
        """
        at = _now() if ts is None else ts
        name = new_id(at) if id is None else id
        event = Prediction(
            v=1,
            id=name,
            model=model,
            version=version,
            variant=variant,
            ts=at,
            features=features,
            vectors=vectors,
            score=score,
            prediction=prediction,
            latency_ms=latency_ms,
            error=error,
            subject=subject,
            segment=segment,
            shadow_of=shadow_of,
        )
        self._send(self._predictions, event, key=name)
        return name

    def label(self, *, model: str, id: str, label: Value, ts: float | None = None) -> None:  # noqa: A002
        """Send what turned out to be true of the prediction ``id``."""
        at = _now() if ts is None else ts
        self._send(self._labels, Label(v=1, id=id, model=model, label=label, ts=at), key=id)

    def features(
        self, *, source: str, features: Mapping[str, Value], ts: float | None = None
    ) -> None:
        """Send one reading of a source, e.g. the weather of an hour."""
        at = _now() if ts is None else ts
        self._send(self._features, Features(v=1, source=source, ts=at, features=features))

    def tick(self, topic: str, ts: float) -> None:
        """Say in every partition of ``topic`` that event time has reached ``ts``; for replays.

        The first call for a topic asks the broker for its partitions and may take 5 s: not for a
        request's path.
        """
        event = Tick(v=1, tick=ts)
        for partition in range(self._partitions(topic)):
            self._send(topic, event, partition=partition)

    def counts(self) -> Counts:
        """What became of the events so far."""
        with self._lock:
            return Counts(
                sent=self._sent,
                delivered=self._delivered,
                dropped=self._dropped,
                failed=self._failed,
            )

    def flush(self, timeout_s: float = 10.0) -> int:
        """Wait until all is delivered or failed, at most ``timeout_s``; how many are still on their
        way."""
        return int(self._producer.flush(timeout_s))

    def close(self, timeout_s: float = 10.0) -> int:
        """Flush and stop; later events are dropped. How many were given up. Safe to call twice."""
        if self._closed.is_set():
            return 0
        self._closed.set()
        atexit.unregister(self.close)
        return self.flush(timeout_s)

    def _start(self) -> None:
        self._sent = self._delivered = self._dropped = self._failed = 0
        self._complained = -_COMPLAIN_EVERY_S
        self._partition_counts: dict[str, int] = {}
        self._forked = False
        self._producer = Producer(self._config)
        self._closed = threading.Event()
        threading.Thread(target=self._serve, name="driftd-recorder", daemon=True).start()

    def _serve(self) -> None:
        # Delivery reports are handed out only by poll; a service that falls silent still wants
        # its counts right.
        producer, closed = self._producer, self._closed
        while not closed.is_set():
            producer.poll(_POLL_S)

    def _send(
        self, topic: str, event: AnyEvent, *, key: str | None = None, partition: int = -1
    ) -> None:
        if self._forked:
            self._start_in_child()
        with self._lock:
            self._sent += 1
        try:
            value = encode(event)
            if self._closed.is_set():
                self._lose("dropped", "the recorder is closed")
                return
            self._producer.produce(
                topic, value, key=key, partition=partition, on_delivery=self._delivery
            )
        except BufferError:
            self._lose("dropped", "the queue is full: is the broker away?")
        except (KafkaException, TypeError, ValueError, OverflowError, RecursionError) as error:
            self._lose("failed", str(error))

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._forked = True
        # librdkafka's threads stay behind in the parent, and destroying the copied handle would
        # wait for them for ever: one reference that nobody gives back keeps it.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))

    def _start_in_child(self) -> None:
        with self._lock:
            if self._forked:
                self._start()

    def _delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            with self._lock:
                self._delivered += 1
        else:
            self._lose("failed", f"{message.topic()}: {error}")

    def _lose(self, how: str, why: str) -> None:
        with self._lock:
            if how == "dropped":
                self._dropped += 1
            else:
                self._failed += 1
        self._complain(f"event {how}: {why}")

    def _complain(self, why: object) -> None:
        now = time.monotonic()
        with self._lock:
            silent = now - self._complained < _COMPLAIN_EVERY_S
            if not silent:
                self._complained = now
        if not silent:
            _log.warning("%s (told once a minute; counts() has the numbers)", why)

    def _partitions(self, topic: str) -> int:
        if topic not in self._partition_counts:
            try:
                listed = self._producer.list_topics(topic, timeout=_METADATA_TIMEOUT_S)
            except KafkaException as error:
                self._lose("failed", f"{topic}: {error}")
                return 0
            self._partition_counts[topic] = len(listed.topics[topic].partitions)
        return self._partition_counts[topic]


def new_id(ts: float) -> str:
    """32 hex characters that sort by ``ts``: 48 bits of milliseconds, then 80 random ones."""
    milliseconds = min(max(int(ts * 1000), 0), 2**48 - 1) if ts == ts else 0  # noqa: PLR0124 - NaN
    return f"{milliseconds:012x}{secrets.token_hex(10)}"


def _tell_fork(recorder: "weakref.ref[Recorder]") -> None:
    alive = recorder()
    if alive is not None:
        alive._after_fork()  # noqa: SLF001 - its own module


def _now() -> float:
    return time.time()  # noqa: TID251 - the producers' library has no other clock
