"""An MLflow server with users on PostgreSQL and S3: the contract, the least rights, outages, files."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner

from driftd.cli.main import build
from driftd.clients.bounded import OPEN_MAX
from driftd.clients.environment import PASSWORD, model_environment
from driftd.clients.registry import Registry, open_registry
from driftd.clients.runs import ARCHIVED_TAG
from driftd.data.evaluate import Scorer
from driftd.data.fitness import fitness
from driftd.errors import MistakeError, RefusedError, UnreachableError
from driftd.sections import MlflowSettings
from stack.s3 import S3
from tests.support.mlflow_users import Guarded
from tests.support.registry_contract import RegistryContract, made, move

BOT, READER = "driftd", "reader"
LOGS_MODELS = Path(__file__).parents[1] / "support" / "logged_models.py"


@pytest.fixture(scope="module", autouse=True)
def as_bot(guarded: Guarded) -> Iterator[None]:
    """Whoever says nothing else is the bot."""
    guarded.user(BOT)
    with guarded.acting(BOT):
        yield


@pytest.fixture(scope="module")
def registry(guarded: Guarded) -> Registry:
    return Registry(guarded.url, deadline_s=60)


@pytest.fixture
def name(guarded: Guarded, request: pytest.FixtureRequest) -> str:
    """A registered model of this test's own: made by the administrator, EDIT for the bot."""
    model = re.sub("[^a-z0-9]+", "-", str(request.node.name).lower())
    with guarded.acting("admin") as admin:
        experiment = made(admin, model)
    guarded.grant(BOT, "EDIT", model=model, experiment=experiment)
    guarded.grant(READER, "READ", model=model, experiment=experiment)
    return model


class TestOnPostgresAndS3AsABotWithEdit(RegistryContract):
    """The contract: EDIT is enough for all of it."""


def test_who_may_only_read_is_told_which_right_is_missing(
    guarded: Guarded, registry: Registry, name: str
) -> None:
    registry.move_champion(move(name, "", "1", ""))
    registry.log_profile(name, "1", b"profile")
    with guarded.acting(READER):
        assert registry.aliases(name) == {"champion": "1"}
        assert registry.profile_bytes(name, "1") == b"profile"
        for refused in (
            lambda: registry.move_champion(move(name, "1", "2", "1")),
            lambda: registry.log_profile(name, "2", b"profile"),
        ):
            with pytest.raises(RefusedError, match=r"user 'reader' may not do this.*give it EDIT"):
                refused()
    assert registry.aliases(name) == {"champion": "1"}


def test_who_may_nothing_is_refused_where_a_search_would_find_nothing(
    guarded: Guarded, registry: Registry, name: str
) -> None:
    guarded.user("stranger")
    with (
        guarded.acting("stranger"),
        pytest.raises(RefusedError, match="user 'stranger' may not do this"),
    ):
        registry.version_by_op_id(name, "op1")


def test_the_bot_cannot_delete(guarded: Guarded, registry: Registry, name: str) -> None:
    registry.move_champion(move(name, "", "1", ""))
    with guarded.acting(BOT) as client:
        for refused in (
            lambda: client.delete_model_version(name, "1"),
            lambda: client.delete_registered_model_alias(name, "champion"),
            lambda: client.delete_registered_model(name),
        ):
            with pytest.raises(MlflowException, match="403"):
                refused()  # type: ignore[no-untyped-call]
    assert registry.aliases(name) == {"champion": "1"}


def test_what_a_person_deletes_is_missing_and_its_alias_can_be_given_back(
    guarded: Guarded, registry: Registry, name: str
) -> None:
    registry.move_champion(move(name, "", "1", ""))
    registry.move_champion(move(name, "1", "2", "1"))
    with guarded.acting("admin") as admin:
        admin.delete_model_version(name, "2")
    assert registry.aliases(name) == {"previous": "1"}
    assert registry.missing(name, ["1", "2"]) == ("2",)
    back = move(name, "2", "1", "")
    with pytest.raises(RefusedError, match="names no version"):
        registry.move_champion(back)
    tags = {**back.tags, "2": {"driftd.state": "rolled_back"}}
    registry.move_champion(msgspec.structs.replace(back, fills=True, tags=tags))
    assert registry.aliases(name) == {"previous": "1", "champion": "1"}


def test_a_wrong_password_is_waited_out_and_says_where_the_right_one_belongs(
    guarded: Guarded, registry: Registry, name: str
) -> None:
    with (
        guarded.acting(BOT, "not it"),
        pytest.raises(UnreachableError, match=r"'driftd' with this password; set .*password_env"),
    ):
        registry.aliases(name)
    assert registry.aliases(name) == {}


