"""What docker-compose.yml mounts, read by the real programs that will read it."""

import os
import re
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from driftd.data.archive import Archive
from driftd.demo.children import Children
from driftd.settings import load_settings
from driftd.yamlfile import parse_yaml
from policies.checker import check
from stack.compose import env_file, load
from stack.install import program
from stack.mlflow import ADMIN, Mlflow
from stack.play import POLICY
from stack.postgres import Postgres
from stack.s3 import S3

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose"
DEMO_ENV = env_file(COMPOSE / "demo.env")
SETTINGS = load_settings(COMPOSE / "settings.yaml")
POLICIES = sorted(COMPOSE.rglob("policies/*.yaml"))


def test_the_settings_name_the_services_and_their_ports() -> None:
    services = load([ROOT / "docker-compose.yml"], DEMO_ENV)["services"]
    said = (COMPOSE / "settings.yaml").read_text() + (COMPOSE / "prometheus.yml").read_text()
    hosts = set(re.findall(r"[/@\"=]([a-z0-9-]+):\d{4}", said)) - {"localhost"}

    assert hosts == {
        *("postgres", "kafka", "mlflow", "s3", "alertmanager", "prometheus"),
        *("driftd-1", "driftd-2", "serving"),
    }
    assert hosts <= set(services)
    assert SETTINGS.http.host == "0.0.0.0"
    assert str(SETTINGS.work).startswith("/var/lib/driftd/")


def test_secrets_reach_the_worker_and_only_two_reach_a_trainer() -> None:
    worker = load([ROOT / "docker-compose.yml"], DEMO_ENV)["services"]["driftd-1"]
    [trainer] = SETTINGS.trainers.values()

    assert {SETTINGS.http.token_env, SETTINGS.hash_key_env} <= set(worker["environment"])
    assert [name for name in trainer.pass_env if name not in worker["environment"]] == ["PATH"]
    assert not any(value and value in (COMPOSE / "settings.yaml").read_text()
                   for value in DEMO_ENV.values())  # fmt: skip


@pytest.mark.parametrize("file", POLICIES, ids=lambda path: str(path.relative_to(COMPOSE)))
def test_policies_fit_the_settings(file: Path) -> None:
    _, mistakes = check(parse_yaml(file.read_text()).values, SETTINGS.platform())

    assert mistakes == ()


def test_the_demo_follows_the_policy_of_make_stack() -> None:
    mounted = (COMPOSE / "demo" / "policies" / "flight-delay.yaml").read_text()

    assert mounted.endswith(POLICY)


