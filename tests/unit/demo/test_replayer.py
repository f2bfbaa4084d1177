"""The replay against a server and a daemon that are played by a few lines of HTTP."""

import json
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pandas as pd
import pytest

from driftd.demo.client import DaemonClient, PredictClient
from driftd.demo.flights import FEATURES
from driftd.demo.options import DAY_S
from driftd.demo.pace import LATENESS_S
from driftd.demo.replayer import Progress, Replayer
from driftd.demo.schedule import Schedule

DAYS = 12
SINCE = 100.0 * DAY_S


@dataclass
class World:
    """What the played daemon, server and recorder saw. The daemon closes what it was ticked."""

    ahead_days: list[float] = field(default_factory=list)
    log: list[tuple[str, float]] = field(default_factory=list)
    ticked: float = SINCE
    rollout_until: float = SINCE
    failing: set[str] = field(default_factory=set)
    unflushed: int = 0
    routed: int = 0
    followed: int = 0
    loading: int = 0
    unfollowed_calls: int = 0

    def predict(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.log.append(("call", body["ts"]))
        self.unfollowed_calls += self.followed < self.routed
        self.ahead_days.append((body["ts"] - self.closed()) / DAY_S)
        if body["subject"] in self.failing:
            return 503, {"error": "away"}
        answer = {"score": 0.25, "prediction": "on_time", "version": "1", "variant": "champion"}
        return 200, {"predictions": [{**answer, "id": name} for name in body["ids"]]}

    def health(self) -> dict[str, Any]:
        self.unflushed = (self.unflushed + 1) % 3
        events = {"sent": 9, "delivered": 9 - self.unflushed, "dropped": 0, "failed": 0}
        # The version of a new routing takes a while to load.
        self.loading = max(0, self.loading - (self.followed < self.routed))
        self.followed = self.routed if self.loading == 0 else self.followed
        return {"shadow_waiting": 0, "events": events, "epoch": self.followed}

    def closed(self) -> float:
        return max(SINCE, math.floor((self.ticked - LATENESS_S) / DAY_S) * DAY_S)

    def pulse(self) -> dict[str, Any]:
        return {
            "closed": self.closed(),
            "busy": False,
            "rollout": self.closed() < self.rollout_until,
            "stage": "watching",
            "epoch": self.routed,
        }

    # The recorder's part.
    def label(self, *, model: str, id: str, label: str, ts: float) -> None:  # noqa: A002
        self.log.append(("label", ts))

    def tick(self, topic: str, ts: float) -> None:
        self.log.append((f"tick {topic}", ts))
        self.ticked = ts

    def flush(self) -> int:
        return 0


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def port(world: World) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(*world.predict(body))

        def do_GET(self) -> None:
            self._answer(200, world.health() if self.path == "/health" else world.pulse())

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            raw = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def _schedule() -> Schedule:
    rows = []
    for quarter in range(DAYS * 4):
        row: dict[str, object] = dict.fromkeys(FEATURES, 1.0)
        row |= {"carrier": "UA", "origin": "JFK", "dest": "LAX", "late": float(quarter % 2)}
        hour = SINCE + quarter * 6 * 3_600
        row |= {"id": str(quarter), "subject": f"JFK-{quarter}", "hour_ts": hour}
        rows.append({**row, "label_ts": hour + 3 * 3_600})
    return Schedule(pd.DataFrame(rows), SINCE, SINCE + DAYS * DAY_S, seed=0)


def _replay(world: World, port: int, days: list[float] | None = None) -> tuple[Replayer, Schedule]:
    schedule = _schedule()
    seen: list[float] = [] if days is None else days
    server = PredictClient(port)
    replayer = Replayer(
        schedule,
        server,
        DaemonClient(port, "m"),
        world,  # type: ignore[arg-type]
        model="m",
        since=SINCE,
        on_status=lambda _status, _progress: None,
        on_day=lambda at: bool(seen.append(at)),  # type: ignore[func-returns-value]
    )
    replayer.run(SINCE + DAYS * DAY_S)
    server.close()
    return replayer, schedule


def test_all_is_asked_answered_and_labelled_once(world: World, port: int) -> None:
    replayer, schedule = _replay(world, port)

    kinds = [kind for kind, _ in world.log]
    assert kinds.count("call") == kinds.count("label") == DAYS * 4
    assert (schedule.scores == 0.25).all()
    assert set(schedule.versions) == {"1"}
    assert isinstance(replayer.progress, Progress)
    assert replayer.progress.failed_requests == 0
    assert replayer.progress.events == DAYS * 8


def test_nothing_comes_for_a_day_that_may_be_closed(world: World, port: int) -> None:
    _replay(world, port)

    ticked = SINCE
    for kind, ts in world.log:
        if kind == "tick labels":
            ticked = ts
        elif kind in {"call", "label"}:
            assert ts >= math.floor((ticked - LATENESS_S) / DAY_S) * DAY_S


def test_the_replay_is_at_most_a_day_ahead_in_a_rollout(world: World, port: int) -> None:
    world.rollout_until = SINCE + 6 * DAY_S
    _replay(world, port)

    first_half = world.ahead_days[: 6 * 4]
    assert max(first_half) < 1.0
    assert max(world.ahead_days) < 2.0


def test_it_stands_still_until_the_server_follows_a_routing(world: World, port: int) -> None:
    world.routed, world.loading = 1, 10
    _replay(world, port)

    assert world.followed == 1
    assert world.unfollowed_calls == 0


def test_each_stride_is_announced_before_its_first_call(world: World, port: int) -> None:
    days: list[float] = []
    _replay(world, port, days)

    assert days == [SINCE + number * DAY_S for number in range(0, DAYS, 2)]


def test_a_failed_request_is_counted_and_not_sent_again(world: World, port: int) -> None:
    world.failing = {"JFK-5"}
    replayer, schedule = _replay(world, port)

    assert replayer.progress.failed_requests == 1
    assert len([kind for kind, _ in world.log if kind == "call"]) == DAYS * 4
    assert math.isnan(schedule.scores[5])


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"ts": SINCE, "subject": "JFK-1", "ids": ["1"]}).encode()
    server = PredictClient(port)

    def connections(requests: int) -> int:
        for _ in range(requests):
            assert server.predict(body) is not None
        return len(server._opened)

    assert connections(3) == 1
    monkeypatch.setattr("driftd.demo.client.IDLE_MAX_S", -1.0)
    assert connections(1) == 2
    server.close()


def test_a_server_that_is_gone_is_a_failed_request() -> None:
    assert PredictClient(1).predict(b"{}") is None
    assert DaemonClient(1, "m").pulse() is None
    assert not PredictClient(1).is_flushed()
