"""The databases and the MLflow server of docker-compose.yml, by its own command on real services."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import boto3
import httpx
import psycopg
import pytest

from driftd.demo.children import Children, free_port
from stack.compose import env_file, load
from stack.install import program
from stack.postgres import Postgres
from stack.s3 import S3
from stack.services import answers

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose"
DEMO_ENV = env_file(COMPOSE / "demo.env")
READY_S = 240.0
API = "/api/2.0/mlflow"
PASSWORD = "a-long-first-password"


@pytest.fixture(scope="module")
def databases(postgres: Postgres) -> Postgres:
    """The server on which deploy/compose/databases.sql was run as the image runs it."""
    # `driftd` is the superuser's name in the harness, `postgres` in the image.
    words = (COMPOSE / "databases.sql").read_text().replace("driftd", "compose_driftd")
    words = words.replace("compose_driftd_password", "driftd_password")
    environment = {**os.environ, "DRIFTD_DB_PASSWORD": "it's one", "MLFLOW_DB_PASSWORD": "another"}
    command = [str(program("psql")), "--no-psqlrc", postgres.url(driver="")]
    done = subprocess.run(
        command, input=words, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return postgres


def enter(server: Postgres, user: str, password: str, database: str) -> None:
    """Log in and make something."""
    address = f"host=127.0.0.1 port={server.port} user={user} dbname={database}"
    with psycopg.connect(address, password=password) as connection:
        connection.execute("CREATE TABLE mine (n int)")
        connection.rollback()


def test_each_part_gets_a_database_that_the_others_cannot_enter(databases: Postgres) -> None:
    enter(databases, "compose_driftd", "it's one", "compose_driftd")
    enter(databases, "mlflow", "another", "mlflow")
    enter(databases, "mlflow", "another", "mlflow_users")
    for user, password, database in (
        ("mlflow", "another", "compose_driftd"),
        ("compose_driftd", "it's one", "mlflow"),
        ("mlflow", "wrong", "mlflow"),
    ):
        with pytest.raises(psycopg.OperationalError):
            enter(databases, user, password, database)


@pytest.fixture(scope="module")
def registry(
    databases: Postgres, s3: S3, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """MLflow as the service `mlflow` starts it; only addresses and passwords are this machine's."""
    folder = tmp_path_factory.mktemp("registry")
    s3.create_bucket("driftd")
    service = load([ROOT / "docker-compose.yml"], DEMO_ENV)["services"]["mlflow"]
    here = {"postgres:5432": f"127.0.0.1:{databases.port}", "http://s3:3900": s3.endpoint}

    def moved(text: str) -> str:
        for name, address in here.items():
            text = text.replace(name, address)
        return text

    users = moved((COMPOSE / "users.ini").read_text())
    assert "auth_cache_ttl_seconds = 60" in users
    # A test cannot wait until an old password is forgotten.
    users = users.replace("auth_cache_ttl_seconds = 60", "auth_cache_ttl_seconds = 0")
    (folder / "users.ini").write_text(users)
    port = free_port()
    command = [
        word.replace("0.0.0.0", "127.0.0.1").replace("--port=5000", f"--port={port}")
        for word in service["command"]
    ]
    environment = {name: moved(value) for name, value in service["environment"].items()}
    environment |= {
        "PGPASSWORD": "another",
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "users.ini"),
        # The image sets it.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    children = Children(folder)
    children.start("mlflow", [sys.executable, "-m", "mlflow", *command], environment)
    try:
        url = f"http://127.0.0.1:{port}"
        children.wait_until("mlflow", lambda: answers(f"{url}/health"), READY_S)
        yield url
    finally:
        children.stop_all()


