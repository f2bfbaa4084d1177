"""One call of `/predict`: draw versions, ask them, fail over, answer, record, shadow."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import structlog

from agents.commands import Route
from driftd.clock import steady_now, wall_now
from driftd.errors import DriftdError
from driftd.serving.assignment import Plan
from driftd.serving.bodies import Answered, Call, PredictAnswer, decode_body
from driftd.serving.child import ChildDiedError, ScoringError, UnfitError
from driftd.serving.events import Events
from driftd.serving.metrics import Metrics
from driftd.serving.served import OverloadedError
from driftd.serving.shadows import Shadows
from driftd.serving.switch import Switch

log = structlog.get_logger()

# How long a call waits for a process that is being restarted when nobody else can answer.
PATIENCE_S = 60.0
SAMPLE_ROWS = 16
_CANNOT = (ChildDiedError, ScoringError, OverloadedError)


class NotReadyError(DriftdError):
    """No version can answer yet; try again in a moment."""


@dataclass(frozen=True, slots=True)
class _Group:
    """The instances of a call that one version answers."""

    route: Route
    at: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Scored:
    group: _Group
    scores: Sequence[float]
    predictions: Sequence[str]


class Predictor:
    """Answers calls by the plan in force. Nothing is awaited between the draw and the asking."""

    def __init__(
        self, switch: Switch, events: Events, shadows: Shadows, metrics: Metrics,
        *, event_clock: bool,
    ) -> None:  # fmt: skip
        self._switch = switch
        self._events = events
        self._shadows = shadows
        self._metrics = metrics
        self._event_clock = event_clock
        self._encoder = msgspec.json.Encoder()

    async def predict(self, raw: bytes) -> bytes:
        """A body in, a body out. Raises BodyError, UnfitError, ScoringError, OverloadedError,
        NotReadyError or ChildDiedError; all of a call is answered, or nothing of it."""
        started = steady_now()
        call = decode_body(raw, wall_now(), event_clock=self._event_clock)
        plan = self._switch.plan
        if plan is None:
            raise NotReadyError
        groups = _draw(plan, call)
        if len(groups) == 1:
            scored = [await self._answer(plan, call, groups[0], started)]
        else:
            results = await asyncio.gather(
                *(self._answer(plan, call, group, started) for group in groups),
                return_exceptions=True,
            )
            scored = []
            for result in results:
                if isinstance(result, BaseException):
                    raise result
                scored.append(result)
        return self._conclude(plan, call, scored, started)

    def _conclude(self, plan: Plan, call: Call, scored: Sequence[_Scored], started: float) -> bytes:
        latency_ms = 1000 * (steady_now() - started)
        now = wall_now()
        answers: list[Answered | None] = [None] * len(call.rows)
        for part in scored:
            route, at = part.group.route, part.group.at
            self._metrics.answered(route.version, route.variant, len(at), now)
            self._events.answered(
                call, at, route,
                scores=part.scores, predictions=part.predictions, latency_ms=latency_ms,
            )  # fmt: skip
            for i, score, said in zip(at, part.scores, part.predictions, strict=True):
                answers[i] = Answered(call.ids[i], score, said, route.version, route.variant)
            self._shadow(plan, call, part.group)
        self._metrics.latency.observe(latency_ms / 1000)
        # Only what has been answered: a row that kills would kill each new process too.
        self._switch.fleet.sample = call.rows[:SAMPLE_ROWS]
        return self._encoder.encode(PredictAnswer([a for a in answers if a is not None]))

    def _shadow(self, plan: Plan, call: Call, group: _Group) -> None:
        if not plan.shadows:
            return
        beside: dict[str, list[int]] = {}
        if call.subject is not None:
            for version in plan.shadows_of(call.subject, group.route.version):
                beside[version] = list(group.at)
        else:
            for i in group.at:
                for version in plan.shadows_of(call.unit(i), group.route.version):
                    beside.setdefault(version, []).append(i)
        for version, at in beside.items():
            self._shadows.submit(call, at, version)

    async def _answer(self, plan: Plan, call: Call, group: _Group, started: float) -> _Scored:
        """Ask the drawn version; what it cannot answer goes to the fallback then in force."""
        is_last = group.route.version == plan.fallback.version
        try:
            return await self._ask(call, group, patient=is_last, alone=False)
        except _CANNOT as error:
            first = error
        if is_last and not isinstance(first, ChildDiedError):
            # Who refuses an instance or is too busy is no better a moment later.
            self._failed(call, group, first, started, replaced=False)
            raise first
        second = _Group((self._switch.plan or plan).fallback, group.at)
        try:
            scored = await self._ask(call, second, patient=True, alone=True)
        except UnfitError:
            raise  # Nobody takes these instances: the caller is to blame, no version.
        except _CANNOT as error:
            self._failed(call, group, first, started, replaced=True)
            self._failed(call, second, error, started, replaced=False)
            raise
        self._failed(call, group, first, started, replaced=True)
        self._metrics.failed_over.labels(group.route.version).inc(len(group.at))
        return scored

    def _failed(
        self, call: Call, group: _Group, error: Exception, started: float, *, replaced: bool
    ) -> None:
        if isinstance(error, UnfitError) and not replaced:
            return
        route, latency_ms = group.route, 1000 * (steady_now() - started)
        log.warning(
            "could not answer", version=route.version, variant=route.variant,
            instances=len(group.at), replaced=replaced, error=str(error),
        )  # fmt: skip
        self._metrics.failures.labels(route.version, route.variant).inc(len(group.at))
        self._events.failed(call, group.at, route, str(error), latency_ms, replaced=replaced)

    async def _ask(self, call: Call, group: _Group, *, patient: bool, alone: bool) -> _Scored:
        served = self._switch.fleet.get(group.route.version)
        if served is None:
            raise ChildDiedError(f"version {group.route.version} has left")
        rows = call.rows if len(group.at) == len(call.rows) else [call.rows[i] for i in group.at]
        try:
            async with asyncio.timeout(PATIENCE_S):
                scores = await served.score(rows, patient=patient, alone=alone)
        except UnfitError as error:
            # The caller counts in his call, the version in what it was asked.
            raise UnfitError(error.what, group.at[error.at]) from None
        except TimeoutError:
            raise ChildDiedError(
                f"version {group.route.version} gave no answer in {PATIENCE_S:g} s: "
                f"{served.problem or 'it is busy'}"
            ) from None
        return _Scored(group, scores, served.named(scores))


def _draw(plan: Plan, call: Call) -> list[_Group]:
    everything = range(len(call.rows))
    if call.subject is not None or len(plan.routes) == 1:
        return [_Group(plan.route(call.unit(0)), everything)]
    drawn: dict[Route, list[int]] = {}
    for i in everything:
        drawn.setdefault(plan.route(call.unit(i)), []).append(i)
    return [_Group(route, at) for route, at in drawn.items()]
