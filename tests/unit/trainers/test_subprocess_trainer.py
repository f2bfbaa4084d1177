"""What only the subprocess trainer promises: it finds its processes again, or says they are lost."""

import json
import os
import signal
import sys
import threading
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from driftd.errors import MistakeError
from driftd.settings import Settings
from driftd.trainers import catalog
from driftd.trainers.catalog import TRAINERS, build_trainers
from driftd.trainers.contract import Job, JobState, JobStatus, Trainer
from driftd.trainers.subprocess import SubprocessTrainer

OP_ID = "00112233aabbccdd"
FOREVER = "import time; time.sleep(600)"


def _trainer(tmp_path: Path, code: str, memory_bytes: int = 0) -> SubprocessTrainer:
    return SubprocessTrainer(
        command=[sys.executable, "-c", code], work=tmp_path, memory_bytes=memory_bytes, grace_s=1.0
    )


def _job(tmp_path: Path) -> Job:
    return Job(
        op_id=OP_ID,
        model="m",
        registry_name="m",
        data=tmp_path,
        phase="refit",
        tracking_uri="http://127.0.0.1:5000",
    )


def _ended(trainer: Trainer) -> JobState:
    pause = threading.Event()
    while not (state := trainer.status(OP_ID)).status.ended:
        pause.wait(0.02)
    return state


def test_a_killed_keeper_is_a_lost_job_whose_command_does_not_run_on(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = f"import os; open({str(pid_file)!r}, 'w').write(str(os.getpid()))\n{FOREVER}"
    trainer = _trainer(tmp_path, code)
    trainer.submit(_job(tmp_path))
    pause = threading.Event()
    while not (pid_file.exists() and pid_file.read_text(encoding="utf-8")):
        pause.wait(0.02)
    claim = json.loads((tmp_path / "jobs" / OP_ID / "claim.json").read_text(encoding="utf-8"))
    os.kill(claim["pid"], signal.SIGKILL)
    assert _ended(trainer).status is JobStatus.LOST
    command = Path(f"/proc/{pid_file.read_text(encoding='utf-8')}/stat")
    while (
        command.exists() and command.read_text(encoding="utf-8").rpartition(")")[2][1] not in "ZX"
    ):
        pause.wait(0.02)


def test_a_submission_cut_short_is_unknown_and_submitting_again_runs_it(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, "pass")
    (tmp_path / "jobs" / OP_ID).mkdir(parents=True)
    assert trainer.status(OP_ID).status is JobStatus.UNKNOWN
    trainer.submit(_job(tmp_path))
    assert _ended(trainer).status is JobStatus.SUCCEEDED


def test_another_process_with_the_same_pid_is_not_the_job(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, FOREVER)
    folder = tmp_path / "jobs" / OP_ID
    folder.mkdir(parents=True)
    claim = {"pid": os.getpid(), "start": 1, "boot": "before the reboot"}
    (folder / "claim.json").write_text(json.dumps(claim), encoding="utf-8")
    assert trainer.status(OP_ID).status is JobStatus.LOST
    trainer.cancel(OP_ID)  # and it is not killed: this test goes on


def test_a_job_that_needs_too_much_memory_fails_alone(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, "bytearray(2 ** 31)", memory_bytes=2**29)
    trainer.submit(_job(tmp_path))
    state = _ended(trainer)
    assert state.status is JobStatus.FAILED
    assert state.log.endswith("MemoryError")


def test_a_command_that_does_not_exist_says_so(tmp_path: Path) -> None:
    trainer = SubprocessTrainer(command=["no-such-trainer"], work=tmp_path)
    trainer.submit(_job(tmp_path))
    assert "no-such-trainer" in _ended(trainer).why


def test_what_the_settings_allow_stands_in_no_file(tmp_path: Path) -> None:
    trainer = SubprocessTrainer(
        command=[sys.executable, "-c", "import os; assert len(os.environ['KEY']) == 6"],
        work=tmp_path,
        env={"KEY": "s3cret"},
    )
    trainer.submit(_job(tmp_path))
    assert _ended(trainer).status is JobStatus.SUCCEEDED
    files = [file for file in (tmp_path / "jobs").rglob("*") if file.is_file()]
    assert files
    assert not any(b"s3cret" in file.read_bytes() for file in files)


def test_trainers_are_built_from_the_settings(tmp_path: Path) -> None:
    section = {"command": ["python", "-m", "train"], "run_timeout": "30m", "memory": "1GiB"}
    settings = Settings.model_validate({"work": str(tmp_path), "trainers": {"tabular": section}})
    trainer = build_trainers(settings)["tabular"]
    assert isinstance(trainer, SubprocessTrainer)
    assert (trainer.run_timeout_s, trainer.memory_bytes, trainer.at_once) == (1800.0, 2**30, 1)
    assert list(TRAINERS) == sorted(TRAINERS)


def _settings(tmp_path: Path, kind: str) -> Settings:
    section = {"kind": kind, "command": ["train"]}
    return Settings.model_validate({"work": str(tmp_path), "trainers": {"mine": section}})


def test_an_unknown_kind_is_a_mistake_that_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        MistakeError, match=r"trainers\.mine\.kind: no kind 'ray'; there is subproc"
    ):
        build_trainers(_settings(tmp_path, "ray"))


def test_another_package_may_bring_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("ray", f"{catalog.__name__}:_subprocess", catalog.ENTRY_POINTS)
    monkeypatch.setattr(
        catalog, "entry_points", lambda group: EntryPoints([entry]).select(group=group)
    )
    trainer = build_trainers(_settings(tmp_path, "ray"))["mine"]
    assert isinstance(trainer, SubprocessTrainer)