def test_prometheus_reads_its_configuration(tmp_path: Path) -> None:
    config: Any = parse_yaml((COMPOSE / "prometheus.yml").read_text()).values
    # The mount of docker-compose.yml, played by its source.
    [rules] = config["rule_files"]
    inside, outside = "/etc/prometheus/rules", str(ROOT / "configs" / "prometheus" / "rules")
    config["rule_files"] = [rules.replace(inside, outside)]
    file = tmp_path / "prometheus.yml"
    file.write_bytes(msgspec.json.encode(config))
    done = subprocess.run(
        [program("promtool"), "check", "config", file], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "rules found" in done.stdout


def test_alertmanager_reads_its_configuration() -> None:
    done = subprocess.run(
        [program("amtool"), "check-config", COMPOSE / "alertmanager.yml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_garage_speaks_where_the_clients_ask() -> None:
    garage = tomllib.loads((COMPOSE / "garage.toml").read_text())
    environment = load([ROOT / "docker-compose.yml"], DEMO_ENV)["services"]["mlflow"]["environment"]

    assert garage["s3_api"]["api_bind_addr"].endswith(":3900")
    assert environment["MLFLOW_S3_ENDPOINT_URL"] == "http://s3:3900"
    assert f"region={garage['s3_api']['s3_region']}" in SETTINGS.archive
    assert environment["AWS_DEFAULT_REGION"] == garage["s3_api"]["s3_region"]
    # Every secret comes from the environment.
    assert "secret" not in garage
    assert "rpc_secret" not in garage
    assert re.fullmatch(r"GK[0-9a-f]{24}", DEMO_ENV["S3_ACCESS_KEY"])
    assert re.fullmatch(r"[0-9a-f]{64}", DEMO_ENV["S3_SECRET_KEY"])
    assert re.fullmatch(r"[0-9a-f]{64}", DEMO_ENV["S3_RPC_SECRET"])


def test_the_archives_address_is_one_that_works(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.create_bucket("driftd")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, s3.client_environment[name])
    address = SETTINGS.archive.replace("s3:3900", s3.endpoint.removeprefix("http://"))

    assert address != SETTINGS.archive
    assert Archive(address).models() == []


def test_each_part_gets_a_database_that_the_others_cannot_enter(postgres: Postgres) -> None:
    environment = {
        **os.environ,
        "DRIFTD_DB_PASSWORD": "it's one",
        "MLFLOW_DB_PASSWORD": "another",
    }
    # `driftd` is the superuser's name in the harness, `postgres` in the image.
    words = (COMPOSE / "databases.sql").read_text().replace("driftd", "compose_driftd")
    words = words.replace("compose_driftd_password", "driftd_password")
    done = subprocess.run(
        [program("psql"), "--no-psqlrc", postgres.url(driver="")],
        input=words, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    def enter(user: str, password: str, database: str) -> None:
        address = f"host=127.0.0.1 port={postgres.port} user={user} dbname={database}"
        with psycopg.connect(address, password=password) as connection:
            connection.execute("CREATE TABLE mine (n int)")

    enter("compose_driftd", "it's one", "compose_driftd")
    enter("mlflow", "another", "mlflow")
    enter("mlflow", "another", "mlflow_users")
    strangers = (
        ("mlflow", "another", "compose_driftd"),
        ("compose_driftd", "it's one", "mlflow"),
        ("mlflow", "wrong", "mlflow"),
    )
    for user, password, database in strangers:
        with pytest.raises(psycopg.OperationalError):
            enter(user, password, database)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """An MLflow with users, reached by names that docker-compose.yml allows."""
    folder = tmp_path_factory.mktemp("registry")
    command = load([ROOT / "docker-compose.yml"], DEMO_ENV)["services"]["mlflow"]["command"]
    [hosts] = [word for word in command if word.startswith("--allowed-hosts=")]
    children = Children(folder)
    allowed = {"MLFLOW_SERVER_ALLOWED_HOSTS": hosts.removeprefix("--allowed-hosts=")}
    server = Mlflow(children, folder, auth=True, environment=allowed)
    server.start()
    try:
        yield server
    finally:
        children.stop_all()


def ask(registry: Mlflow, path: str, user: str, password: str, host: str = "mlflow:5000") -> int:
    """The status of a GET as somebody, under a host's name."""
    secret = b64encode(f"{user}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {secret}", "Host": host}
    request = urllib.request.Request(f"{registry.url}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


MODELS = "/api/2.0/mlflow/registered-models/search?max_results=1"


def test_the_registry_answers_by_its_name_in_the_network_only(registry: Mlflow) -> None:
    password = registry.admin_password

    assert ask(registry, MODELS, ADMIN, password) == 200
    assert ask(registry, MODELS, ADMIN, password, "localhost:5000") == 200
    assert ask(registry, MODELS, ADMIN, password, "evil.example:5000") == 403


def make_user(
    registry: Mlflow, password: str, admin_password: str
) -> "subprocess.CompletedProcess[str]":
    """Run the script of the job `registry-user`."""
    return subprocess.run(
        [sys.executable, "-I", COMPOSE / "registry_user.py"],
        env={
            "MLFLOW_URL": registry.url,
            "MLFLOW_ADMIN_PASSWORD": admin_password,
            "MLFLOW_DRIFTD_PASSWORD": password,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_registrys_user_is_made_once_and_gets_a_new_password(registry: Mlflow) -> None:
    first, second = "a-long-first-password", "a-long-second-password"

    assert make_user(registry, first, "wrong-password-of-admin").returncode == 1
    for password in (first, first, second):
        done = make_user(registry, password, registry.admin_password)
        assert done.returncode == 0, done.stderr
        assert ask(registry, MODELS, "driftd", password) == 200
    assert ask(registry, MODELS, "driftd", first) == 401
