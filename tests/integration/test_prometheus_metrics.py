"""What is scraped: the real promtool finds nothing to say about the pages, and a table lists them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from configs.prometheus.make_metrics_page import FILE, page
from driftd.console.collector import StoreCollector
from driftd.console.worker_collector import WorkerCollector, WorkerView
from driftd.serving.metrics import Metrics as ServerMetrics
from driftd.serving.metrics import State
from tests.integration.test_prometheus_rules import promtool
from tests.support.control import Answer, Bench

DAYS = 86_400.0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.publish()
    bench.step()
    bench.settle()
    yield bench
    bench.store.close()


def worker_page(bench: Bench) -> str:
    """The page of a worker that has seen something of everything."""
    metrics = bench.metrics
    metrics.know_topic("predictions", ("broken", "no_policy"))
    metrics.records.labels("predictions").inc(3)
    metrics.lag.put({("predictions",): 7.0})
    metrics.reached("registry")
    metrics.missed("router")
    metrics.policy_refused.labels("a.yaml").inc()
    metrics.transaction("write", 0.01, failed=True)
    view = WorkerView(ready=True, refused=1, stalled={"ingest": 2.0}, up={"kafka": False})
    metrics.registry.register(WorkerCollector(lambda: view))
    metrics.registry.register(
        StoreCollector(bench.store, bench.book.specs, lambda _: True, metrics)
    )
    return generate_latest(metrics.registry).decode()


def server_page() -> str:
    """The page of a server that has answered."""
    metrics = ServerMetrics("delay")
    metrics.answered("1", "champion", 3, 10.0)
    state = State(
        epoch=2, versions={"1": True}, restarts={"1": 0}, shadow_waiting=0, events={"sent": 3}
    )
    metrics.watch(lambda: state)
    return metrics.render().decode()


def test_promtool_finds_nothing_to_say_about_a_worker(bench: Bench) -> None:
    start = 1_359_417_600.0
    bench.flush([Answer(id="a", ts=start, label="late")], start + 3 * DAYS)
    bench.step()
    text = worker_page(bench)

    done = promtool("check", "metrics", given=text)

    assert done.returncode == 0, done.stdout + done.stderr
    assert 'driftd_quality_score{arm="champion"' in text


def test_promtool_finds_nothing_to_say_about_a_server() -> None:
    done = promtool("check", "metrics", given=server_page())

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_series_of_a_server_names_its_model() -> None:
    families = text_string_to_metric_families(server_page())
    samples = [one for family in families for one in family.samples]

    assert len(samples) > 20
    assert {one.labels.get("model") for one in samples if one.name.startswith("driftd_")} == {
        "delay"
    }


def test_what_could_go_wrong_is_0_before_it_does() -> None:
    text = server_page()

    assert 'driftd_serving_failures_total{model="delay",variant="champion",version="1"} 0.0' in text
    assert 'driftd_serving_requests_total{model="delay",status="503"} 0.0' in text


def test_the_table_of_all_series_is_up_to_date() -> None:
    assert FILE.read_text() == page(), "run: python -m configs.prometheus.make_metrics_page"
