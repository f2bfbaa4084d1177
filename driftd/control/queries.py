"""Reads the policies' PromQL queries, a bucket at a time, and puts the values into the inbox."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from agents.events import QueryRead
from agents.ids import op_id
from driftd.clients.prometheus import SECTION, PrometheusClient, filled
from driftd.clock import wall_now
from driftd.control.reading import answer_of
from driftd.errors import OutsideError, RefusedError
from driftd.sections import PrometheusSettings
from driftd.store.store import Store
from driftd.telemetry import Complaints, Metrics
from policies.queries import is_comparable
from policies.specs import ModelSpec
from policies.units import amount_text

log = structlog.get_logger()

POLL_S = 1.0
# How long after a bucket's end it is asked for: its last sample must have been scraped.
SETTLE_S = 5.0
# A query that failed is asked again after so long.
AGAIN_S = 10.0
STEP_S = 60.0
# Prometheus gives 11,000 points at most, and a bucket may be days long.
STEPS_MAX = 1_440
POINTS_MAX = 10_000
_EDGE_S = 1e-3
BUCKETS_MAX = 200
AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One query of one model. ``window_s``: the longest window of its rules."""

    spec: ModelSpec
    query: str
    window_s: float

    @property
    def bucket_s(self) -> float:
        """The grain of the model's rules."""
        return self.spec.clock.bucket_s

    @property
    def steps(self) -> int:
        """Values a bucket: about one a minute, whole seconds apart."""
        whole = round(self.bucket_s)
        longest = max(STEP_S, whole / STEPS_MAX)
        steps = next(n for n in range(1, whole + 1) if whole % n == 0 and whole / n <= longest)
        return steps if steps <= POINTS_MAX else 1


