"""The catalog of metrics: what must hold of every entry."""

import pytest

from detectors.catalog import DISTANCES
from policies.metrics import METRICS, Metric, compares_names

EVERY = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


def test_the_catalog_is_sorted_and_holds_every_distance() -> None:
    assert list(METRICS) == sorted(METRICS)
    assert set(DISTANCES) <= set(METRICS)


@EVERY
def test_an_entry_stands_under_its_name_and_says_what_it_is(metric: Metric) -> None:
    assert METRICS[metric.name] is metric
    assert metric.says


@EVERY
def test_what_is_compared_in_a_canary_is_a_loss_or_a_rate_and_not_both(metric: Metric) -> None:
    assert not (metric.paired_loss and metric.ratio)
    assert metric.needs_labels or not metric.paired_loss


@EVERY
def test_only_distances_have_nothing_to_be_worse_than(metric: Metric) -> None:
    assert bool(metric.against) != (metric.name in {*DISTANCES, "ks_p"})


def test_numbers_only_metrics_are_known_from_the_distances() -> None:
    assert {name for name in DISTANCES if not compares_names(name)} >= {"ks", "wasserstein"}
    assert not compares_names("ks_p")
    assert compares_names("psi")
