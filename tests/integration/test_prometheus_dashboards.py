"""Every expression of every dashboard is PromQL, and asks for series that exist; by real promtool."""

import json
import re
from pathlib import Path

from configs.grafana.expressions import expressions
from configs.grafana.make_dashboards import FOLDER
from tests.integration.test_prometheus_rules import promtool, read

ROOT = Path(__file__).parents[2]
VALUES = {"__rate_interval": "5m", "model": "m", "instance": ".*"}
METRIC = re.compile(r"\b(driftd_\w+|process_\w+)\b")


def filled() -> list[str]:
    """All expressions, with Grafana's variables filled in."""
    pages = [json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))]
    return [one.filled(VALUES) for page in pages for one in expressions(page)]


def test_every_expression_parses(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{place}", "expr": expr} for place, expr in enumerate(filled())]
    file = tmp_path / "panels.yaml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    done = promtool("check", "rules", file)

    assert len(rules) > 80
    assert done.returncode == 0, done.stderr


def test_every_series_that_is_asked_for_is_one_of_the_table() -> None:
    table = (ROOT / "docs" / "metrics.md").read_text()
    known = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    rules = [
        rule["expr"]
        for group in read(ROOT / "configs" / "prometheus" / "rules" / "driftd.yml")["groups"]
        for rule in group["rules"]
    ]

    asked = {name for expr in (*filled(), *rules) for name in METRIC.findall(_bare(expr))}

    assert {_family(name) for name in asked} - known == set()


def _bare(expr: str) -> str:
    # What a recording rule makes (level:metric:operation) is no series of ours.
    return re.sub(r"\w+:\w+:\w+", "", expr)


def _family(series: str) -> str:
    return re.sub(r"_(bucket|sum|count)$", "", series)


def test_what_compose_provisions_is_what_is_shipped() -> None:
    compose = ROOT / "deploy" / "compose" / "grafana"
    provider = read(compose / "dashboards" / "driftd.yml")["providers"][0]
    source = read(compose / "datasources" / "prometheus.yml")["datasources"][0]

    assert provider["options"]["path"].endswith(f"/{FOLDER.name}")
    assert source["type"] == "prometheus"
    assert source["isDefault"]
