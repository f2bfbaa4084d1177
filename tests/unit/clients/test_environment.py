"""Who we are to the registry, and what a model's own process may know of it."""

import os

import pytest

from driftd.clients.environment import PASSWORD, USERNAME, log_in, model_environment
from driftd.errors import MistakeError
from driftd.sections import MlflowSettings


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own, and nothing left behind."""
    for name in (USERNAME, PASSWORD, "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_without_a_name_the_environment_says_who_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USERNAME, "somebody")
    log_in(MlflowSettings())
    assert os.environ[USERNAME] == "somebody"


def test_the_settings_name_the_user_and_the_variable_of_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = MlflowSettings(username="driftd", password_env="BOT")
    with pytest.raises(MistakeError, match=r"mlflow\.username is driftd, but BOT is empty"):
        log_in(settings)
    monkeypatch.setenv("BOT", "its password")
    log_in(settings)
    assert (os.environ[USERNAME], os.environ[PASSWORD]) == ("driftd", "its password")
    assert model_environment(settings)[PASSWORD] == "its password"


def test_a_reader_takes_the_place_of_the_bot_and_secrets_are_named_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        USERNAME: "driftd", PASSWORD: "its password", "MLFLOW_TRACKING_TOKEN": "its token",
        "AWS_SECRET_ACCESS_KEY": "the archive's", "AWS_DEFAULT_REGION": "eu-central-1",
        "DRIFTD_TOKEN": "ours", "READERS": "the reader's",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    settings = MlflowSettings(reader="reader", reader_password_env="READERS")
    told = model_environment(settings)
    assert (told[USERNAME], told[PASSWORD]) == ("reader", "the reader's")
    assert told["AWS_DEFAULT_REGION"] == "eu-central-1"
    assert not {"its password", "its token", "the archive's", "ours"} & set(told.values())
    more = settings.model_copy(update={"pass_env": ["AWS_SECRET_ACCESS_KEY"]})
    assert model_environment(more)["AWS_SECRET_ACCESS_KEY"] == "the archive's"
