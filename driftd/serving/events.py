"""What the server tells the world about its answers: one event an instance, through the recorder."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from agents.commands import Route
from driftd.serving.bodies import Call

SHADOW = "shadow"


class RecorderLike(Protocol):
    """The part of `driftd_recorder.Recorder` that is used: it never blocks and never raises."""

    def prediction(
        self, *, model: str, version: str, variant: str, ts: float,
        features: Mapping[str, float | str | None] | None = None, score: float | None = None,
        prediction: str | float | None = None, latency_ms: float | None = None,
        error: str | None = None, subject: str | None = None,
        segment: Mapping[str, str] | None = None, shadow_of: str | None = None,
        id: str | None = None,  # noqa: A002  (the recorder's word)
    ) -> str | None: ...  # fmt: skip


class Events:
    """Writes the events of one model's answers."""

    def __init__(self, recorder: RecorderLike, model: str) -> None:
        self._recorder = recorder
        self._model = model

    def answered(
        self, call: Call, at: Sequence[int], route: Route, *, scores: Sequence[float],
        predictions: Sequence[str], latency_ms: float,
    ) -> None:  # fmt: skip
        """Live answers to the instances `at`."""
        for i, score, prediction in zip(at, scores, predictions, strict=True):
            self._recorder.prediction(
                model=self._model, version=route.version, variant=route.variant, ts=call.ts,
                features=call.rows[i], score=score, prediction=prediction, latency_ms=latency_ms,
                subject=call.subject, segment=call.segment, id=call.ids[i],
            )  # fmt: skip

    def failed(
        self, call: Call, at: Sequence[int], route: Route, error: str, latency_ms: float,
        *, replaced: bool,
    ) -> None:  # fmt: skip
        """A version could not answer. `replaced`: another one does, under the given ids."""
        for i in at:
            self._recorder.prediction(
                model=self._model, version=route.version, variant=route.variant, ts=call.ts,
                features=call.rows[i], error=error, latency_ms=latency_ms, subject=call.subject,
                segment=call.segment, id=None if replaced else call.ids[i],
            )  # fmt: skip

    def shadowed(
        self, call: Call, at: Sequence[int], version: str, *, scores: Sequence[float],
        predictions: Sequence[str], latency_ms: float,
    ) -> None:  # fmt: skip
        """Background answers of `version` beside the live ones."""
        for i, score, prediction in zip(at, scores, predictions, strict=True):
            self._recorder.prediction(
                model=self._model, version=version, variant=SHADOW, ts=call.ts,
                features=call.rows[i], score=score, prediction=prediction, latency_ms=latency_ms,
                subject=call.subject, segment=call.segment, shadow_of=call.ids[i],
            )  # fmt: skip

    def shadow_failed(self, call: Call, at: Sequence[int], version: str, error: str) -> None:
        """`version` could not answer beside."""
        for i in at:
            self._recorder.prediction(
                model=self._model, version=version, variant=SHADOW, ts=call.ts,
                features=call.rows[i], error=error, subject=call.subject, segment=call.segment,
                shadow_of=call.ids[i],
            )  # fmt: skip
