"""The demo's processes: started in sessions of their own, and every one of them ended by its id."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from driftd.errors import DriftdError

_TERM_TIMEOUT_S = 15.0
_LOG_TAIL_LINES = 15
# Below those that systems give to connections: one of these could sit on the port of a server that
# was killed and is to be started again.
_PORTS = range(20_000, 32_000)
# Children get what a process needs to run, one thread for linear algebra, and no secrets.
# MLflow's telemetry changes the environment in a thread of its own while others read it.
_SET = {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")


class ChildError(DriftdError):
    """One of the demo's processes failed."""


@dataclass(slots=True)
class Children:
    """Named child processes; each writes its output to ``directory/NAME.log``."""

    directory: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start ``command``; its log is appended to, so that a restart keeps what came before."""
        self.directory.mkdir(parents=True, exist_ok=True)
        passed = {key: os.environ[key] for key in _PASSED if key in os.environ}
        with self.log(name).open("ab") as output:
            process = subprocess.Popen(
                list(command),
                env={**passed, **_SET, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches the demo alone, which then ends the rest in order.
                start_new_session=True,
            )
        self.running[name] = process
        return process

    def log(self, name: str) -> Path:
        """Where a child's output is kept."""
        return self.directory / f"{name}.log"

    def wait_until(self, name: str, is_ready: Callable[[], bool], timeout_s: float) -> None:
        """Return when ``is_ready()``. Raises ``ChildError`` with the end of the child's log if it
        ended before, or was not ready in time."""
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            code = self.running[name].poll()
            if code is not None or time.monotonic() > deadline:
                how = "was not ready in time" if code is None else f"ended with {code}"
                raise ChildError(f"{name} {how}:\n{self.log_tail(name)}")
            time.sleep(0.05)

    def finish(self, name: str, timeout_s: float) -> None:
        """Wait until a child that ends by itself has ended well, else raise ``ChildError``."""
        process = self.running[name]
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = None
        if code != 0:
            raise ChildError(f"{name} ended with {code}:\n{self.log_tail(name)}")

    def kill(self, name: str) -> None:
        """End one at once (-9) and wait for it; what it started itself lives on."""
        process = self.running[name]
        process.kill()
        process.wait()

    def stop(self, name: str) -> None:
        """End one in order, with whatever stayed of its session; at once if it takes too long."""
        process = self.running.pop(name)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_TERM_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def stop_all(self) -> None:
        """End all that still run, the newest first."""
        for name in reversed(list(self.running)):
            self.stop(name)

    def log_tail(self, name: str) -> str:
        """The last lines of a child's output."""
        lines = self.log(name).read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])


def free_port() -> int:
    """A port of the loopback that nobody listens on just now, drawn by chance."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def driftd_command(*arguments: str) -> list[str]:
    """``driftd …`` by this interpreter."""
    return [sys.executable, "-m", "driftd.cli.main", *arguments]
