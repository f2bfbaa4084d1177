"""What a router promises, over each kind and the real thing that it talks to."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition

from agents.commands import Route, Routing, Shadow
from driftd.demo.broker import start_broker
from driftd.errors import MistakeError, RefusedError, UnreachableError
from driftd.routers.catalog import ROUTERS, build_routers
from driftd.routers.contract import Router
from driftd.routers.driftd_traffic import DriftdTraffic
from driftd.routers.webhook import ATTEMPTS_MAX, Webhook
from driftd.settings import Settings


def routing(epoch: int, model: str = "churn") -> Routing:
    return Routing(
        model=model,
        epoch=epoch,
        routes=(
            Route(version="1", variant="champion", weight=0.9),
            Route(version="2", variant="challenger", weight=0.1),
        ),
        shadows=(Shadow(version="2", share=1.0),),
        loaded=("1", "2"),
        barred=("0",),
    )


class Gateway(ThreadingHTTPServer):
    """Remembers what is posted; answers the `statuses` in turn, then 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posted: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/traffic"


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append(json.loads(body))
        self.server.headers.append(dict(self.headers))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.send_response(status)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"said")

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    broker = start_broker({"driftd.traffic": 3}, tmp_path_factory.mktemp("broker"))
    yield broker.bootstrap
    broker.stop()


def on_topic(bootstrap: str) -> list[tuple[str, dict[str, Any]]]:
    """(key, value) of every record."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "look", "log_level": 0})
    whole = [TopicPartition("driftd.traffic", p, 0) for p in range(3)]
    ends = sum(consumer.get_watermark_offsets(p, timeout=10)[1] for p in whole)
    consumer.assign(whole)
    found: list[tuple[str, dict[str, Any]]] = []
    while len(found) < ends:
        found += [
            ((message.key() or b"").decode(), json.loads(message.value() or b""))
            for message in consumer.consume(ends, timeout=10)
        ]
    consumer.close()
    return found


@contextmanager
def nobody() -> Iterator[int]:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(params=sorted(ROUTERS))
def world(
    request: pytest.FixtureRequest, gateway: Gateway, bootstrap: str
) -> Iterator[tuple[Router, Callable[[], list[dict[str, Any]]]]]:
    """A router of each kind, and what its other side has got of its own model."""
    kinds: dict[str, tuple[Router, Callable[[], list[dict[str, Any]]]]] = {
        "driftd": (
            DriftdTraffic({"bootstrap.servers": bootstrap}, "driftd.traffic"),
            lambda: [value for _, value in on_topic(bootstrap)],
        ),
        "webhook": (Webhook(gateway.url), lambda: gateway.posted),
    }
    router, got = kinds[request.param]
    yield router, got
    for one, _ in kinds.values():
        one.close()


def test_when_apply_returns_the_whole_routing_has_arrived(
    world: tuple[Router, Callable[[], list[dict[str, Any]]]],
) -> None:
    router, got = world
    asked = routing(3, "whole")

    router.apply(asked)

    (found,) = [one for one in got() if one["model"] == "whole"]
    assert msgspec.convert(found, Routing) == asked


def test_republishing_tells_all_again(
    world: tuple[Router, Callable[[], list[dict[str, Any]]]],
) -> None:
    router, got = world

    router.republish([routing(1, "one"), routing(7, "two")])
    router.republish([routing(1, "one"), routing(7, "two")])

    told = sorted((m["model"], m["epoch"]) for m in got() if m["model"] in {"one", "two"})
    assert told == [("one", 1), ("one", 1), ("two", 7), ("two", 7)]


@pytest.mark.parametrize("kind", sorted(ROUTERS))
def test_when_nobody_is_there_it_says_so_in_bounded_time(kind: str) -> None:
    with nobody() as port:
        kinds: dict[str, Router] = {
            "driftd": DriftdTraffic(
                {"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}, "traffic", 0.5
            ),
            "webhook": Webhook(f"http://127.0.0.1:{port}/", 0.5),
        }
        router = kinds[kind]
        with pytest.raises(UnreachableError):
            router.apply(routing(1))
        for one in kinds.values():
            one.close()


def test_the_topic_is_keyed_by_model(bootstrap: str) -> None:
    router = DriftdTraffic({"bootstrap.servers": bootstrap}, "driftd.traffic")
    router.apply(routing(1, "keyed"))
    router.close()

    assert [key for key, value in on_topic(bootstrap) if value["model"] == "keyed"] == ["keyed"]


def test_a_webhook_comes_again_while_the_other_side_is_busy(gateway: Gateway) -> None:
    gateway.statuses = [503, 429]
    router = Webhook(gateway.url, headers={"Authorization": "Bearer x"})

    router.apply(routing(4))
    router.close()

    assert len(gateway.posted) == 3
    assert {head["Idempotency-Key"] for head in gateway.headers} == {"churn/4"}
    assert {head["Authorization"] for head in gateway.headers} == {"Bearer x"}


def test_a_webhook_gives_up_after_so_many_times(gateway: Gateway) -> None:
    gateway.statuses = [503] * 10
    router = Webhook(gateway.url)

    with pytest.raises(UnreachableError, match="answered 503: said"):
        router.apply(routing(4))
    router.close()

    assert len(gateway.posted) == ATTEMPTS_MAX


def test_a_refusal_is_not_repeated(gateway: Gateway) -> None:
    gateway.statuses = [422]
    router = Webhook(gateway.url)

    with pytest.raises(RefusedError, match="answered 422: said"):
        router.apply(routing(4))
    router.close()

    assert len(gateway.posted) == 1


def test_the_shelf_builds_what_the_settings_name(
    bootstrap: str, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "secret")
    webhook = {"kind": "webhook", "url": gateway.url, "token_env": "GATEWAY_TOKEN"}
    settings = Settings.model_validate(
        {
            "kafka": {"bootstrap": bootstrap},
            "routers": {"ours": {"kind": "driftd"}, "theirs": webhook},
        }
    )

    routers = build_routers(settings)
    for router in routers.values():
        router.apply(routing(2, "built"))
        router.close()

    assert list(routers) == ["ours", "theirs"]
    assert gateway.headers[0]["Authorization"] == "Bearer secret"
    assert [value["epoch"] for _, value in on_topic(bootstrap) if value["model"] == "built"] == [2]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": "istio"}, "routers.a.kind: no kind 'istio'; there is driftd, webhook"),
        ({"kind": "webhook"}, "routers.a.url: is missing"),
        (
            {"kind": "webhook", "url": "http://x", "token_env": "NOT_THERE"},
            "routers.a.token_env: the variable NOT_THERE is not set",
        ),
    ],
)
def test_a_mistake_in_the_settings_is_told_with_its_place(
    section: dict[str, str], message: str
) -> None:
    with pytest.raises(MistakeError, match=message):
        build_routers(Settings.model_validate({"routers": {"a": section}}))
