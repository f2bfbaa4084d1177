"""Texts of events as vectors: which of a flush are drawn, and how long a flush waits for them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any
from zlib import crc32

import numpy as np
import structlog

from detectors.sketches.vector import VectorLayout
from driftd.clock import steady_now
from driftd.data.live_encoder import LiveEncoder
from driftd.ingest.buffer import Buffer, Cell
from driftd.ingest.events import Event
from driftd.ingest.plans import Plans
from driftd.telemetry import Complaints

log = structlog.get_logger()

CHUNK_TEXTS = 16
"""Encoded at once: a stop is only possible between two chunks."""
_SPARE = 1.5
OUTCOMES = ("encoded", "slow", "away", "unusable")
"""Of a drawn text: a vector; no time for it; no encoder that answers; an answer that fits nothing."""

Encoded = Mapping[Cell, Mapping[str, Sequence[Any]]]
"""Cell -> stream -> a vector for each drawn event, None for one without text."""
Count = Callable[[str, str, int], None]
"""Told of an encoder, an outcome and how many texts."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One event that was drawn for one stream, and how many coordinates the stream has."""

    cell: Cell
    stream: str
    text: str | None
    dimension: int


@dataclass(frozen=True, slots=True)
class BoundedEncoder:
    """An encoder, and what one flush may ask of it."""

    live: LiveEncoder
    texts_max: int
    timeout_s: float


def draw(buffer: Buffer, plans: Plans, encoder: str, texts_max: int) -> list[Drawn]:
    """The events whose ids hash lowest, at most ``texts_max``, in the order to encode them.

    Every model and feature has an equal part, or all that it has. However many of them are encoded
    in the end, they are those with the lowest hashes: a fair sample, the same in every worker.
    Events without an id or without features, and shadows' answers, are none.
    """
    groups: dict[tuple[str, str], list[tuple[int, Cell, Event]]] = {}
    for cell, events in buffer.predictions.items():
        plan = plans.models.get(cell[0])
        if plan is None or cell[2] == "shadow":
            continue
        for stream, name in plan.encode.items():
            if name == encoder:
                groups.setdefault((cell[0], stream), []).extend(
                    (crc32(event.id.encode(errors="replace")), cell, event)
                    for event in events
                    if event.id is not None and event.features is not None
                )
    parts = _parts({group: len(found) for group, found in groups.items()}, texts_max)
    drawn = []
    for (model, stream), found in sorted(groups.items()):
        layout = plans.models[model].layouts[stream]
        dimension = layout.dimension if isinstance(layout, VectorLayout) else 0
        lowest = nsmallest(parts[model, stream], found, key=lambda one: one[0])
        for place, (_, cell, event) in enumerate(lowest):
            text = (event.features or {}).get(stream)
            usable = text if isinstance(text, str) else None
            drawn.append((place, Drawn(cell, stream, usable, dimension)))
    return [one for _, one in sorted(drawn, key=lambda pair: pair[0])]


