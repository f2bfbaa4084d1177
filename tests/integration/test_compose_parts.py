"""What docker-compose.yml mounts, read by the real programs that will read it."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from driftd.data.archive import Archive
from driftd.settings import load_settings
from driftd.yamlfile import parse_yaml
from policies.checker import check
from stack.compose import env_file, load
from stack.install import program
from stack.play import POLICY
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


def test_grafana_finds_its_dashboards_and_prometheus() -> None:
    services = load([ROOT / "docker-compose.yml"], DEMO_ENV)["services"]
    mounts = {one["target"]: one["source"] for one in services["grafana"]["volumes"]}
    folder = COMPOSE / "grafana"
    sources: Any = parse_yaml((folder / "datasources" / "prometheus.yml").read_text()).values
    providers: Any = parse_yaml((folder / "dashboards" / "driftd.yml").read_text()).values
    [source], [provider] = sources["datasources"], providers["providers"]
    boards = Path(mounts[provider["options"]["path"]])

    assert mounts["/etc/grafana/provisioning"] == str(folder)
    assert source["url"] == SETTINGS.prometheus.url
    assert source["isDefault"] is True
    assert len(list(boards.glob("*.json"))) >= 3
    for board in boards.glob("*.json"):
        variables = msgspec.json.decode(board.read_bytes())["templating"]["list"]
        # Each asks for a data source by type: ours is the only one.
        assert source["type"] in [one.get("query") for one in variables], board.name


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
