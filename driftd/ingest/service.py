"""Ingest as a service of the daemon: its clients, its tasks, and what it tells about itself."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from driftd.clock import steady_now
from driftd.errors import DriftdError
from driftd.ingest.folding import Folded
from driftd.ingest.letters import DeadLetters
from driftd.ingest.limits import (
    COMMIT_S,
    FETCH_WAIT_EVENT_CLOCK_MS,
    FETCH_WAIT_MS,
    KAFKA_RETRY_S,
    REFRESH_S,
    SCOUT_S,
    STOP_S,
)
from driftd.ingest.plans import PlanMaker, Plans
from driftd.ingest.poll_loop import PollLoop
from driftd.ingest.probe import Probe
from driftd.ingest.readiness import absent_topics, absent_vectors, missing
from driftd.ingest.reasons import EXPLANATIONS
from driftd.ingest.scout import Scout
from driftd.ingest.text_encoders import text_encoders
from driftd.kafka import aiokafka_options, producer_options
from driftd.kafka_errors import cannot_bootstrap
from driftd.settings import Settings
from driftd.store.moves import Move
from driftd.store.store import Store
from driftd.telemetry import Complaints, Metrics, count_all
from policies.specs import ModelSpec

log = structlog.get_logger()
Policies = Callable[[], Mapping[str, ModelSpec]]


class Ingest:
    """Reads the topics of all published policies into the store, each record once.

    ``on_flushed(models)`` is called on the event loop when a flush is in the store, with all models
    whose topics it moved. Bad input, an absent topic, broker or store never end it.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        policies: Policies,
        metrics: Metrics,
        *,
        on_flushed: Callable[[Iterable[str]], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._metrics = metrics
        self._on_flushed = on_flushed
        self._maker = PlanMaker(store, policies, settings.hash_key_env)
        self._plans = Plans()
        self._texts = text_encoders(settings, metrics)
        self._asked = asyncio.Event()
        self._complaints = Complaints(log)
        self._waiting_since = steady_now()
        self._planned = False
        self._scout: Scout | None = None
        self._loop: PollLoop | None = None
        self._letters: DeadLetters | None = None
        self._committing: asyncio.Task[None] | None = None

    @property
    def owning(self) -> bool:
        """Whether partitions are assigned to us and read from where the store stands."""
        return self._loop is not None and self._loop.ownership.owning

    @property
    def owned(self) -> int:
        """How many partitions we read from where the store stands."""
        return 0 if self._loop is None else len(self._loop.ownership.partitions)

    @property
    def lag(self) -> int:
        """Records in our partitions that are not read yet."""
        return sum(self._lags().values())

    @property
    def stalled_s(self) -> float:
        """Seconds with something to do and nothing done; to wait for a broker or a topic is no
        stall. A store that is away looks like one: only the daemon knows."""
        since = self._waiting_since if self._loop is None else self._loop.progress_at
        return steady_now() - since

    def missing(self) -> tuple[str, ...]:
        """What is missing before this worker takes part in ingest."""
        if self._loop is None or self._scout is None or not self._planned:
            return ("ingest reads the policies in force and connects to Kafka",)
        return missing(self._loop, self._scout, self._plans)

    def notices(self) -> tuple[str, ...]:
        """What a person should know, one line each."""
        if self._scout is None or not self._planned:
            return ()
        return (*absent_topics(self._scout, self._plans), *absent_vectors(self._plans))

    @property
    def letters_suppressed(self) -> int:
        """Dead letters that were not sent: too many at once, or the broker refused them."""
        return 0 if self._letters is None else self._letters.suppressed

    def _lags(self) -> Mapping[str, int]:
        # None are ours while positions are being read: they are not behind, they are not known.
        loop = self._loop
        return loop.lag if loop is not None and loop.ownership.owning else {}

    def refresh_policies(self) -> None:
        """Look for changed policies and profiles now, not with the next round."""
        self._asked.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Ingest until ``stop``; returns after a last flush. Raises only on a fault of its own."""
        self._waiting_since = steady_now()
        async with AsyncExitStack() as stack:
            clients = await self._connected(stop, stack)
            if clients is None:
                return
            consumer, probe, producer = clients
            await self._work(stop, consumer, probe, producer)

    async def _work(
        self,
        stop: asyncio.Event,
        consumer: AIOKafkaConsumer,
        probe: Probe,
        producer: AIOKafkaProducer,
    ) -> None:
        settings, store = self._settings, self._store.ingest
        event_clock = settings.clock == "event"
        scout = self._scout = Scout(probe, store, lambda: self._plans, event_clock=event_clock)
        letters = self._letters = self._dead_letters(producer)
        loop = self._loop = PollLoop(
            settings,
            store,
            consumer,
            probe,
            texts=self._texts,
            topics=lambda: scout.topics,
            plans=lambda: self._plans,
            letters=letters.put,
            written=lambda folded: self._written(folded, consumer),
            lost=lambda: self._metrics.flushes.labels(outcome="lost").inc(),
            gone=lambda topic, n: self._metrics.gap.labels(topic, "lost").inc(n),
        )
        reading = asyncio.create_task(loop.run(stop), name="poll loop")
        beside = [
            asyncio.create_task(self._refresh(scout), name="refresh"),
            asyncio.create_task(scout.run(), name="scout"),
            asyncio.create_task(letters.run(), name="dead letters"),
        ]
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait(
                [reading, *beside, stopped], return_when=asyncio.FIRST_COMPLETED
            )
            if stopped in done:
                # A poll may hang in a rebalance for as long as the broker is away.
                done, _ = await asyncio.wait([reading], timeout=STOP_S)
            for task in done:
                task.result()
            await _in_time(letters.drain)
        finally:
            tasks = [reading, *beside, stopped, *filter(None, [self._committing])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self._texts.close)
            self._loop = self._scout = None

    def _dead_letters(self, producer: AIOKafkaProducer) -> DeadLetters:
        settings = self._settings
        return DeadLetters(
            producer,
            settings.topics.dead_letters,
            raw=settings.ingest.dead_letters == "raw",
            count=lambda outcome, n: self._metrics.dead_letters.labels(outcome).inc(n),
        )

    async def _refresh(self, scout: Scout) -> None:
        while True:
            self._asked.clear()
            try:
                plans = await asyncio.to_thread(self._maker.make)
            except DriftdError as error:
                # A store that is away or a policy that does not compile: the last good ones go on.
                self._complaints.say("plans", "keep policies", why=str(error))
            else:
                self._planned = True
                if plans.topics != self._plans.topics:
                    scout.look_now()
                self._plans = plans
            self._metrics.lag.put({(topic,): lag for topic, lag in self._lags().items()})
            try:
                await asyncio.wait_for(self._asked.wait(), REFRESH_S)
            except TimeoutError:
                continue

    def _written(self, folded: Folded, consumer: AIOKafkaConsumer) -> None:
        metrics, moves = self._metrics, folded.flush.moves
        metrics.flushes.labels(outcome="written").inc()
        metrics.flush_records.observe(sum(move.records for move in moves))
        if self._loop is not None:
            metrics.flush_seconds.observe(self._loop.flush_s)
        for move in moves:
            metrics.records.labels(topic=move.topic).inc(move.records)
            metrics.gap.labels(move.topic, "skipped").inc(move.gap)
            metrics.know_topic(move.topic, EXPLANATIONS)
            count_all(self._metrics.rejected, move.rejected, topic=move.topic)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(_commit(consumer, folded.flush.moves))
        self._on_flushed(sorted(folded.models))

    async def _connected(
        self, stop: asyncio.Event, stack: AsyncExitStack
    ) -> tuple[AIOKafkaConsumer, Probe, AIOKafkaProducer] | None:
        """The three clients, started; None when we were stopped before a broker answered."""
        wait, longest = KAFKA_RETRY_S
        while not stop.is_set():
            try:
                async with AsyncExitStack() as tried:
                    clients = await _start(self._settings, tried)
                    stack.push_async_exit(tried.pop_all())
                    return clients
            except KafkaError as error:
                told = await asyncio.to_thread(cannot_bootstrap, self._settings.kafka, error)
                self._complaints.say("kafka", "wait for Kafka", why=str(told))
            self._waiting_since = steady_now()
            try:
                await asyncio.wait_for(stop.wait(), wait)
            except TimeoutError:
                wait = min(2 * wait, longest)
        return None


async def _start(
    settings: Settings, stack: AsyncExitStack
) -> tuple[AIOKafkaConsumer, Probe, AIOKafkaProducer]:
    kafka = settings.kafka
    options = aiokafka_options(kafka)
    session_ms = round(kafka.session_timeout_s * 1000)
    consumer = AIOKafkaConsumer(
        **options,
        group_id=kafka.ingest_group,
        enable_auto_commit=False,
        # Ours to handle: a silent reset would hide that a topic was made anew.
        auto_offset_reset="none",
        isolation_level="read_committed",
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=session_ms // 3,
        fetch_max_wait_ms=(
            FETCH_WAIT_EVENT_CLOCK_MS if settings.clock == "event" else FETCH_WAIT_MS
        ),
        metadata_max_age_ms=round(SCOUT_S * 1000),
    )
    stack.push_async_callback(_in_time, consumer.stop)
    await consumer.start()
    probe = await stack.enter_async_context(Probe(kafka))
    producer = AIOKafkaProducer(**producer_options(kafka))
    stack.push_async_callback(_in_time, producer.stop)
    await producer.start()
    return consumer, probe, producer


async def _in_time(close: Callable[[], Awaitable[None]]) -> None:
    """Close something that may wait for a broker which is away."""
    try:
        async with asyncio.timeout(STOP_S):
            await close()
    except (KafkaError, TimeoutError) as error:
        log.warning("leave unclosed", what=close.__qualname__, why=repr(error))


async def _commit(consumer: AIOKafkaConsumer, moves: Iterable[Move]) -> None:
    """Tell Kafka for the sake of lag tools. A failure is nobody's concern: the store is the truth."""
    offsets = {TopicPartition(move.topic, move.partition): move.new for move in moves}
    try:
        async with asyncio.timeout(COMMIT_S):
            await consumer.commit(offsets)
    except (KafkaError, TimeoutError) as error:
        log.debug("skip commit", why=repr(error))
