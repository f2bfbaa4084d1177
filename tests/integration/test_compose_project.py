"""docker-compose.yml as Docker Compose itself reads it, and what no schema says of it."""

import re
from pathlib import Path
from typing import Any

import pytest

from driftd.errors import MistakeError
from stack.compose import env_file, load, variables

ROOT = Path(__file__).parents[2]
BASE, DEMO = ROOT / "docker-compose.yml", ROOT / "docker-compose.demo.yml"
COMPOSE = ROOT / "deploy" / "compose"
DEMO_ENV = env_file(COMPOSE / "demo.env")
# What ends by itself; the demo's traffic is asked by nobody either.
JOBS = {"migrate", "topics", "registry-user", "champion"}
UNPROBED = {*JOBS, "traffic"}
TAG = re.compile(r"^[a-z0-9/_-]+:v?\d+(\.\d+)+[a-z0-9.-]*$")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of the plain file."""
    found: dict[str, Any] = load([BASE], DEMO_ENV)["services"]
    return found


@pytest.fixture(scope="module")
def demo() -> dict[str, Any]:
    """The services with the demo on top."""
    found: dict[str, Any] = load([BASE, DEMO], DEMO_ENV)["services"]
    return found


def test_all_parts_are_there(services: dict[str, Any]) -> None:
    assert set(services) == {
        *("kafka", "postgres", "s3", "mlflow", "alertmanager", "prometheus", "grafana"),
        *("migrate", "topics", "registry-user", "driftd-1", "driftd-2", "serving"),
    }


def test_the_demo_adds_its_traffic_only(services: dict[str, Any], demo: dict[str, Any]) -> None:
    assert set(demo) - set(services) == {"champion", "traffic"}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("services: {a: {image: 'x:1', restrat: always}}", "restrat"),
        ("services: {a: {image: 'x:1', depends_on: [b]}}", "undefined service"),
        ("services: {a: {image: 'x:1', volumes: ['data:/data']}}", "undefined volume"),
        ("services: {a: {image: 'x:1', environment: {A: '${NOWHERE:?say it}'}}}", "say it"),
    ],
    ids=["key", "service", "volume", "variable"],
)
def test_what_is_wrong_is_refused(broken: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "docker-compose.yml"
    file.write_text(broken)

    with pytest.raises(MistakeError, match=said):
        load([file], {})


@pytest.mark.parametrize("name", sorted(DEMO_ENV))
def test_without_a_secret_nothing_starts_and_the_message_says_where(name: str) -> None:
    with pytest.raises(MistakeError, match=rf"{name}.*\.env\.example"):
        load([BASE], {key: value for key, value in DEMO_ENV.items() if key != name})


def test_every_variable_stands_in_the_example_without_a_secret() -> None:
    example = env_file(ROOT / ".env.example")

    assert variables(BASE) | variables(DEMO) == set(example)
    assert [name for name in DEMO_ENV if example[name]] == []


def test_images_are_pinned(demo: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in demo.items()}

    assert {name: image for name, image in images.items() if not TAG.match(image)} == {}
    # Archived by its makers.
    assert "minio" not in BASE.read_text().lower()


def test_every_service_is_probed_started_again_and_in_one_network(demo: dict[str, Any]) -> None:
    for name, service in demo.items():
        assert ("healthcheck" in service) == (name not in UNPROBED), name
        again = "on-failure:5" if name in JOBS else "unless-stopped"
        assert service["restart"] == again, name
        assert list(service["networks"]) == ["driftd"], name
        assert service["logging"]["options"]["max-size"], name


def test_no_service_has_more_rights_than_it_needs(demo: dict[str, Any]) -> None:
    for name, service in demo.items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["cap_drop"] == ["ALL"], name
        assert not service.get("privileged"), name
    # Kafka's image writes its configuration beside its programs.
    assert [name for name, one in demo.items() if not one.get("read_only")] == ["kafka"]
    assert [name for name, one in demo.items() if one.get("cap_add")] == ["postgres"]


def test_ports_are_open_on_the_loopback_only(demo: dict[str, Any]) -> None:
    ports = [(name, port) for name, one in demo.items() for port in one.get("ports", ())]

    assert ports
    assert [name for name, port in ports if port.get("host_ip") != "127.0.0.1"] == []


def test_whatever_is_mounted_is_there(demo: dict[str, Any]) -> None:
    binds = {
        volume["source"]
        for service in demo.values()
        for volume in service.get("volumes", ())
        if volume["type"] == "bind"
    }

    assert binds
    assert [path for path in binds if not Path(path).exists()] == []


def test_dependencies_wait_for_health_or_a_good_end(demo: dict[str, Any]) -> None:
    for name, service in demo.items():
        for needed, how in service.get("depends_on", {}).items():
            good = "service_completed_successfully" if needed in JOBS else "service_healthy"
            assert how["condition"] == good, (name, needed)


def test_a_worker_is_given_longer_to_stop_than_it_gives_itself(demo: dict[str, Any]) -> None:
    worker = (ROOT / "driftd" / "worker.py").read_text()
    [gives_itself_s] = re.findall(r"^HARD_EXIT_AFTER_S = ([\d.]+)$", worker, re.MULTILINE)

    assert float(gives_itself_s) < 30
    for name in ("driftd-1", "driftd-2"):
        assert demo[name]["stop_grace_period"] == "30s"


def test_each_worker_has_a_work_folder_of_its_own(services: dict[str, Any]) -> None:
    sources = {
        name: [v["source"] for v in services[name]["volumes"] if v["type"] == "volume"]
        for name in ("driftd-1", "driftd-2")
    }

    assert sources == {"driftd-1": ["work-1"], "driftd-2": ["work-2"]}
