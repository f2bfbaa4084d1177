"""The dashboards: the committed JSON is what the script makes, and Grafana's model knows all of it."""

import json
from collections import Counter
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from configs.grafana.expressions import expressions, panels
from configs.grafana.make_dashboards import FOLDER, dashboards

NAMES = sorted(dashboards())
TYPES = {"bargauge", "stat", "state-timeline", "table", "timeseries"}
UNITS = {
    "bytes", "cps", "dateTimeAsIso", "none", "percentunit", "reqps", "s", "short",
}  # fmt: skip
GRID = 24


@pytest.fixture(scope="module")
def pages() -> dict[str, dict[str, Any]]:
    """The committed files."""
    return {file.name: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}


def test_the_committed_files_are_what_the_script_makes() -> None:
    committed = {file.name: file.read_text() for file in sorted(FOLDER.glob("*.json"))}

    assert committed == dashboards(), "run: python -m configs.grafana.make_dashboards"


@pytest.mark.parametrize("name", NAMES)
def test_grafana_knows_every_key(name: str, pages: dict[str, dict[str, Any]]) -> None:
    register_default_plugins()

    again = json.loads(JSONEncoder().encode(Dashboard.from_json(pages[name])))

    assert again == pages[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_is_of_a_known_kind_and_says_what_it_answers(
    name: str, pages: dict[str, dict[str, Any]]
) -> None:
    for panel in panels(pages[name]):
        about = panel["title"]
        assert panel["type"] in TYPES, about
        assert len(panel["description"]) > 10, about
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, about
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["type"] == "table" or defaults["unit"] in UNITS, about
        assert all(isinstance(defaults.get(end, 0), int | float) for end in ("min", "max")), about
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters), about
    ids = [panel["id"] for panel in pages[name]["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", NAMES)
def test_no_panel_lies_on_another_or_beside_the_grid(
    name: str, pages: dict[str, dict[str, Any]]
) -> None:
    taken: Counter[tuple[int, int]] = Counter()
    for panel in pages[name]["panels"]:
        place = panel["gridPos"]
        assert all(isinstance(place[side], int) for side in "xywh")
        assert place["x"] + place["w"] <= GRID, panel["title"]
        taken.update(
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        )

    assert max(taken.values()) == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_in_an_expression_is_one_of_the_page(
    name: str, pages: dict[str, dict[str, Any]]
) -> None:
    page = pages[name]
    known = {one["name"]: "x" for one in page["templating"]["list"]} | {"__rate_interval": "5m"}

    for expression in expressions(page):
        assert "$" not in expression.filled(known)


def test_pages_and_links_lead_to_each_other(pages: dict[str, dict[str, Any]]) -> None:
    ids = {page["uid"] for page in pages.values()}
    texts = json.dumps(list(pages.values()))

    assert ids == {"driftd-fleet", "driftd-model", "driftd-daemon"}
    assert "/d/driftd-model?var-model=" in texts
    assert "${driftd}/api/models/${model}/report" in texts
    assert all(page["tags"] == ["driftd"] for page in pages.values())