def make_user(url: str, password: str, admin: str) -> "subprocess.CompletedProcess[str]":
    """Run the script of the job `registry-user`."""
    environment = {
        "MLFLOW_URL": url,
        "MLFLOW_ADMIN_PASSWORD": admin,
        "MLFLOW_DRIFTD_PASSWORD": password,
    }
    command = [sys.executable, "-I", str(COMPOSE / "registry_user.py")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def driftd(registry: str) -> Iterator[httpx.Client]:
    """driftd's user, made by the job, under the name that other services know the server by."""
    assert make_user(registry, PASSWORD, DEMO_ENV["MLFLOW_ADMIN_PASSWORD"]).returncode == 0
    with httpx.Client(
        base_url=registry,
        auth=("driftd", PASSWORD),
        headers={"Host": "mlflow:5000"},
        timeout=120,
        trust_env=False,
    ) as client:
        yield client


def test_the_registry_answers_by_its_name_in_the_network_only(driftd: httpx.Client) -> None:
    ask = f"{API}/registered-models/search?max_results=1"

    assert driftd.get(ask).status_code == 200
    assert driftd.get(ask, headers={"Host": "localhost:5000"}).status_code == 200
    assert driftd.get(ask, headers={"Host": "evil.example:5000"}).status_code == 403


def test_driftd_may_edit_what_others_made_and_not_delete_it(driftd: httpx.Client) -> None:
    admin = ("admin", DEMO_ENV["MLFLOW_ADMIN_PASSWORD"])
    body = {"name": "somebody-elses"}

    assert driftd.post(f"{API}/registered-models/create", json=body, auth=admin).status_code == 200
    described = {**body, "description": "ours now"}
    assert driftd.patch(f"{API}/registered-models/update", json=described).status_code == 200
    gone = driftd.request("DELETE", f"{API}/registered-models/delete", json=body)
    assert gone.status_code == 403


def test_artifacts_reach_s3_through_the_server(driftd: httpx.Client, s3: S3) -> None:
    path = "/api/2.0/mlflow-artifacts/artifacts/somewhere/model.bin"

    assert driftd.put(path, content=b"weights").status_code == 200
    known = s3.client_environment
    with closing(
        boto3.client(
            "s3",
            endpoint_url=s3.endpoint,
            region_name=known["AWS_DEFAULT_REGION"],
            aws_access_key_id=known["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=known["AWS_SECRET_ACCESS_KEY"],
        )
    ) as client:
        found = client.list_objects_v2(Bucket="driftd", Prefix="mlflow/somewhere/")
    assert [one["Key"] for one in found["Contents"]] == ["mlflow/somewhere/model.bin"]


def test_the_demos_champion_is_not_trained_again(
    driftd: httpx.Client, registry: str, tmp_path: Path
) -> None:
    name = {"name": "flight-delay"}
    made = driftd.post(f"{API}/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]
    source = f"{made['artifact_uri']}/model"
    version = {**name, "source": source, "run_id": made["run_id"]}
    champion = {**name, "alias": "champion", "version": "1"}
    for path, body in (
        ("registered-models/create", name),
        ("model-versions/create", version),
        ("registered-models/alias", champion),
    ):
        answer = driftd.post(f"{API}/{path}", json=body)
        assert answer.status_code == 200, answer.text
    project = load([ROOT / "docker-compose.yml", ROOT / "docker-compose.demo.yml"], DEMO_ENV)
    address = registry.replace("http://", f"http://driftd:{PASSWORD}@")
    words = [
        f"--train={address}" if word.startswith("--train=") else word
        for word in project["services"]["champion"]["command"]
    ]

    # `docker compose up` starts jobs that have ended once more.
    command = [sys.executable, "-m", "driftd.demo.live", *words, f"--folder={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_user_is_made_once_and_gets_a_new_password(registry: str) -> None:
    admin, ask = DEMO_ENV["MLFLOW_ADMIN_PASSWORD"], f"{registry}{API}/registered-models/search"

    def status(password: str) -> int:
        answer = httpx.get(ask, params={"max_results": 1}, auth=("driftd", password), timeout=120)
        return answer.status_code

    refused = make_user(registry, PASSWORD, "not-the-administrators")
    assert refused.returncode == 1
    assert "401" in refused.stderr
    for password in (PASSWORD, PASSWORD, "a-long-second-password"):
        assert make_user(registry, password, admin).returncode == 0
        assert status(password) == 200
    assert status(PASSWORD) == 401
