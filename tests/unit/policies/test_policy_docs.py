"""docs/policy.md says what the code does: every key, every metric, the shipped examples."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from detectors.catalog import DISTANCES
from detectors.sketches.numeric import NumericLayout
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


@pytest.mark.parametrize("name", DISTANCES)
def test_the_page_says_how_large_a_distance_is(name: str) -> None:
    row = next((line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")), None)
    if "numeric" not in DISTANCES[name].kinds:
        return
    # A normal feature, half a standard deviation higher than its million reference values.
    rng = np.random.default_rng(1)
    layout = NumericLayout.from_reference(rng.normal(size=1_000_000))
    edges = layout.bounds
    normal, moved = (np.diff(norm.cdf(edges - shift), prepend=0, append=1) for shift in (0, 0.5))
    counts = np.append(np.round(moved * 1_000_000), 0).astype(np.int64)
    effect = DISTANCES[name].measure(layout, normal, counts, m=0)

    assert row is not None
    assert float(row.split("|")[-2]) == pytest.approx(effect.value, abs=0.01)


@pytest.mark.parametrize("file", ["minimal.yaml", "flight-delay.yaml", "classic.yaml"])
def test_the_examples_are_the_shipped_files(file: str) -> None:
    assert (ROOT / "configs" / "policies" / file).read_text() in PAGE
