"""`driftd run` that cannot run: one line says why and what to do, and the exit code says whose turn it is."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from driftd.demo.children import Children, driftd_command, free_port


def driftd(
    *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "driftd.cli.main", *arguments],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A daemon whose broker is away."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[1]
    path = tmp_path / "settings.yaml"
    path.write_text(f"kafka: {{bootstrap: '127.0.0.1:{nobody}'}}\nhttp: {{port: 0}}\n")
    return path


def test_a_port_that_is_taken_is_named_with_the_way_out(settings: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings.write_text(f"http: {{port: {port}}}\n")
        ran = driftd("run", "--settings", str(settings))

    assert ran.returncode == 1
    assert f"127.0.0.1:{port}" in ran.stderr
    assert "http.port" in ran.stderr
    assert "Traceback" not in ran.stderr


def ask(port: int, path: str) -> tuple[int, list[str]]:
    """Status and reasons of a probe; (0, []) while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, json.load(answer)["wrong"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["wrong"]
    except OSError:
        return 0, []


@pytest.mark.parametrize(
    ("store", "waits_for"),
    [
        ("sqlite:///driftd.db", "no broker answers at kafka.bootstrap (127.0.0.1:"),
        ("postgresql+psycopg://driftd@127.0.0.1:{nobody}/driftd", "the store does not answer: "),
    ],
    ids=["broker", "store"],
)
def test_what_is_away_at_the_start_is_waited_for_and_named(
    settings: Path, store: str, waits_for: str
) -> None:
    """No restart would cure it: alive, not ready, and a SIGTERM still ends it in order."""
    port, nobody = free_port(), free_port()
    settings.write_text(
        f"kafka: {{bootstrap: '127.0.0.1:{nobody}'}}\nhttp: {{port: {port}}}\n"
        f"store: {store.format(nobody=nobody)}\n"
    )
    children = Children(settings.parent)
    process = children.start("daemon", driftd_command("run", "--settings", str(settings)))
    try:
        children.wait_until(
            "daemon", lambda: any(waits_for in why for why in ask(port, "/ready")[1]), 120
        )
        assert ask(port, "/ready")[0] == 503
        assert ask(port, "/health") == (200, [])
        process.terminate()
        assert process.wait(60) == 0
    finally:
        children.stop_all()
    log = (settings.parent / "daemon.log").read_text()
    assert "wait for" in log
    assert "Traceback" not in log
    assert "Unclosed" not in log


def test_every_mistake_of_the_settings_is_told(settings: Path) -> None:
    settings.write_text("htp: {}\nclock: sundial\n")
    ran = driftd("run", "--settings", str(settings))

    assert ran.returncode == 1
    assert f"{settings}:1:1" in ran.stderr
    assert f"{settings}:2:8" in ran.stderr


def test_an_empty_token_is_no_token(settings: Path) -> None:
    settings.write_text("http: {host: 0.0.0.0, port: 0}\n")
    ran = driftd("run", "--settings", str(settings), env={"DRIFTD_TOKEN": ""})

    assert ran.returncode == 1
    assert "DRIFTD_TOKEN" in ran.stderr


@pytest.mark.parametrize("command", [("run",), ("serve", "m")])
def test_an_unknown_log_level_is_wrong_usage(settings: Path, command: tuple[str, ...]) -> None:
    ran = driftd(*command, "--settings", str(settings), "--log-level", "loud")

    assert ran.returncode == 2
    assert "warning" in ran.stderr


def test_settings_that_are_not_there_are_named(tmp_path: Path) -> None:
    ran = driftd("run", "--settings", str(tmp_path / "none.yaml"))

    assert ran.returncode == 1
    assert "none.yaml: cannot be read" in ran.stderr
