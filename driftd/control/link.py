"""The daemon's producer: it starts when a broker answers, and knows whether one still does."""

import asyncio
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from driftd.clock import steady_now
from driftd.kafka import producer_options
from driftd.kafka_errors import cannot_bootstrap
from driftd.sections import KafkaSettings
from driftd.telemetry import Complaints

log = structlog.get_logger()

RETRY_S = (0.5, 5.0)
PULSE_S = 5.0
STOP_S = 5.0


class KafkaLink:
    """Sends records; before ``start`` has succeeded every send fails at once. ``topic`` is the one
    whose partitions are to be known."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        # A missing password is the person's to mend: told now, not when a broker answers.
        self._options = producer_options(kafka)
        self._producer: AIOKafkaProducer | None = None
        self._complaints = Complaints(log)
        self._seen = False
        self.trouble = "no broker was asked yet"
        """Why Kafka cannot be reached just now; empty while it can."""
        self._away_since = steady_now()
        self.away_at = steady_now()
        """When Kafka was last seen away (``steady_now``)."""

    async def start(self, stop: asyncio.Event) -> None:
        """Wait for a broker, or for ``stop``; what keeps us waiting is told once a minute. A
        refused password is waited out as well: users may be made after us."""
        wait, longest = RETRY_S
        while not stop.is_set():
            producer = AIOKafkaProducer(**self._options)
            try:
                await producer.start()
            except KafkaError as error:
                await producer.stop()
                told = await asyncio.to_thread(cannot_bootstrap, self._kafka, error)
                self._is_away(str(told))
                self._complaints.say("start", "wait for Kafka", why=self.trouble)
            else:
                self._producer, self.trouble = producer, ""
                await self._look(producer)
                self._complaints.over("start")
                return
            try:
                await asyncio.wait_for(stop.wait(), wait)
            except TimeoutError:
                wait = min(2 * wait, longest)

    async def pulse(self, stop: asyncio.Event) -> None:
        """Ask every few seconds whether a broker answers, until ``stop``."""
        while not stop.is_set():
            if self._producer is not None:
                await self._look(self._producer)
            try:
                await asyncio.wait_for(stop.wait(), PULSE_S)
            except TimeoutError:
                continue

    def partitions(self, topic: str) -> int:
        """How many partitions the broker has of a topic, 0 where there is none or nobody knows."""
        if self._producer is None:
            return 0
        found: set[int] | None = self._producer.client.cluster.partitions_for_topic(topic)
        return len(found or ())

    async def send(self, topic: str, value: bytes, **where: Any) -> None:
        """Hand one record over; it is sent in a moment. Raises ``KafkaError``."""
        await self._started().send(topic, value, **where)

    async def send_and_wait(self, topic: str, value: bytes, **where: Any) -> None:
        """Send one record and wait until the broker has it. Raises ``KafkaError``."""
        await self._started().send_and_wait(topic, value, **where)

    async def aclose(self) -> None:
        """Send what waits, within a bounded time, and close."""
        if self._producer is not None:
            await asyncio.wait_for(self._producer.stop(), STOP_S)

    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise KafkaConnectionError(self.trouble)
        return self._producer

    async def _look(self, producer: AIOKafkaProducer) -> None:
        try:
            async with asyncio.timeout(PULSE_S):
                if not self._seen:
                    # To ask for a topic by its name makes it, where the brokers do such a thing.
                    listed = await producer.client.fetch_all_metadata()
                    self._seen = self._topic in listed.topics()
                if self._seen:
                    await producer.client.add_topic(self._topic)
                answered = await producer.client.force_metadata_update()
        except (KafkaError, TimeoutError):
            answered = False
        if not answered:
            self._is_away(f"no broker answers at kafka.bootstrap ({self._kafka.bootstrap})")
            self._complaints.say("pulse", "wait for Kafka", why=self.trouble)
        elif self.trouble:
            log.info("reach Kafka again", away_s=round(steady_now() - self._away_since))
            self._complaints.over("pulse")
            self.trouble = ""

    def _is_away(self, why: str) -> None:
        if not self.trouble:
            self._away_since = steady_now()
        self.trouble, self.away_at = why, steady_now()
