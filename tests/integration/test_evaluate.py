"""Archive, export, a real training, a real registry, real scoring children: the offline gate."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agents.commands import Evaluate
from driftd.clients.environment import model_environment
from driftd.data.archive import DAY_S, Archive
from driftd.data.evaluate import Scorer, evaluate
from driftd.data.export import export_training, read_manifest
from driftd.data.reference import reference_profile
from driftd.demo.children import free_port
from driftd.errors import RefusedError, UnreachableError
from driftd.sections import MlflowSettings
from policies.specs import Amount, GateSpec
from tests.support.labelled import labelled

NAME, MODEL = "evaluated", "flight-delay"
TRAIN_CHILD = Path(__file__).parents[1] / "support" / "train_child.py"
DAYS = 40
BETTER = GateSpec(
    name="brier better by 0.01", metric="brier", comparison="better_by", amount=Amount(value=0.01)
)
QUICK = GateSpec(
    name="latency_p99 below 5s",
    metric="latency_p99",
    comparison="below",
    amount=Amount(value=5.0, unit="s"),
)
SLOW = replace(QUICK, name="latency_p99 below 1us", amount=Amount(value=0.001, unit="ms"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    archive = Archive(str(folder / "archive"))
    archive.write(MODEL, "all", labelled(6_000, start=0, end=DAYS * DAY_S))
    out = folder / "data"
    export_training(
        archive, MODEL, 0, DAYS * DAY_S, out, phase="gate", holdout=0.25, positive="late"
    )
    return out


@pytest.fixture(scope="module")
def versions(mlflow_url: str, data: Path) -> dict[str, str]:
    """Kind of model -> the version that a training of it registered."""
    environment = {
        **os.environ,
        "DRIFTD_DATA": str(data),
        "DRIFTD_REGISTRY_NAME": NAME,
        "DRIFTD_OP_ID": "0123456789abcdef",
        "MLFLOW_TRACKING_URI": mlflow_url,
        "OMP_NUM_THREADS": "1",
        "TRAIN_KIND": "constant,good,broken,hanging,pyfunc",
    }
    trained = subprocess.run(
        [sys.executable, str(TRAIN_CHILD)], env=environment, capture_output=True, check=False
    )
    assert trained.returncode == 0, trained.stderr.decode()
    lines = [line.split() for line in trained.stdout.decode().splitlines()]
    return {words[0]: words[1] for words in lines if len(words) == 2 and words[1].isdigit()}


@pytest.fixture
def scorer(mlflow_url: str) -> Scorer:
    return Scorer(registry_name=NAME, tracking_uri=mlflow_url)


def _command(candidate: str, champion: str, *gate: GateSpec, onset: float = 0.0) -> Evaluate:
    return Evaluate(
        op_id="0123456789abcdef",
        model=MODEL,
        candidate=candidate,
        champion=champion,
        since=0.0,
        until=DAYS * DAY_S,
        holdout=0.25,
        onset=onset,
        must_improve="brier_skill",
        gate=gate,
    )


def test_a_better_candidate_passes_and_says_by_how_much(
    data: Path, versions: dict[str, str], scorer: Scorer
) -> None:
    result = evaluate(_command(versions["good"], versions["constant"], BETTER, QUICK), data, scorer)
    assert result.verdict == "pass", result.reasons
    assert result.reasons[0].startswith("brier_skill ")
    assert "it raised the incident and must improve" in result.reasons[0]
    assert " ± " in result.reasons[1]
    assert result.n > 1_000
    assert result.metrics["brier"]["candidate"] < 0.18 < result.metrics["brier"]["champion"]
    assert result.metrics["auc"]["champion"] == 0.5
    assert result.metrics["latency_p99"]["candidate"] > 0


def test_a_worse_or_too_slow_candidate_fails_with_every_reason(
    data: Path, versions: dict[str, str], scorer: Scorer
) -> None:
    result = evaluate(_command(versions["constant"], versions["good"], BETTER, SLOW), data, scorer)
    assert result.verdict == "fail"
    assert [reason.partition(":")[0] for reason in result.reasons[1:]] == [BETTER.name, SLOW.name]


def test_without_a_champion_only_absolute_conditions_are_asked(
    data: Path, versions: dict[str, str], scorer: Scorer
) -> None:
    result = evaluate(_command(versions["pyfunc"], "", BETTER, QUICK), data, scorer)
    assert result.verdict == "pass"
    assert result.reasons[0] == "brier better by 0.01: not asked, there is no champion yet"
    assert result.metrics["auc"]["candidate"] > 0.8


def test_a_candidate_that_does_not_load_fails_with_what_it_said(
    data: Path, versions: dict[str, str], scorer: Scorer
) -> None:
    result = evaluate(_command(versions["broken"], versions["good"]), data, scorer)
    assert result.verdict == "fail"
    assert "module_of_the_trainers_machine" in result.reasons[0]


def test_a_champion_that_does_not_load_is_no_fault_of_the_candidate(
    data: Path, versions: dict[str, str], scorer: Scorer
) -> None:
    result = evaluate(_command(versions["good"], versions["broken"]), data, scorer)
    assert result.verdict == "not_evaluable"
    assert result.reasons[0].startswith(f"champion {versions['broken']} could not be scored")


def test_a_candidate_that_never_answers_fails(
    data: Path, versions: dict[str, str], scorer: Scorer
) -> None:
    result = evaluate(_command(versions["hanging"], ""), data, replace(scorer, timeout_s=8))
    assert result.verdict == "fail"
    assert result.reasons == (f"candidate {versions['hanging']} took longer than 8 s to score",)


def test_a_candidate_that_does_not_exist_fails(data: Path, scorer: Scorer) -> None:
    result = evaluate(_command("77", ""), data, scorer)
    assert result.verdict == "fail"
    assert "RESOURCE_DOES_NOT_EXIST" in result.reasons[0]


def test_too_few_labels_since_the_onset_are_waited_for(data: Path, scorer: Scorer) -> None:
    result = evaluate(_command("1", "2", onset=(DAYS - 1) * DAY_S), data, scorer)
    assert result.verdict == "not_evaluable"
    assert result.reasons[0].endswith("labels since the onset, 500 are needed")


def test_a_version_is_profiled_on_what_it_was_trained_on(
    data: Path, versions: dict[str, str], scorer: Scorer
) -> None:
    profile = reference_profile(data, scorer, versions["good"])
    assert profile.version == versions["good"]
    assert profile.n == read_manifest(data).rows["train.parquet"]
    assert profile.streams["@score"].n == profile.n
    assert profile.quality is not None
    assert profile.quality.auc > 0.8
    assert [profile.layouts["@prediction"].label(cell) for cell in (0, 1)] == ["late", "on_time"]
    assert profile.streams["@prediction"].counts[:2].sum() == profile.n
    with pytest.raises(RefusedError, match="module_of_the_trainers_machine"):
        reference_profile(data, scorer, versions["broken"])


def test_a_registry_that_is_away_is_neither_pass_nor_fail(data: Path) -> None:
    away = Scorer(registry_name=NAME, tracking_uri=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UnreachableError, match="scoring version"):
        evaluate(_command("1", "2"), data, away)


def test_a_scoring_child_sees_none_of_the_daemons_secrets(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTD_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "allowed")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "driftd")
    told = replace(scorer, registry_env=model_environment(MlflowSettings()))
    assert not {"secret", "allowed"} & set(told.environment(tmp_path).values())
    assert told.environment(tmp_path)["MLFLOW_TRACKING_USERNAME"] == "driftd"
    settings = MlflowSettings(pass_env=["AWS_SECRET_ACCESS_KEY"])
    allowing = replace(scorer, registry_env=model_environment(settings))
    assert allowing.environment(tmp_path)["AWS_SECRET_ACCESS_KEY"] == "allowed"
