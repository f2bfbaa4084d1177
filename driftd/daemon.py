"""One worker process: its parts, whether it lives, and whether it takes part."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from driftd.clients.alertmanager import AlertmanagerClient
from driftd.clock import steady_now
from driftd.control.doorbell import Bell, Ownership
from driftd.control.link import KafkaLink
from driftd.control.policies import PolicyBook
from driftd.control.policy_watch import PolicyWatch
from driftd.control.service import Control
from driftd.ingest.service import Ingest
from driftd.roles import Role
from driftd.settings import Settings
from driftd.store.store import Store
from driftd.telemetry import Metrics
from driftd.topics_watch import TopicsWatch

# Runs until its argument is set.
Service = Callable[[asyncio.Event], Coroutine[Any, Any, None]]

STALLED_AFTER_S = 120.0
# Leases and the proof of silence are wall time; more than this would take others' commands away.
CLOCK_OFF_S = 2.0


@dataclass(slots=True, kw_only=True)
class Daemon:
    """The parts of one worker process; ``control`` and ``app``, or ``ingest``, are None where its
    role does without. ``early`` services run from the first moment, ``services`` from when store
    and broker answer; one that ends by itself has failed and takes the process with it."""

    settings: Settings
    role: Role
    worker: str
    api: str
    store: Store
    book: PolicyBook
    policies: PolicyWatch
    metrics: Metrics
    bell: Bell
    link: KafkaLink
    topics: TopicsWatch
    ownership: Ownership
    alertmanager: AlertmanagerClient
    control: Control | None
    ingest: Ingest | None
    app: Any
    early: dict[str, Service] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    started: bool = False
    has_schema: bool = False
    """Whether the store's tables are there: until then nothing but a migration may touch it."""
    store_trouble: str = "the store was not asked yet"
    """Why the store cannot be reached just now; empty while it can."""
    store_away_at: float = field(default_factory=steady_now)
    clock_ahead_s: float = 0.0
    """How far our clock is ahead of the store's."""

    def store_is_away(self, why: str) -> None:
        """The store does not answer."""
        self.store_trouble, self.store_away_at = why, steady_now()

    def wrong(self) -> tuple[str, ...]:
        """What only a fresh process cures; empty when nothing is. An outage of Kafka or of the store
        is none of it: whoever waits for them has not stalled."""
        if not self.started:
            return ()
        wrong = []
        if self.control is not None:
            if (silent := self._since(self.control.last_step)) > STALLED_AFTER_S:
                wrong.append(f"the control loop has not come round for {silent:.0f} s")
            if self.app.crashed:
                # What it owned others may own by now; only its group knows.
                wrong.append("the Faust app has crashed")
            apart = self._since(self.ownership.changed_at)
            if not self.ownership.joined and apart > STALLED_AFTER_S:
                group = self.settings.kafka.control_group
                wrong.append(f"the group {group} was not joined for {apart:.0f} s")
        if self.ingest is not None:
            stalled = min(self.ingest.stalled_s, self._since(0.0))
            if stalled > STALLED_AFTER_S:
                wrong.append(f"ingest has made no progress for {stalled:.0f} s")
        return tuple(wrong)

    def not_ready(self) -> tuple[str, ...]:
        """What keeps this worker from being asked: the store's absence, and all of ``missing``."""
        missing = self.missing()
        if not self.store_trouble:
            return missing
        return (f"the store does not answer: {self.store_trouble}", *missing)

    def missing(self) -> tuple[str, ...]:
        """What is missing before this worker takes part in its role, and what to do about it."""
        if not self.started:
            if self.link.trouble and not self.store_trouble:
                return (f"Kafka does not answer: {self.link.trouble}",)
            return self.topics.notices or ("the worker is starting",)
        missing = list(self.wrong())
        if self.control is not None:
            missing += self._not_controlling()
        if self.ingest is not None:
            missing += self.ingest.missing()
        return tuple(missing)

    def notices(self) -> tuple[str, ...]:
        """What a person should know and no restart mends, one line each."""
        ingest = self.ingest.notices() if self.ingest else ()
        if abs(self.clock_ahead_s) > CLOCK_OFF_S:
            off = f"{self.clock_ahead_s:+.0f} s off the store's"
            ingest = (*ingest, f"the clock of {self.worker} is {off}: leases need NTP")
        return (*self.policies.notices(), *self.topics.notices, *ingest)

    def _not_controlling(self) -> tuple[str, ...]:
        topic, wanted = self.settings.topics.control, self.settings.topics.control_partitions
        there = self.link.partitions(topic)
        if not there and not self.link.trouble:
            return (f"the broker has no topic {topic}: driftd topics create",)
        if there not in (0, wanted):
            # A model is owned by its partition's owner: one beyond the last would have none.
            why = f"{topic} has {there} partitions, topics.control_partitions says {wanted}"
            return (f"{why}: make the two equal in every worker's settings",)
        if not self.ownership.joined:
            group = self.settings.kafka.control_group
            return (f"the group {group} has not given this worker its partitions yet",)
        return ()

    def _since(self, moment: float) -> float:
        """Seconds since then in which broker and store were at hand."""
        return steady_now() - max(moment, self.link.away_at, self.store_away_at)
