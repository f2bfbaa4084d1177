"""Watches which topics and partitions exist; a topic's list of partitions is one more source."""

import asyncio
from collections.abc import Callable

import structlog
from aiokafka import TopicPartition

from driftd.clock import wall_now
from driftd.errors import UnreachableError
from driftd.ingest.limits import SCOUT_S
from driftd.ingest.plans import Plans
from driftd.ingest.probe import Probe
from driftd.store.positions import Positions
from driftd.telemetry import Complaints

log = structlog.get_logger()


class Scout:
    """``topics``: those that are wanted, exist, and have all their partitions in the store, where a
    new one holds panes open from the moment it is known. Only these are subscribed to."""

    def __init__(
        self, probe: Probe, store: Positions, plans: Callable[[], Plans], *, event_clock: bool
    ) -> None:
        self._probe = probe
        self._store = store
        self._plans = plans
        self._event_clock = event_clock
        self._known: set[TopicPartition] = set()
        self._complaints = Complaints(log)
        self._wake = asyncio.Event()
        self.topics: frozenset[str] = frozenset()
        self.looked_for: frozenset[str] = frozenset()
        """The wanted topics of the last look."""

    def look_now(self) -> None:
        """Do not wait for the next round: the wanted topics have changed."""
        self._wake.set()

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self.look()
            except UnreachableError as error:
                self._complaints.say("scout", "wait for topics", why=str(error))
            try:
                await asyncio.wait_for(self._wake.wait(), SCOUT_S)
            except TimeoutError:
                continue

    async def look(self) -> None:
        """One round. Raises ``UnreachableError``."""
        plans = self._plans()
        # What is listed now was complete when it was asked for, not when the answer came.
        asked_at = wall_now()
        listed = await self._probe.partitions()
        wanted = {topic: listed[topic] for topic in plans.topics if listed.get(topic)}
        found = {TopicPartition(topic, n) for topic, numbers in wanted.items() for n in numbers}
        bounds = await self._probe.bounds(sorted(found - self._known))
        first = {(one.topic, one.partition): begin for one, (begin, _) in bounds.items()}
        proofs = {} if self._event_clock else {t: asked_at - plans.idle_s[t] for t in wanted}
        if first or proofs:
            await asyncio.to_thread(self._store.discover, first, listed=proofs)
        self._known |= found
        self.topics, self.looked_for = frozenset(wanted), frozenset(plans.topics)
        missing = sorted(plans.topics - self.topics)
        if missing:
            # What this user may not describe looks as if it were not there.
            hint = "made with driftd topics create; driftd topics check says what is refused"
            self._complaints.say("missing", "wait for topics", missing=missing, hint=hint)
        else:
            self._complaints.over("missing")
