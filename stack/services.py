"""A real server beside the product: started on a free port of the loopback, ended by its process id."""

import os
import signal
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from driftd.demo.children import Children

READY_S = 120.0


class Service(ABC):
    """One server among ``children``. ``start`` returns when it is ready; it keeps its port over a
    restart, so that an outage can be played. Subclasses say what runs and when it is ready."""

    def __init__(self, children: Children, name: str) -> None:
        self.children = children
        self.name = name
        self.frozen = False

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The program and its arguments."""

    def environment(self) -> Mapping[str, str]:
        """What it gets beside the usual variables."""
        return {}

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it answers."""

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        process = self.children.running.get(self.name)
        return process is not None and process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id; raises ``KeyError`` where it was never started."""
        return self.children.running[self.name].pid

    def start(self) -> None:
        """Start it and wait until it answers. Raises ``ChildError`` with the end of its log."""
        self.children.start(self.name, self.command(), self.environment())
        self.children.wait_until(self.name, self.is_ready, READY_S)

    def stop(self) -> None:
        """End it in order, and what is left of its session."""
        self.thaw()
        if self.name in self.children.running:
            self.children.stop(self.name)

    def kill(self) -> None:
        """End it and its session with -9."""
        process = self.children.running.pop(self.name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.frozen = False

    def freeze(self) -> None:
        """Stop all its processes without ending them: it accepts connections and never answers."""
        os.killpg(self.pid, signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """Let a frozen one go on."""
        if self.frozen and self.running:
            os.killpg(self.pid, signal.SIGCONT)
        self.frozen = False


def answers(url: str, *, timeout_s: float = 5.0) -> bool:
    """Whether a GET of ``url`` is answered well."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s):
            return True
    except (urllib.error.URLError, OSError):
        return False


def fetch(url: str, *, timeout_s: float = 30.0) -> str:
    """The text behind a URL. Raises ``OSError`` when nobody answers well."""
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:
        text: str = answer.read().decode()
    return text
