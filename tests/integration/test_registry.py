"""The registry client against a real MLflow server on SQLite and files, and against broken ones."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from driftd.clients.registry import Registry
from driftd.clients.steps import make_client
from driftd.demo.children import free_port
from driftd.errors import UnreachableError
from tests.support.registry_contract import RegistryContract, made


@pytest.fixture(scope="module")
def registry(mlflow_url: str) -> Registry:
    found = Registry(mlflow_url, deadline_s=60)
    assert found.aliases("never-registered") == {}
    assert found.version_by_op_id("never-registered", "op3") is None
    return found


@pytest.fixture
def name(registry: Registry, request: pytest.FixtureRequest) -> str:
    """A registered model of this test's own."""
    model = re.sub("[^a-z0-9]+", "-", str(request.node.name).lower())
    made(make_client(registry.tracking_uri), model)
    return model


class TestOnSQLiteAndFiles(RegistryContract):
    """The contract."""


def test_a_server_that_is_away_is_unreachable() -> None:
    with pytest.raises(UnreachableError, match="reading the aliases"):
        Registry(f"http://127.0.0.1:{free_port()}", deadline_s=60).aliases("m")


def test_a_server_that_hangs_is_unreachable_when_the_deadline_has_passed() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=r"took longer than 0\.5 s"):
            Registry(url, deadline_s=0.5).aliases("m")


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A server that answers everything with one status."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the names are the base class's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_that_fails_is_unreachable_and_refuses_nothing(status: int) -> None:
    with answering(status) as url, pytest.raises(UnreachableError, match="reading the aliases"):
        Registry(url, deadline_s=60).aliases("m")
