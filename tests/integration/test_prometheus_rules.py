"""The rules for driftd itself, checked and played by the real promtool: each alert both ways."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stack.install import program

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs" / "prometheus"
RULES = CONFIGS / "rules" / "driftd.yml"
RUNBOOK = ROOT / "docs" / "runbooks" / "driftd.md"
CASES = Path(__file__).with_name("rule_cases.yaml")


def promtool(*arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run the real promtool."""
    command = [str(program("promtool")), *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


def read(file: Path) -> Any:
    """A YAML file as plain values."""
    return YAML(typ="safe").load(file)


def alerts() -> dict[str, dict[str, Any]]:
    """Every alerting rule by its name."""
    found = [rule for group in read(RULES)["groups"] for rule in group["rules"]]
    named = [rule for rule in found if "alert" in rule]
    assert len({rule["alert"] for rule in named}) == len(named)
    return {rule["alert"]: rule for rule in named}


def test_rules_and_example_configuration_are_accepted() -> None:
    for arguments in (("check", "rules", RULES), ("check", "config", CONFIGS / "prometheus.yml")):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stderr


def test_every_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    cases = read(CASES)
    assert sorted(cases) == sorted(alerts())
    tests: dict[str, list[dict[str, Any]]] = {"1m": [], "10m": []}
    for name, kinds in cases.items():
        for kind, case in kinds.items():
            # What takes a day is looked at less often, so that the test does not take minutes.
            every = "1m" if int(case["at"].removesuffix("m")) < 300 else "10m"
            tests[every].append(_played(name, case, fires=kind == "fires"))
    for every, some in tests.items():
        _play(tmp_path / f"{every}.yaml", some, every)


def _play(file: Path, tests: list[dict[str, Any]], every: str) -> None:
    file.write_text(
        json.dumps({"rule_files": [str(RULES)], "evaluation_interval": every, "tests": tests})
    )
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def _played(name: str, case: dict[str, Any], *, fires: bool) -> dict[str, Any]:
    series = [{"series": one, "values": values} for one, values in case["series"].items()]
    firing = f'min(ALERTS{{alertname="{name}",alertstate="firing"}})'
    wanted = [{"labels": "{}", "value": 1}] if fires else []
    return {
        "name": f"{name} {'fires' if fires else 'is quiet'}",
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [{"expr": firing, "eval_time": case["at"], "exp_samples": wanted}],
    }


def test_what_an_alert_says_is_filled_in(tmp_path: Path) -> None:
    test = {
        "interval": "1m",
        "input_series": [{"series": "driftd_paused_all", "values": "1x1500"}],
        "alert_rule_test": [
            {
                "eval_time": "1450m",
                "alertname": "DriftdPausedForLong",
                "exp_alerts": [
                    {
                        "exp_labels": {"severity": "warning"},
                        "exp_annotations": {
                            **alerts()["DriftdPausedForLong"]["annotations"],
                            "summary": "Everything is paused for more than a day",
                        },
                    }
                ],
            }
        ],
    }
    _play(tmp_path / "said.yaml", [test], "10m")


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_says_what_it_means_and_where_to_read_on(name: str) -> None:
    rule = alerts()[name]
    headings = re.findall(r"^#+ (\S+)$", RUNBOOK.read_text(), re.MULTILINE)

    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/driftd.md#{name.lower()}"
    assert name in headings


def test_the_page_lists_every_alert_with_its_severity() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text()
    listed = dict(re.findall(r"^\| `(Driftd\w+)` \| (\w+) \|", text, re.MULTILINE))

    assert listed == {name: rule["labels"]["severity"] for name, rule in alerts().items()}


def test_the_jobs_of_the_rules_are_those_of_every_shipped_configuration() -> None:
    jobs = set(re.findall(r'job="([\w-]+)"', RULES.read_text()))
    for file in (CONFIGS / "prometheus.yml", ROOT / "deploy" / "compose" / "prometheus.yml"):
        scraped = {one["job_name"] for one in read(file)["scrape_configs"]}
        assert jobs <= scraped, file
