"""What a router is: it makes live traffic equal a routing."""

from collections.abc import Sequence
from typing import Protocol

from agents.commands import Routing


class Router(Protocol):
    """Splits live traffic. Calls block for a bounded time and may come from any thread.

    Both raise UnreachableError (again later) or RefusedError (never again). Applying a routing
    twice, or an older epoch after a newer one, must do no harm: the highest epoch wins.
    """

    def apply(self, routing: Routing) -> None:
        """Return when `routing` has been handed over for good; servers follow in their time."""

    def republish(self, routings: Sequence[Routing]) -> None:
        """Tell again what holds now, for those who missed or forgot it."""

    def close(self) -> None:
        """Let go of connections; nothing is called afterwards."""
