"""Whoever answers: the workers' APIs behind one client that survives the death of any of them."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from driftd.demo.client import DaemonClient

T = TypeVar("T")


class AnyWorker(DaemonClient):
    """Asks the worker that answered last, and the others in turn when it does not."""

    def __init__(self, ports: Sequence[int], model: str) -> None:
        super().__init__(ports[0], model)
        self._workers = deque(DaemonClient(port, model) for port in ports)

    def status(self, decisions: int = 30) -> dict[str, Any] | None:
        """The model's status, or None when no worker answers."""
        return self._first(lambda worker: worker.status(decisions))

    def pulse(self) -> dict[str, Any] | None:
        """How far the control loop is, as any worker reads it from the store."""
        return self._first(lambda worker: worker.pulse())

    def ask(self, verb: str, by: str, arguments: Mapping[str, Any], request_id: str) -> bool:
        """Put a wish; one that reached two workers counts once, by its ``request_id``."""
        return self._first(lambda worker: worker.ask(verb, by, arguments, request_id))

    def is_ready(self) -> bool:
        """Whether one of them takes part."""
        return self._first(lambda worker: worker.is_ready())

    def _first(self, ask: Callable[[DaemonClient], T]) -> T:
        answer = ask(self._workers[0])
        for _ in range(len(self._workers) - 1):
            if answer:
                break
            self._workers.rotate(-1)
            answer = ask(self._workers[0])
        return answer
