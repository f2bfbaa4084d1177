"""Candidates from other pipelines: those that cannot serve are refused before a request reaches them."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agents.commands import MarkChallenger
from driftd.clients.registry import Registry
from driftd.clients.steps import make_client
from driftd.control.executor import Ended
from driftd.control.handlers import Challenger, World
from driftd.data.archive import Archive
from driftd.data.evaluate import Scorer
from driftd.data.fitness import Fitness, fitness
from driftd.data.samples import PENDING
from driftd.errors import RefusedError, UnreachableError
from driftd.sections import MlflowSettings
from driftd.store.store import Store

NAME, MODEL = "brought", "flight-delay"
LOGS_MODELS = Path(__file__).parents[1] / "support" / "logged_models.py"
KINDS = ("good", "python", "package", "absent", "patch", "eats", "hangs", "empty")


@pytest.fixture(scope="module")
def versions(mlflow_url: str) -> dict[str, str]:
    """Kind of model -> version."""
    logged = subprocess.run(
        [sys.executable, str(LOGS_MODELS), NAME, *KINDS],
        env={**os.environ, "MLFLOW_TRACKING_URI": mlflow_url, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert logged.returncode == 0, logged.stderr
    return dict(line.split() for line in logged.stdout.splitlines() if line.startswith(KINDS))


class Daemon:
    """The handler of a worker with an archive of its own."""

    def __init__(self, folder: Path, mlflow_url: str) -> None:
        self.archive = Archive(str(folder / "archive"))
        self.registry = Registry(mlflow_url, deadline_s=60)
        self._folder = folder

    def requests(self, *features: str) -> None:
        """Labelled requests in the archive."""
        rows = [
            {"id": str(at), "version": "1", "variant": "champion", "ts": 86_400.0 + at,
             "score": 0.5, "subject": at, "shadow_of": None, "features": one, "label": "1"}
            for at, one in enumerate(features)
        ]  # fmt: skip
        known = [{name: row.get(name) for name in PENDING.names} for row in rows]
        self.archive.write(MODEL, "all", pa.Table.from_pylist(known, schema=PENDING))

    def mark(self, version: str, **mlflow: object) -> Ended:
        """What the handler makes of a version."""
        world = World(
            store=cast("Store", None),
            archive=self.archive,
            registry=self.registry,
            trainers={},
            routers={},
            work=self._folder,
            spec=lambda _model: None,
            publish=lambda _key, _value: None,
            mlflow=MlflowSettings.model_validate(mlflow),
        )
        command = MarkChallenger(
            op_id="a", model=MODEL, registry=NAME, challenger_alias="challenger", version=version
        )
        return asyncio.run(Challenger(world)(command, 1))

    def challenger(self) -> str | None:
        """Whom the alias names."""
        return self.registry.aliases(NAME).get("challenger")


@pytest.fixture
def daemon(tmp_path: Path, mlflow_url: str) -> Daemon:
    return Daemon(tmp_path, mlflow_url)


def test_a_version_that_loads_and_answers_what_was_really_asked_is_marked(
    daemon: Daemon, versions: dict[str, str]
) -> None:
    daemon.requests('{"x": 1.5, "n": 2, "of no use": "text"}', '{"x": 0}')
    ended = daemon.mark(versions["good"])
    # A request without `n` is one that this model cannot answer, and not every request is.
    assert ended.result["version"] == versions["good"]
    (warning,) = ended.result["warnings"]
    assert warning.startswith("it answered 1 of 2: ValueError")
    assert daemon.challenger() == versions["good"]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("python", r"it was logged with Python 3\.9\.18, the serving environment has 3\."),
        ("package", r"it needs scikit-learn==0\.24\.2, the serving environment has"),
        ("absent", r"it needs lightgbm-that-nobody-has==4\.5, which is not installed: pip install"),
        ("empty", "it has no MLmodel file where its version points"),
        ("eats", "it does not load: MemoryError"),
    ],
)
def test_a_version_that_cannot_serve_is_refused_and_says_why(
    daemon: Daemon, versions: dict[str, str], kind: str, why: str
) -> None:
    before = daemon.challenger()
    with pytest.raises(RefusedError, match=f"version {versions[kind]} cannot serve: {why}"):
        daemon.mark(versions[kind], load_memory="1GiB")
    assert daemon.challenger() == before


def test_a_version_that_never_loads_is_refused_when_its_time_is_over(
    daemon: Daemon, versions: dict[str, str]
) -> None:
    with pytest.raises(RefusedError, match="it does not load within 40 s"):
        daemon.mark(versions["hangs"], load_timeout="40s")


def test_no_request_of_the_archive_answered_is_a_refusal(
    daemon: Daemon, versions: dict[str, str]
) -> None:
    daemon.requests('{"other": 1}', '{"other": 2}')
    with pytest.raises(RefusedError, match="it answers none of 2 requests of the archive: "):
        daemon.mark(versions["good"])


def test_a_patch_apart_and_other_versions_on_demand_are_warnings(
    daemon: Daemon, versions: dict[str, str]
) -> None:
    assert daemon.mark(versions["patch"]).result["warnings"] == [
        "it needs mlflow==3.17.1, the serving environment has 3.17.2"
    ]
    warned = daemon.mark(versions["package"], other_versions="warn").result["warnings"]
    assert warned[0].startswith("it needs scikit-learn==0.24.2")


def test_a_version_that_does_not_exist_is_refused_and_a_server_that_is_away_is_not(
    daemon: Daemon, versions: dict[str, str]
) -> None:
    with pytest.raises(RefusedError, match="version=99"):
        daemon.mark("99")
    daemon.registry = Registry("http://127.0.0.1:9", deadline_s=60)
    with pytest.raises(UnreachableError):
        daemon.mark(versions["good"])


def test_the_example_trainer_logs_no_row_of_a_person_and_what_it_makes_can_serve(
    mlflow_url: str, tmp_path: Path
) -> None:
    distances = [4711.25, *(float(at) for at in range(799))]
    labels = pa.array([0, 1] * 400, pa.int8())
    rows = pa.table({"distance": distances, "carrier": ["UA", "AA"] * 400, "label": labels})
    pq.write_table(rows, tmp_path / "train.parquet")
    columns = {"columns": {"distance": "number", "carrier": "text"}}
    (tmp_path / "manifest.json").write_text(json.dumps(columns), encoding="utf-8")
    told = {
        "MLFLOW_TRACKING_URI": mlflow_url,
        "DRIFTD_REGISTRY_NAME": "example",
        "DRIFTD_OP_ID": "an-op",
        "DRIFTD_DATA": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }
    make_client(mlflow_url).create_registered_model("example")
    trainer = Path(__file__).parents[2] / "examples" / "flights_trainer.py"
    trained = subprocess.run(
        [sys.executable, str(trainer)],
        env={**os.environ, **told}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    version = Registry(mlflow_url, deadline_s=60).version_by_op_id("example", "an-op")
    assert version == "1"
    fetch = ["artifacts", "download", "-u", "models:/example/1", "-d", str(tmp_path / "files")]
    subprocess.run([sys.executable, "-m", "mlflow", *fetch], env={**os.environ, **told}, check=True)
    files = tmp_path / "files"
    names = {file.name for file in files.rglob("*") if file.is_file()}
    assert "MLmodel" in names
    assert not [name for name in names if "example" in name]
    (described,) = files.rglob("MLmodel")
    assert "4711.25" not in described.read_text(encoding="utf-8")
    scorer = Scorer(registry_name="example", tracking_uri=mlflow_url, timeout_s=120)
    asked: list[dict[str, object]] = [{"distance": 900, "carrier": None}, {"carrier": "new"}]
    assert fitness(scorer, version, asked) == Fitness(answered=2)
