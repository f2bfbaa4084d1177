"""The Alertmanager client against HTTP servers on loopback: what it posts, and to whom."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agents.alerter import Alert
from driftd.clients.alertmanager import AlertmanagerClient, Delivery
from driftd.errors import RefusedError, UnreachableError

ALERT = Alert(
    labels={
        "alertname": "DriftdDataFault",
        "model": "flight-delay",
        "kind": "data_fault",
        "severity": "warning",
        "owner": "ml-delays",
    },
    annotations={"summary": "the clock runs in UTC", "incident_id": "a1b2c3d4e5f60718"},
    starts_at=1_700_000_000.25,
    ends_at=1_700_000_900.0,
    link="http://127.0.0.1:8321/report/flight-delay",
)
BODY = [
    {
        "labels": ALERT.labels,
        "annotations": ALERT.annotations,
        "startsAt": "2023-11-14T22:13:20.250Z",
        "endsAt": "2023-11-14T22:28:20.000Z",
        "generatorURL": "http://127.0.0.1:8321/report/flight-delay",
    }
]


@dataclass
class Server:
    """A server that answers as it is told and keeps what it got."""

    status: int = 200
    text: str = ""
    delay_s: float = 0.0
    url: str = ""
    got: list[tuple[str, str, Any]] = field(default_factory=list)


@contextmanager
def serve(server: Server) -> Iterator[Server]:
    """Listen on a free port of loopback."""
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.got.append((self.path, self.headers["Content-Type"], json.loads(body)))
            release.wait(server.delay_s)
            self.send_response(server.status)
            self.send_header("Content-Length", str(len(server.text)))
            self.end_headers()
            self.wfile.write(server.text.encode())

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    try:
        yield server
    finally:
        release.set()
        http.shutdown()
        thread.join()
        http.server_close()


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the test."""
    with ExitStack() as stack:
        yield lambda **how: stack.enter_context(serve(Server(**how)))


@pytest.fixture
def nobody() -> str:
    """The URL of a port on which nobody listens any more."""
    with serve(Server()) as server:
        return server.url


def send(*urls: str, alerts: tuple[Alert, ...] = (ALERT,), timeout_s: float = 5.0) -> Delivery:
    """Post to all, as the daemon does."""

    async def post() -> Delivery:
        async with AlertmanagerClient(urls, timeout_s=timeout_s) as client:
            return await client.send(alerts)

    return asyncio.run(post())


def test_posts_exactly_this_to_every_alertmanager(start: Callable[..., Server]) -> None:
    first, second = start(), start()

    assert send(first.url, second.url + "/am/") == Delivery(taken=2)
    assert first.got == [("/api/v2/alerts", "application/json", BODY)]
    assert second.got == [("/am/api/v2/alerts", "application/json", BODY)]


def test_an_alert_without_a_link_has_no_generator(start: Callable[..., Server]) -> None:
    server = start()
    plain = Alert(labels=ALERT.labels, annotations={}, starts_at=0.0, ends_at=60.0)
    send(server.url, alerts=(plain, ALERT))

    assert [sorted(alert) for alert in server.got[0][2]] == [
        ["annotations", "endsAt", "labels", "startsAt"],
        ["annotations", "endsAt", "generatorURL", "labels", "startsAt"],
    ]


def test_nothing_due_posts_nothing(start: Callable[..., Server]) -> None:
    server = start()

    assert send(server.url, alerts=()) == Delivery(taken=0)
    assert server.got == []


def test_one_that_fails_does_not_stop_the_others(start: Callable[..., Server], nobody: str) -> None:
    refusing, well = start(status=400, text="bad label"), start()
    delivery = send(nobody, refusing.url, well.url)

    assert len(well.got) == 1
    assert delivery.taken == 1
    assert [(f.url, type(f.error)) for f in delivery.failures] == [
        (f"{nobody}/api/v2/alerts", UnreachableError),
        (f"{refusing.url}/api/v2/alerts", RefusedError),
    ]
    assert str(delivery.failures[1].error) == "HTTP 400 bad label"


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, RefusedError), (404, RefusedError), (429, UnreachableError), (503, UnreachableError)],
)
def test_an_answer_says_whether_to_try_again(
    start: Callable[..., Server], status: int, error: type[Exception]
) -> None:
    server = start(status=status, text="why")

    with pytest.raises(error, match=f"HTTP {status} why"):
        send(server.url)


def test_one_that_may_take_it_later_makes_all_of_it_worth_another_try(
    start: Callable[..., Server], nobody: str
) -> None:
    with pytest.raises(UnreachableError, match="HTTP 400"):
        send(start(status=400).url, nobody)


def test_one_that_hangs_is_given_up_and_holds_up_nobody(start: Callable[..., Server]) -> None:
    hanging, well = start(delay_s=60.0), start()
    delivery = send(hanging.url, well.url, timeout_s=0.3)

    assert delivery.taken == 1
    assert "0.3 s" in str(delivery.failures[0].error)


def test_credentials_in_a_url_are_used_and_never_told(start: Callable[..., Server]) -> None:
    server = start(status=503)
    url = server.url.replace("http://", "http://driftd:secret@")

    with pytest.raises(UnreachableError) as raised:
        send(url)
    assert "secret" not in str(raised.value)
    assert server.url in str(raised.value)
