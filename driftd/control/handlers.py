"""One handler a kind of command: what the lifecycle wants, done by trainers, registry and router."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from agents.commands import (
    LoadProfile,
    MarkChallenger,
    MoveAlias,
    PublishDecisions,
    SetTraffic,
    TagVersion,
)
from detectors.profile import Profile
from driftd.clients.environment import model_environment
from driftd.clients.registry import Registry
from driftd.control.executor import Ended, Handler
from driftd.data.archive import Archive
from driftd.data.evaluate import Scorer
from driftd.data.fitness import Fitness, fitness, recent_requests
from driftd.errors import RefusedError, UnreachableError
from driftd.routers.contract import Router
from driftd.sections import MlflowSettings
from driftd.store.store import Store
from driftd.trainers.contract import Trainer
from policies.specs import ModelSpec

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that the handlers reach for."""

    store: Store
    archive: Archive
    registry: Registry
    trainers: Mapping[str, Trainer]
    routers: Mapping[str, Router]
    work: Path
    spec: Callable[[str], ModelSpec | None]
    """Blocks on the store; see ``spec_of``."""
    publish: Callable[[bytes, bytes], Any]
    """Coroutine function: (key, value) to the topic of decisions."""
    mlflow: MlflowSettings = field(default_factory=MlflowSettings)

    def scorer(self, registry_name: str) -> Scorer:
        """Where the versions of a model come from, for the children that load them."""
        return Scorer(
            registry_name=registry_name,
            tracking_uri=self.registry.tracking_uri,
            python=str(self.mlflow.python or sys.executable),
            registry_env=model_environment(self.mlflow),
            memory_bytes=self.mlflow.load_memory_bytes,
            other_versions=self.mlflow.other_versions,
        )

    async def spec_of(self, model: str) -> ModelSpec:
        """The policy in force; refused where it was withdrawn meanwhile."""
        spec = await asyncio.to_thread(self.spec, model)
        if spec is None:
            raise RefusedError(f"{model} has no policy any more")
        return spec


def handlers(world: World) -> dict[str, Handler]:
    """kind of command -> its handler; trainings and evaluations stand in ``control.training``."""
    return {
        "traffic": Traffic(world),
        "alias": Aliases(world),
        "challenger": Challenger(world),
        "tag": Tags(world),
        "profile": Profiles(world),
        "decisions": Decisions(world),
    }


class _OfWorld:
    def __init__(self, world: World) -> None:
        self._world = world


class Traffic(_OfWorld):
    """Makes the router's traffic equal the routing. A repeated epoch is the same routing."""

    async def __call__(self, command: SetTraffic, attempt: int) -> Ended:
        router = self._world.routers.get(command.router)
        if router is None:
            known = ", ".join(sorted(self._world.routers)) or "none"
            raise RefusedError(f"no router {command.router!r} in the settings; known: {known}")
        await asyncio.to_thread(router.apply, command.routing)
        return Ended(result={"epoch": command.routing.epoch})


class Aliases(_OfWorld):
    """Moves the champion alias by the registry's protocol."""

    async def __call__(self, command: MoveAlias, attempt: int) -> Ended:
        return Ended(result=await asyncio.to_thread(self._world.registry.move_champion, command))


class Challenger(_OfWorld):
    """Marks a version as challenger; refused if it cannot run in the serving environment.

    Ours and those of other pipelines alike: what was trained or gated elsewhere says nothing of
    the environment that serves. Result: ``version``, ``warnings``.
    """

    async def __call__(self, command: MarkChallenger, attempt: int) -> Ended:
        world, version = self._world, command.version
        await asyncio.to_thread(world.registry.tags, command.registry, version)
        found = await asyncio.to_thread(self._fitness, command)
        if found.refused:
            raise RefusedError(f"version {version} cannot serve: {'; '.join(found.refused)}")
        marked = await asyncio.to_thread(world.registry.mark, command)
        return Ended(result={**marked, "warnings": list(found.warnings)})

    def _fitness(self, command: MarkChallenger) -> Fitness:
        sample = recent_requests(self._world.archive, command.model)
        scorer = self._world.scorer(command.registry)
        quick = replace(scorer, timeout_s=self._world.mlflow.load_timeout_s)
        return fitness(quick, command.version, sample)


class Tags(_OfWorld):
    """Tags a version."""

    async def __call__(self, command: TagVersion, attempt: int) -> Ended:
        return Ended(result=await asyncio.to_thread(self._world.registry.tag, command))


class Profiles(_OfWorld):
    """Brings a version's reference profile from the registry into the store."""

    async def __call__(self, command: LoadProfile, attempt: int) -> Ended:
        return await asyncio.to_thread(self._load, command)

    def _load(self, command: LoadProfile) -> Ended:
        registry, name = self._world.registry, command.registry
        version = command.version or registry.aliases(name).get(command.champion_alias, "")
        if not version:
            raise RefusedError(
                f"{name} has no alias {command.champion_alias!r}: point it at the version that "
                "serves (MlflowClient.set_registered_model_alias)"
            )
        blob = registry.profile_bytes(name, version)
        if blob is None:
            raise RefusedError(
                f"{name} {version} has no reference profile: make one from its training data with "
                "`driftd data profile` and log it with the version"
            )
        Profile.from_bytes(blob)
        profile_id = self._world.store.profiles.put(command.model, version, blob)
        return Ended(result={"version": version, "profile_id": profile_id})


class Decisions(_OfWorld):
    """Publishes the journal's new lines, one record a decision, keyed by model."""

    async def __call__(self, command: PublishDecisions, attempt: int) -> Ended:
        for decided in command.decisions:
            value = {"v": 1, "model": command.model, **msgspec.to_builtins(decided)}
            try:
                await self._world.publish(command.model.encode(), msgspec.json.encode(value))
            except MessageSizeTooLargeError as error:
                raise RefusedError(f"the broker takes no record of this size: {error}") from error
            except KafkaError as error:
                raise UnreachableError(f"the broker did not take a decision: {error!r}") from error
        return Ended()
