"""Fixtures that start real servers, once a test session."""

from collections.abc import Iterator

import pytest

from tests.support.mlflow_server import mlflow_server

# Helpers and scripts that tests run as children: they hold no tests and no examples.
collect_ignore_glob = ["support/*.py", "integration/serving_models.py"]


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real MLflow server; each test uses registered models of its own name."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url
