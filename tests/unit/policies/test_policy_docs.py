"""docs/policy.md says what the code does: every key, every metric, the shipped examples."""

from pathlib import Path

import pytest

from policies.conditions.catalog import BARS, WANTS
from policies.consequences import CONSEQUENCES
from policies.metrics import METRICS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "policy.md").read_text()


@pytest.mark.parametrize("key", CONSEQUENCES)
def test_every_key_is_on_the_page(key: str) -> None:
    assert f"`{key}`" in PAGE


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("condition", [*WANTS, *BARS], ids=lambda one: one.name)
def test_every_condition_is_on_the_page(condition: object) -> None:
    assert f"`{getattr(condition, 'name', '')}`" in PAGE


@pytest.mark.parametrize("file", ["minimal.yaml", "flight-delay.yaml"])
def test_the_examples_are_the_shipped_files(file: str) -> None:
    assert (ROOT / "configs" / "policies" / file).read_text() in PAGE
