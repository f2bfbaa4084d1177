"""What an agent is: an event in, a new state, commands and decisions out. Nothing else happens."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from agents.commands import AnyCommand, Decided
from agents.incidents import IncidentChanged

S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[S]):
    """The answer of an agent to one event. The caller journals all of it in one transaction."""

    state: S
    commands: tuple[AnyCommand, ...] = ()
    decisions: tuple[Decided, ...] = ()
    incidents: tuple[IncidentChanged, ...] = field(default=())
