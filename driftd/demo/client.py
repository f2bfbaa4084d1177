"""What the demo asks of the server and of the daemon, over HTTP."""

import http.client
import json
import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from driftd.clock import steady_now

_TIMEOUT_S = 60.0
IDLE_MAX_S = 20.0
"""A connection that was idle for longer is not used again: while the replay stands still for a
training, the server ends it (after 75 s), and a request on it would fail without being answered."""


class Answer(msgspec.Struct):
    """One instance's answer."""

    score: float
    version: str
    variant: str


class _Answers(msgspec.Struct):
    predictions: list[Answer]


_answers = msgspec.json.Decoder(_Answers).decode


class PredictClient:
    """Asks ``/predict`` over kept connections, one a thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._local = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    def predict(self, body: bytes) -> list[Answer] | None:
        """The answers, or None when the request failed; it is never sent twice."""
        try:
            connection = self._connection()
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            raw = response.read()
            return _answers(raw).predictions if response.status == 200 else None
        except (OSError, http.client.HTTPException, msgspec.MsgspecError):
            self._local.connection = None
            return None

    def is_flushed(self) -> bool:
        """Whether every answer so far, live and shadow, is in its topic (or counted as lost)."""
        health = get_json(self._port, "/health")
        if health is None:
            return False
        events = health["events"]
        settled = events["delivered"] + events["dropped"] + events["failed"]
        return bool(health["shadow_waiting"] == 0 and settled >= events["sent"])

    def health(self) -> Mapping[str, Any] | None:
        """The server's own words; None when it does not answer."""
        return get_json(self._port, "/health")

    def close(self) -> None:
        """Close what was kept open."""
        for connection in self._opened:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        idle, self._local.used = steady_now() - getattr(self._local, "used", 0.0), steady_now()
        if connection is None or idle > IDLE_MAX_S:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)
            self._local.connection = connection
            self._opened.append(connection)
        return connection


class DaemonClient:
    """Asks the daemon; while it is down (it may be killed on purpose) there is no answer."""

    def __init__(self, port: int, model: str) -> None:
        self._port = port
        self._model = model

    def status(self, decisions: int = 30) -> dict[str, Any] | None:
        """The model's status, or None when the daemon does not answer."""
        return get_json(self._port, f"/api/models/{self._model}?decisions={decisions}")

    def pulse(self) -> dict[str, Any] | None:
        """How far the control loop is and whether it is busy; cheap enough to be polled."""
        return get_json(self._port, f"/api/models/{self._model}/pulse")

    def ask(self, verb: str, by: str, arguments: Mapping[str, Any], request_id: str) -> bool:
        """Put a wish; a repeated ``request_id`` counts once. Whether it was taken."""
        body = {"by": by, "arguments": arguments, "request_id": request_id}
        raw = json.dumps(body).encode()
        status, _ = _exchange(self._port, "POST", f"/api/models/{self._model}/{verb}", raw)
        return status == http.client.ACCEPTED

    def is_ready(self) -> bool:
        """Whether the daemon takes part."""
        return _exchange(self._port, "GET", "/ready")[0] == http.client.OK


def get_json(port: int, path: str) -> dict[str, Any] | None:
    """The JSON object behind a path of the loopback, or None when nobody answers well."""
    status, raw = _exchange(port, "GET", path)
    if status != http.client.OK:
        return None
    document: dict[str, Any] = msgspec.json.decode(raw)
    return document


def _exchange(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
