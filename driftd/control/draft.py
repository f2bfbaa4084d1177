"""What one control step gathers before it is written: the agents' new states and what they want."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from agents.commands import AnyCommand, Decided
from agents.contract import Step
from agents.events import OperatorAsked, PaneClosed, QualityMatured, QueryRead, Ticked
from agents.incidents import Incident, IncidentChanged
from agents.lifecycle import Lifecycle, LifecycleState
from agents.snapshot import Snapshot
from agents.stages.contract import LifecycleEvent
from agents.watcher import Watcher, WatchStep
from agents.watching.fitted import Fitted
from agents.watching.state import Reading
from policies.specs import ModelSpec

History = Callable[[float, float], Sequence[PaneClosed]]
WATCHED_VERBS = frozenset({"accept", "ignore", "false_alarm"})


@dataclass(slots=True, kw_only=True)
class Draft:
    """The agents of one model during one step. ``now`` is the clock of cool-downs and budgets."""

    spec: ModelSpec
    watcher: Watcher
    lifecycle: Lifecycle
    snapshot: Snapshot
    fitted: Fitted | None
    history: History
    now: float
    newly_fitted: Fitted | None = None
    commands: list[AnyCommand] = field(default_factory=list)
    decisions: list[Decided] = field(default_factory=list)
    incidents: dict[str, Incident] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()

    def tell(self, event: LifecycleEvent) -> None:
        """Let the lifecycle handle an event."""
        if isinstance(event, OperatorAsked) and event.verb in WATCHED_VERBS:
            self._watched(self.watcher.on_operator(self.snapshot.watch, event, self.now))
            return
        step = self.lifecycle.handle(self.snapshot.lifecycle, event, self.now)
        self.snapshot = msgspec.structs.replace(self.snapshot, lifecycle=step.state)
        self._take(step)

    def query(self, read: QueryRead) -> None:
        """Let the watcher judge what Prometheus said."""
        self._watched(self.watcher.on_query(self.snapshot.watch, read))

    def waits_for_commands(self) -> bool:
        """Whether a command was decided on whose effect the next bucket depends."""
        return bool(self.commands)

    def tick(self, watermark: float) -> None:
        """Let time pass."""
        self.tell(Ticked(now=self.now, watermark=watermark))

    def pane(self, pane: PaneClosed) -> None:
        """Let the watcher judge a closed bucket."""
        wanted = self.watcher.wants_history(self.snapshot.watch, pane)
        history = self.history(*wanted) if wanted else ()
        step = self.watcher.on_pane(self.snapshot.watch, self.fitted, pane, history)
        self._watched(step)

    def quality(self, matured: QualityMatured) -> None:
        """Let the watcher judge joined labels, and the lifecycle count them."""
        champion = self.snapshot.lifecycle.champion or ""
        self._watched(self.watcher.on_quality(self.snapshot.watch, matured, champion))
        self.tell(matured)

    def _watched(self, step: WatchStep) -> None:
        self.snapshot = msgspec.structs.replace(self.snapshot, watch=step.state)
        if step.fitted is not None:
            self.fitted = self.newly_fitted = step.fitted
        if step.readings:
            self.readings = step.readings
        self._take(step)
        for changed in step.incidents:
            self.incidents[changed.incident.incident_id] = changed.incident
            self.tell(_as_event(changed))

    def _take(self, step: Step[LifecycleState] | WatchStep) -> None:
        self.commands.extend(step.commands)
        self.decisions.extend(step.decisions)


def _as_event(changed: IncidentChanged) -> LifecycleEvent:
    return changed