class Queries:
    """Polls Prometheus for the models that this worker owns; under the event clock it does nothing.

    A bucket's answer is one inbox row, named by model, query and bucket: two workers that ask for
    the same write it once, and a step stays a function of the store. A Prometheus that is away, a
    query without series and one with several give no value, and no value never fires.
    """

    def __init__(
        self,
        settings: PrometheusSettings,
        store: Store,
        metrics: Metrics,
        *,
        specs: Callable[[], Mapping[str, ModelSpec]],
        owns: Callable[[str], bool],
        ring: Callable[[str], None],
        event_clock: bool = False,
        client: PrometheusClient | None = None,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._queries = settings.queries
        self._client = client or PrometheusClient(settings)
        self._store = store
        self._metrics = metrics
        self._specs = specs
        self._owns = owns
        self._ring = ring
        self._event_clock = event_clock
        self._settle_s = settle_s
        self._complaints = Complaints(log)
        self._until: dict[tuple[str, str], float] = {}
        self._not_before: dict[tuple[str, str], float] = {}
        self._limit = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            if self._event_clock:
                # Prometheus knows wall time only; `driftd check` says so of each such rule.
                await asyncio.Event().wait()
            while True:
                wanted = self._wanted(await self._known())
                now = wall_now()
                await asyncio.gather(*(self._one(asked, now) for asked in wanted))
                await asyncio.sleep(POLL_S)
        finally:
            await self._client.aclose()

    async def _known(self) -> Mapping[str, ModelSpec]:
        try:
            return await asyncio.to_thread(self._specs)
        except OutsideError as error:
            self._complaints.say("store", "wait for store", why=str(error))
            return {}

    def _wanted(self, specs: Mapping[str, ModelSpec]) -> list[Asked]:
        found = []
        for spec in specs.values():
            windows: dict[str, float] = {}
            for rule in spec.rules:
                if rule.query:
                    windows[rule.query] = max(windows.get(rule.query, 0.0), rule.over_s)
            if windows and self._owns(spec.model):
                found += [Asked(spec=spec, query=q, window_s=w) for q, w in sorted(windows.items())]
        keys = {(asked.spec.model, asked.query) for asked in found}
        # Of a model that comes back later its new owner has asked meanwhile.
        self._until = {key: end for key, end in self._until.items() if key in keys}
        self._not_before = {key: at for key, at in self._not_before.items() if key in keys}
        return found

    async def _one(self, asked: Asked, now: float) -> None:
        key = (asked.spec.model, asked.query)
        if now < self._not_before.get(key, 0.0):
            return
        bucket_s = asked.bucket_s
        upto = math.floor((now - self._settle_s) / bucket_s) * bucket_s
        # What a window cannot hold any more need not be asked; a fresh worker fills a whole window.
        span = min(asked.window_s, BUCKETS_MAX * bucket_s)
        since = max(self._until.get(key, 0.0), upto - span)
        if since >= upto:
            return
        try:
            async with self._limit:
                await self._read(asked, since, upto)
        except OutsideError as error:
            self._not_before[key] = now + AGAIN_S
            outcome = "mistake" if isinstance(error, RefusedError) else "failed"
            self._metrics.missed(SECTION)
            self._tell(asked, outcome, str(error))
            return
        except Exception:
            # A surprise in one query is tried again; it must not end the worker.
            self._not_before[key] = now + AGAIN_S
            log.exception("fail query", model=asked.spec.model, query=asked.query)
            return
        self._until[key] = upto
        self._metrics.reached(SECTION)

    async def _read(self, asked: Asked, since: float, upto: float) -> None:
        promql = self._queries.get(asked.query)
        if promql is None:
            raise RefusedError(f"the settings name no query {asked.query!r} (prometheus.queries)")
        step = asked.bucket_s / asked.steps
        text = filled(promql, asked.spec.model)
        values: dict[float, float] = {}
        a_call = max(1, POINTS_MAX // asked.steps) * asked.bucket_s
        while since < upto:
            end = min(upto, since + a_call)
            values |= await self._client.values(text, since + step, end, step)
            await asyncio.to_thread(self._put, asked, since, end, values)
            since = end
        self._check(asked, values)
        self._ring(asked.spec.model)

    def _put(self, asked: Asked, since: float, upto: float, values: Mapping[float, float]) -> None:
        for index in range(round((upto - since) / asked.bucket_s)):
            start = since + index * asked.bucket_s
            end = start + asked.bucket_s
            inside = [v for at, v in values.items() if start + _EDGE_S < at <= end + _EDGE_S]
            whole = len(inside) == asked.steps
            read = QueryRead(
                query=asked.query,
                start=start,
                end=end,
                low=min(inside) if whole else None,
                high=max(inside) if whole else None,
            )
            model = asked.spec.model
            once = op_id(model, "query", asked.query, start, end)
            if self._store.inbox.put(model, "operator", answer_of(read), once):
                outcome = "answered" if whole else "empty"
                self._metrics.queries.labels(query=asked.query, outcome=outcome).inc()

    def _check(self, asked: Asked, values: Mapping[float, float]) -> None:
        """Tell what no rule can be held against; the watcher takes it for no value by itself."""
        if not values:
            why = "there is no such series; nothing is compared"
            self._complaints.say(f"{asked.spec.model} {asked.query}", "miss query",
                                 model=asked.spec.model, query=asked.query, why=why)  # fmt: skip
            return
        newest = values[max(values)]
        for rule in asked.spec.rules:
            if rule.query == asked.query and not is_comparable(rule.amount, newest):
                why = (
                    f"its value is {newest:.6g}, and {amount_text(rule.amount)} compares with a "
                    f"share of 1: divide the query by 100 in prometheus.queries, or write "
                    f"{rule.comparison}: {rule.amount.value:g} in the policy"
                )
                self._tell(asked, "mistake", why)
                return
        self._complaints.over(f"{asked.spec.model} {asked.query}")

    def _tell(self, asked: Asked, outcome: str, why: str) -> None:
        self._metrics.queries.labels(query=asked.query, outcome=outcome).inc()
        self._complaints.say(f"{asked.spec.model} {asked.query}", "miss query",
                             model=asked.spec.model, query=asked.query, why=why)  # fmt: skip
