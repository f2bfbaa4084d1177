"""Trainings and evaluations: data from the archive, a child process, a version in the registry."""

import asyncio
from pathlib import Path

import structlog

from agents.commands import Evaluate, Train
from detectors.profile import Profile
from driftd.control.apart import apart
from driftd.control.executor import Ended, Handler
from driftd.control.handlers import World
from driftd.data.evaluate import evaluate
from driftd.data.export import TRAIN, export_training
from driftd.data.reference import reference_profile
from driftd.errors import MistakeError, RefusedError
from driftd.trainers.contract import Job, JobStatus, Trainer

log = structlog.get_logger()

POLL_S = 0.2


def training_handlers(world: World) -> dict[str, Handler]:
    """The handlers of the long commands."""
    return {"train": Training(world), "evaluate": Evaluation(world)}


class Training:
    """Exports, submits, waits. Submitting an op_id twice is one job, so a restarted daemon that
    repeats the command finds the job where it left it."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def __call__(self, command: Train, attempt: int) -> Ended:
        trainer = self._world.trainers.get(command.trainer)
        if trainer is None:
            known = ", ".join(sorted(self._world.trainers)) or "none"
            raise RefusedError(f"no trainer {command.trainer!r} in the settings; known: {known}")
        spec = await self._world.spec_of(command.model)
        registry, name = self._world.registry, spec.registry.name
        folder = self._world.work / "exports" / command.op_id
        version = await asyncio.to_thread(registry.version_by_op_id, name, command.op_id)
        if version is None:
            ended = await self._train(trainer, command, folder, name)
            if ended is not None:
                return ended
            version = await asyncio.to_thread(registry.version_by_op_id, name, command.op_id)
        if version is None:
            return Ended(
                outcome="failed",
                reason=f"the job ended well, but no version of {name} is tagged with its op_id "
                f"{command.op_id}: the training script must set the tag driftd.op_id",
            )
        if command.phase == "refit":
            await self._profile(command, folder, version)
        run_id = await asyncio.to_thread(registry.run_id, name, version)
        return Ended(result={"version": version, "run_id": run_id})

    async def _train(
        self, trainer: Trainer, command: Train, folder: Path, name: str
    ) -> Ended | None:
        known = await asyncio.to_thread(trainer.status, command.op_id)
        if known.status is JobStatus.UNKNOWN:
            # A job that runs already reads its data: it must not change under it.
            try:
                await self._export(command, folder)
            except MistakeError as error:
                return Ended(outcome="failed", reason=str(error))
        job = Job(
            op_id=command.op_id,
            model=command.model,
            registry_name=name,
            data=folder,
            phase=command.phase,
            tracking_uri=self._world.registry.tracking_uri,
            ref=command.ref,
        )
        await asyncio.to_thread(trainer.submit, job)
        while True:
            state = await asyncio.to_thread(trainer.status, command.op_id)
            if state.status is JobStatus.SUCCEEDED:
                return None
            if state.status.ended:
                tail = f"; the end of its output: {state.log[-500:]}" if state.log else ""
                reason = f"the training {state.status.value}: {state.why}{tail}"
                return Ended(outcome="failed", reason=reason)
            await asyncio.sleep(POLL_S)

    async def _export(self, command: Train, folder: Path) -> None:
        spec = await self._world.spec_of(command.model)
        await apart(
            export_training,
            self._world.archive,
            command.model,
            command.since,
            command.until,
            folder,
            phase=command.phase,
            holdout=command.holdout,
            positive=spec.labels.positive,
            without=command.without,
        )

    async def _profile(self, command: Train, folder: Path, version: str) -> None:
        # The edges belong to the model: the new version's training window is counted on them.
        row = await asyncio.to_thread(self._world.store.profiles.current, command.model)
        layouts = Profile.from_bytes(row.blob).layouts if row is not None else None
        if not (folder / TRAIN).exists():
            await self._export(command, folder)
        spec = await self._world.spec_of(command.model)
        scorer = self._world.scorer(spec.registry.name)
        profile = await apart(reference_profile, folder, scorer, version, layouts)
        log_profile = self._world.registry.log_profile
        await asyncio.to_thread(log_profile, spec.registry.name, version, profile.to_bytes())


class Evaluation:
    """Exports the same window, scores what was withheld with both versions, applies the gate."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def __call__(self, command: Evaluate, attempt: int) -> Ended:
        spec = await self._world.spec_of(command.model)
        folder = self._world.work / "exports" / command.op_id
        try:
            await apart(
                export_training,
                self._world.archive,
                command.model,
                command.since,
                command.until,
                folder,
                phase="gate",
                holdout=command.holdout,
                positive=spec.labels.positive,
                without=command.without,
            )
        except MistakeError as error:
            return Ended(result={"verdict": "not_evaluable", "reasons": [str(error)]})
        found = await apart(evaluate, command, folder, self._world.scorer(spec.registry.name))
        return Ended(result=found.to_dict())
