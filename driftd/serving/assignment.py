"""Which version answers a request: pure, sticky by unit, nested as a share grows."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from agents.commands import Route, Routing, Shadow

CHAMPION = "champion"
CHALLENGER = "challenger"
_SPAN = float(2**64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is in force: routes in the order of the unit interval, challengers at its low end.

    `fallback` answers what a failing challenger cannot.
    """

    model: str
    epoch: int
    routes: tuple[Route, ...]
    shadows: tuple[Shadow, ...]
    fallback: Route

    def route(self, unit: str) -> Route:
        """The live version of `unit` (a subject, or the id of a prediction without one).

        Challengers have the low end, so that a growing weight keeps those who are on one already.
        """
        if len(self.routes) == 1:
            return self.routes[0]
        left = draw(self.model, unit)
        for route in self.routes:
            left -= route.weight
            if left < 0:
                return route
        return self.routes[-1]

    def shadows_of(self, unit: str, answered_by: str) -> tuple[str, ...]:
        """The versions that answer too. The draw is apart from the route's, else only those near
        the challenger's end would ever be paired; it is one for all, so that shares nest."""
        if not self.shadows:
            return ()
        u = draw(self.model, unit, "shadow")
        return tuple(s.version for s in self.shadows if s.version != answered_by and u < s.share)

    @property
    def versions(self) -> frozenset[str]:
        """Every version that this plan asks something of."""
        return frozenset(
            {r.version for r in self.routes}
            | {s.version for s in self.shadows}
            | {self.fallback.version}
        )


def draw(model: str, unit: str, salt: str = "") -> float:
    """A number in [0, 1) that is always the same for these words.

    >>> 0 <= draw("churn", "user-42") < 1
    True
    """
    text = f"{model}|{unit}|{salt}" if salt else f"{model}|{unit}"
    digest = blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _SPAN


def wanted(routing: Routing) -> frozenset[str]:
    """The versions that must be in memory for `routing`."""
    named = {r.version for r in routing.routes} | {s.version for s in routing.shadows}
    return frozenset((named | set(routing.loaded)) - set(routing.barred))


def plan_for(routing: Routing, loaded: AbstractSet[str], current: Plan | None) -> Plan | None:
    """The plan nearest to `routing` that `loaded` versions can keep; None if there is none yet.

    Traffic of versions not yet loaded stays with what answers now; a barred version gets none.
    """
    usable = loaded - set(routing.barred)
    keeper = _keeper(routing, usable, current)
    if keeper is None:
        return None
    routes = {r.version: r for r in routing.routes if r.version in usable}
    missing = sum(r.weight for r in routing.routes if r.version not in usable)
    if missing:
        kept = routes.get(keeper.version, keeper)
        weight = missing + (kept.weight if keeper.version in routes else 0.0)
        routes[keeper.version] = msgspec.structs.replace(kept, weight=weight)
    ordered = sorted(routes.values(), key=lambda r: (r.variant != CHALLENGER, r.version))
    return Plan(
        model=routing.model,
        epoch=routing.epoch,
        routes=tuple(route for route in ordered if route.weight > 0),
        shadows=tuple(s for s in routing.shadows if s.version in usable and s.share > 0),
        fallback=keeper,
    )


def is_complete(routing: Routing, loaded: AbstractSet[str]) -> bool:
    """Whether the routes and shadows of `routing` are all in memory."""
    needed = {r.version for r in routing.routes} | {s.version for s in routing.shadows}
    return needed - set(routing.barred) <= loaded


def _keeper(routing: Routing, usable: AbstractSet[str], current: Plan | None) -> Route | None:
    """Who takes what nobody else can: the champion that is asked for, else the one in force,
    else the way back, else whatever is live. A challenger alone is never given everything."""
    champions = [r for r in routing.routes if r.variant == CHAMPION]
    kept = [current.fallback] if current is not None else []
    back = [
        Route(version=version, variant=CHAMPION, weight=0.0)
        for version in routing.loaded
        if version not in {r.version for r in routing.routes}
    ]
    complete = {r.version for r in routing.routes} <= usable
    live = list(routing.routes) if complete else []
    for candidate in (*champions, *kept, *back, *live):
        if candidate.version in usable:
            return candidate
    return None