def test_the_settings_log_in_and_a_missing_password_is_a_mistake(
    guarded: Guarded, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = MlflowSettings.model_validate(
        {
            "tracking_uri": guarded.url,
            "username": READER,
            "password_env": "READERS",
            "deadline": "60s",
        }
    )
    with guarded.acting(BOT):
        with pytest.raises(MistakeError, match=r"mlflow\.username is reader, but READERS is empty"):
            open_registry(settings)
        monkeypatch.setenv("READERS", guarded.passwords[READER])
        assert open_registry(settings).aliases(name) == {}
        assert os.environ[PASSWORD] == guarded.passwords[READER]


def test_runs_are_put_away_and_brought_back_but_never_those_that_somebody_needs(
    guarded: Guarded, registry: Registry, name: str, tmp_path: Path
) -> None:
    registry.move_champion(move(name, "", "1", ""))
    file = tmp_path / "driftd.yaml"
    file.write_text(f"mlflow: {{tracking_uri: '{guarded.url}', deadline: 60s}}\n")

    def run(*words: str) -> dict[str, str]:
        call = ["model", "runs", "archive", name, "--settings", str(file), "--json", *words]
        told = json.loads(CliRunner().invoke(build(), call, catch_exceptions=False).stdout)
        return {run["version"]: run["fate"] for run in told["runs"]}

    def archived() -> set[str]:
        with guarded.acting(BOT) as client:
            number = client.get_experiment_by_name(name).experiment_id
            hidden = client.search_runs([number], f"tags.`{ARCHIVED_TAG}` IS NULL")
            shown = {one.info.run_id for one in hidden}
            return {v.version for v in client.search_model_versions(f"name = '{name}'")
                    if v.run_id not in shown}  # fmt: skip

    assert run("--keep", "1") == {
        "1": "version 1 is champion", "2": "it still runs", "3": "it still runs", "4": "it still runs",
    }  # fmt: skip
    with guarded.acting(BOT) as client:
        for version in client.search_model_versions(f"name = '{name}'"):
            client.set_terminated(version.run_id)
    fates = run("--keep", "1")
    assert fates == {
        "1": "version 1 is champion", "2": "archive", "3": "archive", "4": "one of the 1 newest",
    }  # fmt: skip
    assert archived() == set()
    run("--keep", "1", "--yes")
    assert archived() == {"2", "3"}
    assert run("--keep", "1")["2"] == "archived before"
    run("--undo", "--yes")
    assert archived() == set()


def test_a_server_that_hangs_costs_a_deadline_and_a_bounded_number_of_threads(
    guarded: Guarded, registry: Registry, name: str
) -> None:
    registry.aliases(name)
    quick = Registry(guarded.url, deadline_s=0.3)
    quick._client = registry._client
    guarded.server.freeze()
    try:
        for _ in range(2 * OPEN_MAX):
            with pytest.raises(UnreachableError, match=r"took longer than 0\.3 s|not come back"):
                quick.move_champion(move(name, "", "1", ""))
        left = [t for t in threading.enumerate() if t.name.startswith("bounded moving")]
        assert 0 < len(left) <= OPEN_MAX
    finally:
        guarded.server.thaw()
    assert registry.move_champion(move(name, "", "1", "")) == {"champion": "1", "previous": ""}


def test_a_store_of_files_that_hangs_does_not_hold_up_the_aliases(
    guarded: Guarded, s3: S3, registry: Registry, name: str
) -> None:
    registry.log_profile(name, "1", b"profile")
    quick = Registry(guarded.url, deadline_s=2)
    quick._client = registry._client
    s3.freeze()
    try:
        with pytest.raises(UnreachableError, match="fetching the profile"):
            quick.profile_bytes(name, "1")
        assert registry.move_champion(move(name, "", "1", ""))["champion"] == "1"
    finally:
        s3.thaw()
    assert registry.profile_bytes(name, "1") == b"profile"


@pytest.mark.parametrize("direct", [False, True], ids=["through the server", "straight from S3"])
def test_a_version_is_loaded_by_a_process_that_sees_only_what_it_needs(
    guarded: Guarded, s3: S3, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = "loaded-direct" if direct else "loaded-proxied"
    s3.create_bucket("direct")
    with guarded.acting("admin") as admin:
        location = "s3://direct/files" if direct else None
        experiment = admin.create_experiment(model, artifact_location=location)
        admin.create_registered_model(model)
    guarded.grant(READER, "READ", model=model, experiment=experiment)
    guarded.grant(BOT, "EDIT", model=model, experiment=experiment)
    environment = {**os.environ, **s3.client_environment, "MLFLOW_TRACKING_URI": guarded.url}
    logged = subprocess.run(
        [sys.executable, str(LOGS_MODELS), model, "good"],
        env={**environment, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert logged.returncode == 0, logged.stderr
    # The daemon knows the store's secrets, for its archive; a model's own code must not.
    for variable, value in {**s3.client_environment, "READERS": guarded.passwords[READER]}.items():
        monkeypatch.setenv(variable, value)

    def loaded(*pass_env: str) -> tuple[str, ...]:
        settings = MlflowSettings(
            reader=READER, reader_password_env="READERS", pass_env=list(pass_env)
        )
        told = model_environment(settings)
        assert guarded.passwords[BOT] not in told.values()
        scorer = Scorer(
            registry_name=model, tracking_uri=guarded.url, registry_env=told, timeout_s=120
        )
        return fitness(scorer, "1", [{"x": 1.0, "n": 0.0}]).refused

    if direct:
        with pytest.raises(UnreachableError, match="credentials"):
            loaded()
        assert loaded("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") == ()
        with pytest.raises(UnreachableError, match="fetching version 1"):
            loaded("AWS_ACCESS_KEY_ID")
    else:
        assert loaded() == ()
