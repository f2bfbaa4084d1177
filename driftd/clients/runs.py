"""Training runs of a registered model: which ones nobody needs to see any more, and putting them away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from driftd.clients.registry import OP_ID_TAG, Registry, quoted
from driftd.clients.steps import Steps
from driftd.errors import RefusedError

ARCHIVED_TAG = "driftd.archived"
EXPERIMENTS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A training run. ``version`` is empty where it led to none; ``kept`` says why it is not
    touched, and is empty where it may be put away. ``started`` in seconds since 1970."""

    run_id: str
    name: str
    version: str
    started: float
    archived: bool
    kept: str


class Runs:
    """The runs of one registered model. Blocking; raises as ``Registry`` does."""

    def __init__(self, registry: Registry, name: str) -> None:
        self._registry, self._name = registry, name

    def old(self, keep: int) -> list[Run]:
        """All runs of the model's trainings, newest first.

        A training's run carries the tag ``driftd.op_id`` or made a version. Kept are those of
        versions that an alias names, of the ``keep`` newest trainings, and those that still run.
        """
        steps = self._registry.steps(f"listing the runs of {self._name}")
        aliases = steps.aliases(self._name)
        versions = steps.pages("search_model_versions", f"name = '{quoted(self._name)}'")
        by_run = {str(one.run_id): str(one.version) for one in versions if one.run_id}
        if not by_run:
            raise RefusedError(
                f"{self._name} has no version with a run that this user may see; "
                "is this the registered model's name?"
            )
        found = _runs(steps, by_run)
        named: dict[str, list[str]] = {}
        for alias, version in sorted(aliases.items()):
            named.setdefault(version, []).append(alias)
        return [_told(run, by_run, named, at < keep, keep) for at, run in enumerate(found)]

    def archive(self, runs: Sequence[Run], at: str) -> None:
        """Tag runs as put away at a moment (RFC 3339); nothing is deleted. Twice is once."""
        for run in runs:
            self._steps(run).call("set_tag", run.run_id, ARCHIVED_TAG, at)

    def restore(self, runs: Sequence[Run]) -> None:
        """Take the tag off again."""
        for run in runs:
            self._steps(run).call("delete_tag", run.run_id, ARCHIVED_TAG)

    def _steps(self, run: Run) -> Steps:
        # A deadline each: how many there are must not make the last ones fail.
        return self._registry.steps(f"tagging run {run.run_id}")


def _runs(steps: Steps, by_run: Mapping[str, str]) -> list[Any]:
    """Runs of all experiments in which the versions were made, newest first."""
    found: dict[str, Any] = {}
    left = sorted(by_run, key=lambda run_id: int(by_run[run_id]))
    for _ in range(EXPERIMENTS_MAX):
        if not left:
            break
        experiment = steps.call("get_run", left.pop()).info.experiment_id
        for run in steps.pages("search_runs", [experiment]):
            if run.info.run_id in by_run or OP_ID_TAG in run.data.tags:
                found[run.info.run_id] = run
        left = [run_id for run_id in left if run_id not in found]
    return sorted(found.values(), key=lambda run: run.info.start_time, reverse=True)


def _told(
    run: Any, by_run: Mapping[str, str], named: Mapping[str, list[str]], young: bool, keep: int
) -> Run:
    version = by_run.get(run.info.run_id, "")
    kept = ""
    if version in named:
        kept = f"version {version} is {', '.join(named[version])}"
    elif run.info.status in {"RUNNING", "SCHEDULED"}:
        kept = "it still runs"
    elif young:
        kept = f"one of the {keep} newest"
    return Run(
        run_id=run.info.run_id,
        name=str(run.info.run_name or ""),
        version=version,
        started=run.info.start_time / 1000.0,
        archived=bool(run.data.tags.get(ARCHIVED_TAG)),
        kept=kept,
    )