def _parts(sizes: Mapping[tuple[str, str], int], total: int) -> dict[tuple[str, str], int]:
    """How much of ``total`` each gets: the same, or all that it has where that is less."""
    parts, left = {}, total
    for place, key in enumerate(sorted(sizes, key=lambda key: (sizes[key], key))):
        parts[key] = min(sizes[key], left // (len(sizes) - place))
        left -= parts[key]
    return parts


class Texts:
    """The encoders of this worker. ``encode`` is for a thread: it waits, within their bounds."""

    def __init__(self, encoders: Mapping[str, BoundedEncoder], count: Count) -> None:
        self._encoders = encoders
        self._count = count
        self._complaints = Complaints(log)

    def encode(
        self, buffer: Buffer, plans: Plans, *, hurried: Callable[[], bool] = lambda: False
    ) -> Encoded:
        """Vectors of the texts that were drawn of this flush; of those that could not be had in time
        there is nothing, as if they had not been drawn. ``hurried``: whether to stop now."""
        wanted = {name for plan in plans.models.values() for name in plan.encode.values()}
        asked = [
            (name, draw(buffer, plans, name, self._texts_max(name))) for name in sorted(wanted)
        ]
        asked = [(name, drawn) for name, drawn in asked if drawn]
        found: dict[Cell, dict[str, list[Any]]] = {}
        if not asked:
            return found

        def answers(one: tuple[str, list[Drawn]]) -> list[tuple[Drawn, Any]]:
            return list(self._answers(*one, hurried))

        # One that hangs holds the flush up for its own time, not for that of all before it.
        with ThreadPoolExecutor(len(asked)) as pool:
            for part in pool.map(answers, asked):
                for one, vector in part:
                    found.setdefault(one.cell, {}).setdefault(one.stream, []).append(vector)
        return found

    def close(self) -> None:
        """End all of them."""
        for encoder in self._encoders.values():
            encoder.live.close()

    def _answers(
        self, name: str, drawn: Sequence[Drawn], hurried: Callable[[], bool]
    ) -> Iterator[tuple[Drawn, Any]]:
        """The drawn events in their order with their vectors, as far as time and encoder allow."""
        encoder = self._encoders.get(name)
        if encoder is None:
            self._skip(name, "away", drawn, "the settings name no such encoder")
            return
        encoder.live.start()
        if not encoder.live.ready:
            self._skip(name, "away", drawn, encoder.live.trouble)
            return
        deadline = steady_now() + encoder.timeout_s
        done, size = 0, 1
        while done < len(drawn):
            began = steady_now()
            if size < 1 or hurried():
                why = f"{encoder.timeout_s:g} s (timeout) are enough for {done} of {len(drawn)}"
                self._skip(name, "slow", drawn[done:], "" if hurried() else why)
                return
            chunk = drawn[done : done + size]
            answers = self._chunk(name, encoder.live, chunk, deadline - began)
            if answers is None:
                self._skip(name, "away", drawn[done:], encoder.live.trouble)
                return
            yield from answers
            done += len(chunk)
            # The next chunk is as large as what is left of the time allows, by what this one took.
            now = steady_now()
            each = _SPARE * max(now - began, 1e-6) / len(chunk)
            size = min(CHUNK_TEXTS, 2 * size, int((deadline - now) / each))

    def _texts_max(self, name: str) -> int:
        encoder = self._encoders.get(name)
        return 1 if encoder is None else encoder.texts_max

    def _chunk(
        self, name: str, live: LiveEncoder, chunk: Sequence[Drawn], timeout_s: float
    ) -> list[tuple[Drawn, Any]] | None:
        texts = [one.text for one in chunk if one.text is not None]
        if not texts:
            return [(one, None) for one in chunk]
        vectors = live.encode(texts, timeout_s)
        if vectors is None:
            return None
        rows = iter(vectors)
        pairs = [(one, None if one.text is None else next(rows)) for one in chunk]
        # What no stream can take says nothing of the texts: it is no missing value.
        fits = [pair for pair in pairs if self._usable(name, *pair, vectors.shape[1])]
        usable = sum(one.text is not None for one, _ in fits)
        self._count(name, "encoded", usable)
        self._count(name, "unusable", len(texts) - usable)
        return fits

    def _usable(self, name: str, one: Drawn, row: Any, dimension: int) -> bool:
        if one.dimension == dimension and (row is None or np.isfinite(row).all()):
            return True
        model, feature = one.cell[0], one.stream
        why = "its numbers are not finite"
        if one.dimension != dimension:
            why = (
                f"its vectors have {dimension} coordinates, those of the profile {one.dimension}: "
            )
            why += f"profile {feature} with this encoder, or name the profile's in the policy"
        self._complaints.say(
            f"{name} {model} {feature}", "skip texts", encoder=name, model=model, feature=feature,
            why=why,
        )  # fmt: skip
        return False

    def _skip(self, name: str, outcome: str, drawn: Sequence[Drawn], why: str) -> None:
        self._count(name, outcome, sum(one.text is not None for one in drawn))
        if why:
            self._complaints.say(name, "skip texts", encoder=name, why=why)
