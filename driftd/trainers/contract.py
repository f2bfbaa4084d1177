"""What a trainer is: it runs a training that an op_id names, once, wherever it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class JobStatus(StrEnum):
    """Where a job is. ``lost``: it ended and nobody can say how. ``unknown``: the back-end does not
    know it, or could not be asked, which says nothing about the job."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    UNKNOWN = "unknown"

    @property
    def ended(self) -> bool:
        """No later answer will differ."""
        return self in _ENDED


_ENDED = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.LOST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training. ``data``: the exported folder (train.parquet, manifest.json, and
    holdout.parquet when ``phase`` is ``gate``). Its result is the version of ``registry_name`` that
    carries the tag ``driftd.op_id``, never something printed."""

    op_id: str
    model: str
    registry_name: str
    data: Path
    phase: str
    tracking_uri: str
    ref: str = ""

    def environment(self) -> Mapping[str, str]:
        """What every trainer tells its job, besides what the settings allow it to see."""
        return {
            "DRIFTD_OP_ID": self.op_id,
            "DRIFTD_MODEL": self.model,
            "DRIFTD_REGISTRY_NAME": self.registry_name,
            "DRIFTD_DATA": str(self.data.absolute()),
            "DRIFTD_PHASE": self.phase,
            "DRIFTD_REF": self.ref,
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            # Its thread changes the environment while others read it, which fails now and then;
            # and a training does not report home.
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """An answer about a job; ``why`` is one sentence for people, ``log`` the end of its output."""

    status: JobStatus
    why: str = ""
    log: str = ""


class Trainer(Protocol):
    """Runs trainings. Blocking calls, safe from several threads and processes.

    The promises, which one suite of tests asks of every trainer: submitting an op_id twice, even at
    once, is one job; ``unknown`` is not ``failed``; waiting in a queue and running have time-outs
    of their own; cancelling twice is cancelling once; a new object (a restarted daemon) answers for
    the old one's jobs. Raises ``UnreachableError`` or ``RefusedError``.
    """

    def submit(self, job: Job) -> None:
        """Start the job, unless one with its op_id was ever started."""
        ...

    def status(self, op_id: str) -> JobState:
        """Where the job is."""
        ...

    def cancel(self, op_id: str) -> None:
        """Make it end soon, and everything it started; nothing if it has ended or never was."""
        ...
