"""Brings the plan in force towards the routing that is wanted, step by step, never backwards."""

import structlog

from agents.commands import Route, Routing
from driftd.serving.assignment import CHAMPION, Plan, is_complete, plan_for, wanted
from driftd.serving.fleet import Fleet
from driftd.serving.served import ModelProcess, Start

log = structlog.get_logger()

# Epochs of the control loop start at 0; before the first one there is only the champion's alias.
NO_EPOCH = -1


class Switch:
    """Holds the plan in force; a request reads it once and keeps to it."""

    def __init__(self, model: str, start: Start) -> None:
        self._model = model
        self.fleet = Fleet(start, lambda _: self._settle())
        self.plan: Plan | None = None
        self.target: Routing | None = None
        self.epoch = NO_EPOCH
        """The newest epoch that was in force with all its routes and shadows."""

    def offer(self, routing: Routing) -> bool:
        """Take `routing` if it is newer than what is known; what can be done is done at once."""
        known = self.target
        if known is not None and routing.epoch <= known.epoch:
            if routing.epoch == known.epoch and routing != known:
                log.error("ignored second routing of one epoch", epoch=routing.epoch)
            return False
        self.target = routing
        log.info("got routing", epoch=routing.epoch, routes=_said(routing.routes))
        self._settle()
        self.fleet.need(wanted(routing))
        return True

    def adopt(self, child: ModelProcess) -> None:
        """Serve the champion that its alias named, for as long as no routing is known."""
        self.fleet.adopt(child)
        route = Route(version=child.version, variant=CHAMPION, weight=1.0)
        self.offer(Routing(model=self._model, epoch=NO_EPOCH, routes=(route,)))

    def _settle(self) -> None:
        """Swap to the plan nearest to the target: one assignment, between two requests."""
        target = self.target
        if target is None:
            return
        loaded = self.fleet.loaded()
        plan = plan_for(target, loaded, self.plan)
        if plan != self.plan:
            log.info(
                "swapped traffic", epoch=target.epoch, routes=_said(plan.routes if plan else ())
            )
        self.plan = plan
        if plan is not None and is_complete(target, loaded):
            self.epoch = target.epoch
        self.fleet.keep_only(wanted(target) | (plan.versions if plan is not None else frozenset()))


def _said(routes: tuple[Route, ...]) -> str:
    return ", ".join(f"{r.version} ({r.variant}) {r.weight:.0%}" for r in routes) or "none"
