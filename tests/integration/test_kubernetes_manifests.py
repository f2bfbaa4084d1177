"""deploy/kubernetes as kubectl renders it; `make bench NAME=kubernetes` asks a real API server."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from driftd.cli.main import build
from driftd.errors import MistakeError
from driftd.roles import Role
from driftd.settings import load_settings
from driftd.yamlfile import parse_yaml
from policies.checker import check
from stack.compose import env_file, load
from stack.kube import objects, rendered

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
EXAMPLE = KUBERNETES / "overlays" / "example"
SETTINGS = load_settings(KUBERNETES / "base" / "settings.yaml")
# What `driftd` may find in its environment; the secret is made by people (docs/deploy.md).
SECRETS = {
    *("PGPASSWORD", "DRIFTD_TOKEN", "DRIFTD_HASH_KEY", "DRIFTD_KAFKA_PASSWORD"),
    *("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
}


@pytest.fixture(scope="module")
def example() -> list[Any]:
    """The objects of the example overlay."""
    return list(objects(rendered(EXAMPLE)))


def pods(example: list[Any]) -> dict[str, Any]:
    """Name -> pod template of everything that runs."""
    return {
        one["metadata"]["name"]: one["spec"]["template"]
        for one in example
        if one["kind"] in ("Deployment", "Job")
    }


def test_base_and_example_hold_what_they_should(example: list[Any]) -> None:
    base = [
        (one["kind"], one["metadata"]["name"]) for one in objects(rendered(KUBERNETES / "base"))
    ]
    more = {(one["kind"], one["metadata"]["name"]) for one in example} - set(base)

    assert {kind for kind, _ in base} == {
        *("ServiceAccount", "ConfigMap", "Service", "Deployment", "Job"),
        *("PodDisruptionBudget", "ServiceMonitor"),
    }
    assert more == {
        ("Namespace", "driftd"),
        ("NetworkPolicy", "driftd"),
        *((kind, "serve-flight-delay") for kind in ("Deployment", "Service", "ServiceMonitor")),
    }
    assert {one["metadata"].get("namespace") for one in example} == {None, "driftd"}


def test_a_misspelt_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [nowhere.yaml]\n")

    with pytest.raises(MistakeError, match="nowhere"):
        rendered(tmp_path)


def test_no_secret_is_contained_and_each_that_is_named_is_known(example: list[Any]) -> None:
    assert [one for one in example if one["kind"] == "Secret"] == []
    for name, template in pods(example).items():
        for container in template["spec"]["containers"]:
            for variable in container.get("env", ()):
                assert "value" not in variable, name
                reference = variable["valueFrom"]["secretKeyRef"]
                assert reference["name"] == "driftd", name
                assert reference["key"] == variable["name"], name
                assert variable["name"] in SECRETS, name


def test_policies_keep_their_name_and_settings_change_theirs(example: list[Any]) -> None:
    names = sorted(one["metadata"]["name"] for one in example if one["kind"] == "ConfigMap")

    assert names[0] == "driftd-policies"
    assert re.fullmatch(r"driftd-settings-[a-z0-9]{10}", names[1])
    for template in pods(example).values():
        mounted = {
            volume["configMap"]["name"]
            for volume in template["spec"]["volumes"]
            if "configMap" in volume
        }
        assert mounted <= set(names)
        for mount in template["spec"]["containers"][0]["volumeMounts"]:
            # A subPath never follows its config map.
            assert "subPath" not in mount


def test_the_settings_and_policies_are_good() -> None:
    security = SETTINGS.kafka.security

    assert SETTINGS.policies == Path("/etc/driftd/policies")
    assert security.protocol == "SASL_SSL"
    assert security.ca_file == Path("/etc/driftd/kafka/ca.crt")
    assert {SETTINGS.http.token_env, SETTINGS.hash_key_env, security.password_env} <= SECRETS
    files = sorted(KUBERNETES.rglob("flight-delay.yaml"))
    assert len(files) == 2
    for file in files:
        assert check(parse_yaml(file.read_text()).values, SETTINGS.platform())[1] == ()


def test_pods_are_restricted_and_given_time_to_stop(example: list[Any]) -> None:
    worker = (ROOT / "driftd" / "worker.py").read_text()
    [gives_itself_s] = re.findall(r"^HARD_EXIT_AFTER_S = ([\d.]+)$", worker, re.MULTILINE)
    for name, template in pods(example).items():
        spec = template["spec"]
        [container] = spec["containers"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
        assert container["resources"]["limits"]["memory"], name
        assert re.fullmatch(r"driftd(-serving)?:\d+\.\d+\.\d+", container["image"]), name
        if name.startswith("driftd-") and "readinessProbe" in container:
            assert spec["terminationGracePeriodSeconds"] > float(gives_itself_s), name


def test_workers_are_alive_by_health_and_take_part_by_ready(example: list[Any]) -> None:
    workers = {name: one for name, one in pods(example).items() if name.startswith("driftd-")}
    for role in ("control", "ingest"):
        [container] = workers[f"driftd-{role}"]["spec"]["containers"]
        assert container["startupProbe"]["httpGet"]["path"] == "/health"
        assert container["livenessProbe"]["httpGet"]["path"] == "/health"
        assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
        assert container["args"][container["args"].index("--role") + 1] == Role(role)
    # Control trains and evaluates: it needs the image with the full MLflow.
    assert workers["driftd-control"]["spec"]["containers"][0]["image"].startswith("driftd-serving:")


def test_selectors_find_exactly_their_pods(example: list[Any]) -> None:
    labels = {name: one["metadata"]["labels"] for name, one in pods(example).items()}

    def chosen(selector: dict[str, str]) -> set[str]:
        return {name for name, known in labels.items() if selector.items() <= known.items()}

    kinds = ("Service", "PodDisruptionBudget")
    found = {
        (one["kind"], one["metadata"]["name"]): chosen(
            one["spec"]["selector"].get("matchLabels", one["spec"]["selector"])
        )
        for one in example
        if one["kind"] in kinds
    }

    assert found == {
        ("Service", "driftd"): {"driftd-control"},
        ("Service", "driftd-ingest"): {"driftd-ingest"},
        ("Service", "serve-flight-delay"): {"serve-flight-delay"},
        ("PodDisruptionBudget", "driftd-control"): {"driftd-control"},
        ("PodDisruptionBudget", "driftd-ingest"): {"driftd-ingest"},
    }


def commands() -> list[tuple[str, list[str]]]:
    """Every driftd command of both deployments."""
    services = load(
        [ROOT / "docker-compose.yml"], env_file(ROOT / "deploy" / "compose" / "demo.env")
    )["services"]
    found = [
        (f"compose {name}", one["command"])
        for name, one in services.items()
        if one["image"].startswith("driftd") and not one["image"].startswith("driftd-mlflow")
    ]
    templates = pods(list(objects(rendered(EXAMPLE))))
    return found + [
        (f"kubernetes {name}", one["spec"]["containers"][0]["args"])
        for name, one in templates.items()
    ]


def test_every_command_is_one_that_driftd_knows() -> None:
    found = commands()

    assert len(found) == 5 + 5
    for name, words in found:
        # Options are read before help is shown: a name that driftd does not know fails.
        result = CliRunner().invoke(build(), [*words, "--help"])
        assert result.exit_code == 0, (name, result.output)
    assert CliRunner().invoke(build(), ["run", "--rolle=all", "--help"]).exit_code == 2
