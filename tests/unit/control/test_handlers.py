"""Handlers make commands true; what they cannot reach is never given up, and no loop waits for a store."""

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from agents.commands import Decided, PublishDecisions, Train
from driftd.clients.registry import Registry
from driftd.control.handlers import Decisions, World
from driftd.control.training import Training
from driftd.data.archive import Archive
from driftd.errors import RefusedError, UnreachableError
from driftd.store.store import Store
from driftd.trainers.contract import Job, JobState, JobStatus, Trainer
from policies.checker import check
from policies.specs import ModelSpec

LINE = Decided(at=1.0, what="train", why="w", by="policy")
TOLD = PublishDecisions(op_id="d", model="m", decisions=(LINE,))
TRAIN = Train(
    op_id="t", model="m", trainer="tabular", phase="gate", attempt=1, since=0.0, until=1.0,
    holdout=0.2,
)  # fmt: skip


class Versions:
    """A registry in which the job's version appears once the job was looked at."""

    tracking_uri = "http://127.0.0.1:1"

    def __init__(self) -> None:
        self.asked = 0

    def version_by_op_id(self, _name: str, _op_id: str) -> str | None:
        self.asked += 1
        return "2" if self.asked > 1 else None

    def run_id(self, _name: str, _version: str) -> str:
        return "run"


class Found:
    """A trainer that has the job already."""

    def __init__(self) -> None:
        self.submitted: list[str] = []

    def submit(self, job: Job) -> None:
        self.submitted.append(job.op_id)

    def status(self, _op_id: str) -> JobState:
        return JobState(status=JobStatus.SUCCEEDED)

    def cancel(self, _op_id: str) -> None:
        return


def world(
    folder: Path, publish: Any = None, trainers: Mapping[str, Trainer] | None = None
) -> World:
    """Surroundings without a store; the spec says in which thread it was read."""

    def spec(_model: str) -> ModelSpec | None:
        assert threading.current_thread() is not threading.main_thread()
        return check({"model": "m"})[0]

    return World(
        store=cast("Store", None),
        archive=Archive(str(folder / "archive")),
        registry=cast("Registry", Versions()),
        trainers=trainers or {},
        routers={},
        work=folder,
        spec=spec,
        publish=publish,
    )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [(KafkaConnectionError(), UnreachableError), (MessageSizeTooLargeError(), RefusedError)],
    ids=["a broker that is away", "a record that is too large"],
)
def test_a_decision_is_published_again_until_the_broker_takes_it(
    tmp_path: Path, wrong: Exception, told: type[Exception]
) -> None:
    async def publish(_key: bytes, _value: bytes) -> None:
        raise wrong

    with pytest.raises(told):
        asyncio.run(Decisions(world(tmp_path, publish))(TOLD, 1))


def test_a_job_that_was_submitted_before_is_found_and_its_data_left_alone(tmp_path: Path) -> None:
    trainer = Found()

    ended = asyncio.run(Training(world(tmp_path, trainers={"tabular": trainer}))(TRAIN, 2))

    assert ended.result == {"version": "2", "run_id": "run"}
    assert not (tmp_path / "exports").exists()
