"""`driftd model canary --wait`: a pipeline learns whether its version is on live traffic, and why not."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from driftd.cli.main import build
from driftd.errors import RefusedError, UnreachableError

OLD = {"id": 4, "what": "keep champion", "why": "version 1 stays champion: version 7 was refused"}
TAKEN = {"id": 5, "what": "accept challenger", "why": "ci brought version 7, gated elsewhere"}
OTHER = {"id": 6, "what": "keep champion", "why": "version 1 stays champion: version 77 is bad"}
BEGUN = {"id": 7, "what": "canary", "why": "version 7 answers 10% of the requests"}
UNFIT = {
    "id": 7,
    "what": "keep champion",
    "why": "version 1 stays champion: version 7 cannot serve",
}
DECLINED = {"id": 5, "what": "decline", "why": "canary was declined: the policy has no `canary`"}


class Daemon(HTTPServer):
    """A daemon whose journal grows by one line each time somebody has looked."""

    def __init__(self, *lines: dict[str, object]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.known = [OLD]
        self.coming = list(lines)


class Answer(BaseHTTPRequestHandler):
    server: Daemon

    def do_GET(self) -> None:
        self._send(200, list(reversed(self.server.known)))
        self.server.known += self.server.coming[:1]
        del self.server.coming[:1]

    def do_POST(self) -> None:
        self._send(202, {"request_id": "r"})

    def _send(self, status: int, body: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base names it
        return


@pytest.fixture
def daemon(request: pytest.FixtureRequest) -> Iterator[str]:
    with Daemon(*request.param) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _canary(api: str, wait: str) -> str:
    words = ["model", "canary", "m", "--version", "7", "--wait", wait, "--api", api, "--by", "ci"]
    return CliRunner().invoke(build(), words, catch_exceptions=False).output


@pytest.mark.parametrize("daemon", [(TAKEN, OTHER, BEGUN)], indirect=True)
def test_it_ends_well_when_the_version_answers_requests(daemon: str) -> None:
    told = _canary(daemon, "1m").splitlines()
    assert told[0].startswith("canary of m is in the inbox")
    assert told[1] == "accept challenger: ci brought version 7, gated elsewhere"
    assert told[-1] == "canary: version 7 answers 10% of the requests"


@pytest.mark.parametrize(
    ("daemon", "why"),
    [((TAKEN, OTHER, UNFIT), "version 7 cannot serve"), ((DECLINED,), "has no `canary`")],
    indirect=["daemon"],
    ids=["it cannot serve", "it is declined"],
)
def test_a_refusal_is_the_commands_own_end(daemon: str, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        _canary(daemon, "1m")


@pytest.mark.parametrize("daemon", [(TAKEN,)], indirect=True)
def test_a_wait_that_is_over_says_where_to_look(daemon: str) -> None:
    with pytest.raises(UnreachableError, match=r"nothing was decided about version 7 in 0\.1 s"):
        _canary(daemon, "100ms")
