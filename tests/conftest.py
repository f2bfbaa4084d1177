"""Fixtures that start real servers, once a test session and only where a test asks for one."""

from collections.abc import Iterator

import pytest

from driftd.demo.children import Children
from stack.kafka import Kafka
from stack.mlflow import Mlflow
from stack.postgres import Postgres
from stack.s3 import S3
from tests.support.mlflow_users import Guarded

# Helpers and scripts that tests run as children: they hold no tests and no examples.
collect_ignore_glob = ["support/*.py", "integration/serving_models.py"]


@pytest.fixture(scope="session")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    """The session's server processes; they end with it."""
    started = Children(tmp_path_factory.mktemp("servers"))
    try:
        yield started
    finally:
        started.stop_all()


@pytest.fixture(scope="session")
def kafka(children: Children) -> Kafka:
    """A real broker without security; each test makes topics of its own names."""
    broker = Kafka(children, children.directory / "kafka")
    broker.start()
    return broker


@pytest.fixture(scope="session")
def postgres(children: Children) -> Postgres:
    """A real PostgreSQL; each test makes a database of its own name."""
    server = Postgres(children, children.directory / "postgres")
    server.start()
    return server


@pytest.fixture(scope="session")
def s3(children: Children) -> S3:
    """An S3 service; each test makes a bucket of its own name."""
    server = S3(children)
    server.start()
    return server


@pytest.fixture(scope="session")
def mlflow_url(children: Children) -> str:
    """The URL of a real MLflow server; each test uses registered models of its own name."""
    server = Mlflow(children, children.directory / "mlflow")
    server.start()
    return server.url


@pytest.fixture(scope="session")
def guarded(children: Children, postgres: Postgres, s3: S3) -> Guarded:
    """An MLflow server with users, on PostgreSQL and S3; each test uses models of its own name."""
    s3.create_bucket("guarded")
    server = Mlflow(
        children,
        children.directory / "guarded",
        name="guarded",
        backend=postgres.create("guarded"),
        artifacts="s3://guarded/artifacts",
        environment=s3.client_environment,
        auth=True,
        everyone="NO_PERMISSIONS",
    )
    server.start()
    return Guarded(server)
