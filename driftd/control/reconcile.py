"""The reconcile tick: what the registry and the router say, held against what the store wants."""

import asyncio
from collections.abc import Callable, Mapping

import msgspec
import structlog

from agents.events import RegistryObserved
from agents.ids import op_id
from agents.lifecycle import desired_routing
from agents.snapshot import Snapshot
from agents.stages.state import PREPARING, LifecycleState
from driftd.clients.registry import Registry
from driftd.control.doorbell import Doorbell, Ownership
from driftd.errors import OutsideError, UnreachableError
from driftd.routers.contract import Router
from driftd.store.store import Store
from driftd.telemetry import Complaints, Metrics
from policies.specs import ModelSpec

log = structlog.get_logger()

EVERY_S = 5.0


class Reconcile:
    """Observes the aliases of owned models and republishes their traffic in full.

    The topic of traffic is not compacted everywhere, and a server may start late: what holds now is
    told again and again. Both are level-triggered: missing one tick costs one tick.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        routers: Mapping[str, Router],
        specs: Callable[[], dict[str, ModelSpec]],
        ownership: Ownership,
        doorbell: Doorbell,
        metrics: Metrics | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._routers = routers
        self._specs = specs
        self._ownership = ownership
        self._doorbell = doorbell
        self._metrics = metrics or Metrics()
        self._complaints = Complaints(log)
        self._seen: dict[str, RegistryObserved] = {}
        self._owned_since = ownership.changed_at

    async def run(self) -> None:
        """Until cancelled; what is away is told once a minute and waited out."""
        while True:
            try:
                specs = await asyncio.to_thread(self._specs)
            except OutsideError as error:
                self._complaints.say("store", "miss reconcile", why=str(error))
                specs = {}
            away = False
            if self._ownership.changed_at != self._owned_since:
                # Another worker may have told something else since; what we told last says nothing.
                self._seen.clear()
                self._owned_since = self._ownership.changed_at
            for spec in specs.values():
                if self._ownership.owns(spec.model):
                    await self._tell(spec)
                    # One registry for all: where it hangs, each further question costs a deadline.
                    away = away or await self._look(spec)
            await asyncio.sleep(EVERY_S)

    async def _tell(self, spec: ModelSpec) -> None:
        try:
            await asyncio.to_thread(self._republish, spec)
        except OutsideError as error:
            self._complaints.say(
                f"{spec.model} traffic", "miss republish", model=spec.model, why=str(error)
            )
        except Exception:
            # A surprise in one model's tick is tried again; it must not end the worker.
            log.exception("fail republish", model=spec.model)

    async def _look(self, spec: ModelSpec) -> bool:
        """Whether the registry could not be reached."""
        try:
            if await asyncio.to_thread(self._observe, spec):
                self._doorbell.ring(spec.model)
        except OutsideError as error:
            self._complaints.say(spec.model, "miss reconcile", model=spec.model, why=str(error))
            return isinstance(error, UnreachableError)
        except Exception:
            log.exception("fail reconcile", model=spec.model)
        return False

    def _observe(self, spec: ModelSpec) -> bool:
        registry = spec.registry
        with self._metrics.asking("registry"):
            aliases = self._registry.aliases(registry.name)
        row = self._store.control.model_row(spec.model)
        lifecycle = Snapshot.from_bytes(row.snapshot, row.snapshot_format).lifecycle
        observed = RegistryObserved(
            champion=aliases.get(registry.champion),
            challenger=aliases.get(registry.challenger),
            previous=aliases.get(registry.previous),
            gone=self._gone(registry.name, lifecycle, aliases),
        )
        # No alias at all is told once as well, whether there ever was one or not.
        expected = lifecycle.champion if lifecycle.registry is not None else None
        agreed = observed.champion in (lifecycle.champion, expected)
        # A foreign move may have come before our own: the lifecycle believes it when it is told
        # again, so as long as the two differ each tick tells.
        if agreed and observed == self._seen.get(spec.model):
            return False
        # Seen again by a restarted worker at the same revision it is the same observation.
        seen = (*sorted(aliases.items()), *observed.gone)
        request = op_id(spec.model, "registry", row.revision, *seen)
        self._store.inbox.put(spec.model, "registry", msgspec.json.encode(observed), request)
        self._seen[spec.model] = observed
        return True

    def _gone(
        self, name: str, lifecycle: LifecycleState, aliases: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Versions that the lifecycle relies on and that were deleted.

        One that an alias names is there; so in quiet times nothing is asked.
        """
        candidate = lifecycle.rollout.candidate if lifecycle.rollout is not None else ""
        registered = candidate if lifecycle.stage not in PREPARING else ""
        relied = (lifecycle.champion, lifecycle.previous, registered)
        doubtful = sorted({one for one in relied if one} - set(aliases.values()))
        return self._registry.missing(name, doubtful) if doubtful else ()

    def _republish(self, spec: ModelSpec) -> None:
        if spec.canary is None:
            return
        row = self._store.control.model_row(spec.model)
        lifecycle = Snapshot.from_bytes(row.snapshot, row.snapshot_format).lifecycle
        routing = desired_routing(lifecycle, spec)
        router = self._routers.get(spec.canary.router)
        if routing is not None and router is not None:
            with self._metrics.asking("router"):
                router.republish([routing])
