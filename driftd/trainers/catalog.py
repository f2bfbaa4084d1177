"""The shelf of trainers: one written line a kind; others come by entry points ``driftd.trainers``."""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points

from driftd.errors import MistakeError
from driftd.sections import TrainerSettings
from driftd.settings import Settings
from driftd.trainers.contract import Trainer
from driftd.trainers.subprocess import SubprocessTrainer

# What builds a trainer from its section of the settings and all of them.
Build = Callable[[TrainerSettings, Settings], Trainer]
ENTRY_POINTS = "driftd.trainers"


def _subprocess(trainer: TrainerSettings, settings: Settings) -> Trainer:
    return SubprocessTrainer(
        command=trainer.command,
        work=settings.work,
        env=trainer.env,
        pass_env=trainer.pass_env,
        run_timeout_s=trainer.run_timeout_s,
        queue_timeout_s=trainer.queue_timeout_s,
        memory_bytes=trainer.memory_bytes,
        # 0 stops the control loop from starting any; a job that runs already still needs its place.
        at_once=max(1, settings.limits.trainings_at_once),
    )


TRAINERS: Mapping[str, Build] = {
    "subprocess": _subprocess,
}


def build_trainers(settings: Settings) -> dict[str, Trainer]:
    """Name -> trainer, for each one the settings name. Raises ``MistakeError`` for unknown kinds."""
    others = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    made = {}
    for name, section in sorted(settings.trainers.items()):
        build = TRAINERS.get(section.kind)
        if build is None and section.kind in others:
            build = others[section.kind].load()
        if build is None:
            known = ", ".join(sorted({*TRAINERS, *others}))
            raise MistakeError(f"trainers.{name}.kind: no kind {section.kind!r}; there is {known}")
        made[name] = build(section, settings)
    return made
