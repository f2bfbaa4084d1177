"""The loop that polls Kafka: it never stops calling ``getmany``, and it alone seeks and pauses.

A consumer that is not polled leaves its group and comes back only with the next poll; so a full
buffer, a store that is away or positions not yet known pause the partitions, never the loop.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from driftd.clock import steady_now, wall_now
from driftd.ingest.buffer import Buffer, Horizon, Letter
from driftd.ingest.ends import look_at_ends, pass_markers
from driftd.ingest.events import Limits
from driftd.ingest.flusher import Flusher
from driftd.ingest.folding import Folded
from driftd.ingest.limits import (
    FLUSH_EVENT_CLOCK_S,
    FLUSH_REVOKED_S,
    KAFKA_RETRY_S,
    POLL_MS,
    POLL_RECORDS_MAX,
)
from driftd.ingest.lineage import starting_points
from driftd.ingest.ownership import Ownership
from driftd.ingest.partition import Partition
from driftd.ingest.plans import Plans
from driftd.ingest.probe import Probe
from driftd.ingest.texts import Texts
from driftd.settings import Settings
from driftd.store.moves import Position
from driftd.store.positions import Positions
from driftd.telemetry import Complaints

log = structlog.get_logger()


class PollLoop:
    """One consumer's life. ``texts`` are encoded with each flush. ``topics`` and ``plans`` say what is wanted at this moment; ``written``
    is told of every flush in the store, ``letters`` of every record that could not be attributed,
    ``gone`` of a topic and how many of its records were lost before they could be read.
    """

    def __init__(
        self,
        settings: Settings,
        store: Positions,
        consumer: AIOKafkaConsumer,
        probe: Probe,
        *,
        texts: Texts,
        topics: Callable[[], frozenset[str]],
        plans: Callable[[], Plans],
        letters: Callable[[list[Letter]], None],
        written: Callable[[Folded], None],
        lost: Callable[[], None],
        gone: Callable[[str, int], None],
    ) -> None:
        self._ingest = settings.ingest
        self._event_clock = settings.clock == "event"
        self._limits = Limits(record_bytes_max=settings.ingest.record_limit_bytes)
        self._store = store
        self._consumer = consumer
        self._probe = probe
        self._topics = topics
        self._plans = plans
        self._letters = letters
        self._written = written
        self._lost = lost
        self._gone = gone
        self._letting_go = False
        self._horizons: dict[str, int] = {}
        self._subscribed: frozenset[str] = frozenset()
        self._buffer = Buffer(opened=steady_now())
        self._complaints = Complaints(log)
        self._flusher = Flusher(
            store,
            settings.ingest.sample,
            encode=partial(texts.encode, hurried=lambda: self._letting_go),
            written=self._on_written,
            lost=self._on_lost,
        )
        self.ownership = Ownership(self._read, self._last_flush)
        self.progress_at = steady_now()
        self.lag: dict[str, int] = {}
        """Topic -> records of our partitions that are not read yet."""

    @property
    def flush_s(self) -> float:
        """How long the newest flush took."""
        return self._flusher.took_s

    @property
    def subscribed(self) -> frozenset[str]:
        """The topics that are wanted and there."""
        return self._subscribed

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until ``stop``, then write what was read."""
        try:
            while not stop.is_set():
                await self._turn()
        finally:
            await self._last_flush()
            await self._flusher.aclose()
            await self.ownership.aclose()

    async def _turn(self) -> None:
        self._subscribe()
        if not self._subscribed:
            self.progress_at = steady_now()
            await asyncio.sleep(POLL_MS / 1000)
            return
        if self.ownership.go_on(self._consumer):
            self._buffer = Buffer(opened=steady_now())
        self._pause_or_resume()
        batches = await self._poll()
        if batches is not None:
            for one, records in batches.items():
                self._take(one, records)
            await pass_markers(self._consumer, self.ownership.partitions, lambda: self._letting_go)
            self._look_at_ends()
        self._flush_if_due()

    async def _read(self, assigned: Iterable[TopicPartition]) -> Mapping[TopicPartition, Position]:
        # What an earlier generation is still writing would move the positions from under us.
        await self._flusher.wait(None)
        return await starting_points(self._store, self._probe, assigned, self._gone)

    async def _poll(self) -> Mapping[TopicPartition, list[ConsumerRecord]] | None:
        """Records by partition; None after an error, which is no progress: a consumer whose inner
        task has died fails every poll from then on."""
        try:
            batches: Mapping[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
                timeout_ms=POLL_MS, max_records=POLL_RECORDS_MAX
            )
        except NoOffsetForPartitionError:
            # Freshly assigned and not yet sought: our positions are in the store, not in Kafka.
            await asyncio.sleep(POLL_MS / 5000)
        except OffsetOutOfRangeError as error:
            self._complaints.say("range", "read positions again", why=repr(error))
            self.ownership.drop()
            await asyncio.sleep(POLL_MS / 1000)
        except KafkaError as error:
            self._complaints.say("kafka", "poll again", why=repr(error))
            await asyncio.sleep(KAFKA_RETRY_S[0])
        else:
            return batches
        return None

    def _subscribe(self) -> None:
        wanted = self._topics()
        if wanted == self._subscribed:
            return
        self._subscribed = wanted
        if wanted:
            self._consumer.subscribe(sorted(wanted), listener=self.ownership)
        else:
            self._consumer.unsubscribe()
            self.ownership.drop()
            self.ownership.assigned = frozenset()
        log.info("subscribe", topics=sorted(wanted))

    def _pause_or_resume(self) -> None:
        assigned = self._consumer.assignment()
        paused = self._consumer.paused()
        if not self.ownership.owning or self._buffer.full(self._ingest.buffer_events):
            if assigned - paused:
                self._consumer.pause(*(assigned - paused))
        elif paused:
            self._consumer.resume(*paused)

    def _take(self, one: TopicPartition, records: list[ConsumerRecord]) -> None:
        """Take records in order; whatever lies outside our assignment will be sought again."""
        partition = self.ownership.partitions.get(one)
        if partition is None or self._letting_go:
            return
        if records[0].offset < partition.next:
            records = [record for record in records if record.offset >= partition.next]
        if not records or self._jumped(one, partition, records[0].offset):
            return
        plans = self._plans()
        if one.topic not in plans.decoders:
            # No policy names the topic any more; the subscription ends with the next turn.
            self._consumer.seek(one, partition.next)
            return
        horizon = Horizon(
            now=wall_now(), future_s=self._ingest.future_s, event_clock=self._event_clock
        )
        limits = replace(self._limits, texts=plans.texts.get(one.topic, frozenset()))
        letters = self._buffer.add(records, partition, plans, limits, horizon)
        if letters:
            self._letters(letters)

    def _jumped(self, one: TopicPartition, partition: Partition, first: int) -> bool:
        """Whether records are missing before ``first``: seek once, then believe that they are gone."""
        if first == partition.next:
            return False
        if partition.sought != partition.next:
            partition.sought = partition.next
            self._consumer.seek(one, partition.next)
            return True
        # Markers of transactions, aborted records, or what compaction took away: nothing is lost.
        return False

    def _look_at_ends(self) -> None:
        partitions, idle_s = self.ownership.partitions, self._plans().idle_s
        lag = look_at_ends(self._consumer, partitions, idle_s, event_clock=self._event_clock)
        if lag is None:
            return
        self.lag = lag
        at_rest = self.ownership.owning and not any(lag.values()) and not self._flusher.busy
        # With more workers than partitions the group gives some of them none.
        if at_rest or (self.ownership.settled and not self.ownership.assigned):
            self.progress_at = steady_now()

    def _flush_if_due(self) -> None:
        if self._flusher.busy or self._letting_go:
            return
        self._flusher.check()
        waited = steady_now() - self._buffer.opened
        ripe = self._buffer.ripe(self._ingest.buffer_events)
        if waited >= self._flush_every_s() or ripe or self._bucket_ended():
            self._flush()

    def _bucket_ended(self) -> bool:
        """Under the event clock, whether what was read lets some model close a bucket: a replay
        waits for exactly that."""
        if not self._event_clock:
            return False
        owned = self.ownership.partitions.values()
        low = min((one.watermark for one in owned if not one.left_out), default=0.0)
        clocks = {model: plan.spec.clock for model, plan in self._plans().models.items()}
        horizons = {
            m: int((low - clock.lateness_s) // clock.bucket_s) for m, clock in clocks.items()
        }
        ended, self._horizons = horizons != self._horizons, horizons
        return ended

    def _flush(self) -> None:
        owned = self.ownership.partitions.values()
        moves = tuple(move for one in owned if (move := one.swap()) is not None)
        buffer, self._buffer = self._buffer, Buffer(opened=steady_now())
        if moves:
            self._flusher.start(self.ownership.generation, buffer, moves, self._plans())

    def _flush_every_s(self) -> float:
        if self._event_clock:
            return min(self._ingest.flush_s, FLUSH_EVENT_CLOCK_S)
        return self._ingest.flush_canary_s if self._plans().rollout_open else self._ingest.flush_s

    async def _last_flush(self) -> None:
        """Before partitions are let go: one try, and only so much time."""
        deadline = steady_now() + FLUSH_REVOKED_S
        self._letting_go = True
        try:
            if self.ownership.owning and await self._flusher.wait(FLUSH_REVOKED_S):
                self._flush()
                await self._flusher.wait(max(0.0, deadline - steady_now()))
        finally:
            self.ownership.drop()
            self._buffer = Buffer(opened=steady_now())
            self._letting_go = False

    def _on_written(self, folded: Folded) -> None:
        self.progress_at = steady_now()
        self._written(folded)

    def _on_lost(self, generation: int) -> None:
        log.warning("lose partitions", why="another worker has moved them, or they were re-read")
        self._lost()
        if generation == self.ownership.generation:
            self.ownership.drop()
