"""Commands that talk to the daemon: whatever answers, a person is told what to do."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from driftd.cli.client import call, model_path, who
from driftd.errors import RefusedError, UnreachableError


class Stranger(BaseHTTPRequestHandler):
    """A server that is no daemon."""

    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/moved" else 200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base names it
        return


@pytest.fixture
def stranger() -> Iterator[str]:
    """The address of one."""
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/api/models", "/moved"])
def test_an_answer_that_is_not_the_daemons_is_named(stranger: str, path: str) -> None:
    with pytest.raises(RefusedError, match="is no driftd daemon"):
        call("GET", path, api=stranger)


@pytest.mark.parametrize("api", ["http://[::1", "ftp://here", "nonsense", "http://127.0.0.1:1"])
def test_an_address_at_which_nobody_answers_is_named(api: str) -> None:
    with pytest.raises(UnreachableError, match="--api"):
        call("GET", "/api/models", api=api)


def test_a_models_name_is_one_part_of_the_path() -> None:
    assert model_path("a/b c", "retrain") == "/api/models/a%2Fb%20c/retrain"


def test_a_user_without_a_name_is_known_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)

    assert who(None).startswith("uid ")
    assert who("ada") == "ada"
