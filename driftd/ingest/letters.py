"""Dead letters: records that could not be attributed, told on a topic of their own, never in a flood."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from driftd.clock import steady_now
from driftd.ingest.buffer import Letter
from driftd.ingest.limits import LETTERS_A_SECOND, LETTERS_WAITING_MAX
from driftd.ingest.reasons import EXPLANATIONS

log = structlog.get_logger()


class DeadLetters:
    """Sends letters in the background. They are for people: the counters in the store are the
    truth, so one that cannot be sent is dropped and counted in ``suppressed``."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        *,
        raw: bool,
        count: Callable[[str, int], None] = lambda _outcome, _letters: None,
    ) -> None:
        """``raw``: the first 4 KB of the record go along. They may hold private fields, since what
        does not parse cannot be cleaned. ``count`` is told ``sent`` or ``suppressed``, and how
        many."""
        self._producer = producer
        self._topic = topic
        self._raw = raw
        self._count = count
        self._waiting: deque[Letter] = deque()
        self._arrived = asyncio.Event()
        self.sent = 0
        self.suppressed = 0

    def put(self, letters: Iterable[Letter]) -> None:
        """Take letters; those beyond the limit are only counted."""
        for letter in letters:
            if len(self._waiting) >= LETTERS_WAITING_MAX:
                self._suppress(1)
            else:
                self._waiting.append(letter)
        if self._waiting:
            self._arrived.set()

    async def run(self) -> None:
        """Send until cancelled, ``LETTERS_A_SECOND`` at most."""
        while True:
            await self._arrived.wait()
            started = steady_now()
            burst = [self._waiting.popleft() for _ in range(self._burst())]
            if not self._waiting:
                self._arrived.clear()
            await self._send(burst)
            await asyncio.sleep(max(0.0, 1.0 - (steady_now() - started)))

    async def drain(self) -> None:
        """Send what still waits, one burst at most: for a clean stop."""
        await self._send([self._waiting.popleft() for _ in range(self._burst())])

    def _burst(self) -> int:
        return min(len(self._waiting), LETTERS_A_SECOND)

    async def _send(self, letters: list[Letter]) -> None:
        try:
            waits = [
                await self._producer.send(self._topic, letter_bytes(letter, raw=self._raw))
                for letter in letters
            ]
            await asyncio.gather(*waits)
        except KafkaError as error:
            self._suppress(len(letters))
            log.warning("drop dead letters", count=len(letters), why=repr(error))
        else:
            self.sent += len(letters)
            self._count("sent", len(letters))

    def _suppress(self, letters: int) -> None:
        self.suppressed += letters
        self._count("suppressed", letters)


def letter_bytes(letter: Letter, *, raw: bool) -> bytes:
    """One letter as JSON."""
    told: dict[str, str | int] = {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "reason": letter.reason,
        "explanation": EXPLANATIONS[letter.reason],
        "length": letter.length,
        "crc32": letter.crc32,
    }
    if raw:
        told["value"] = letter.head.decode(errors="replace")
    return msgspec.json.encode(told)
