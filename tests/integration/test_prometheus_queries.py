"""The client of PromQL queries and the service around it, against a real Prometheus."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agents.events import QueryRead
from driftd.clients.prometheus import PrometheusClient
from driftd.clock import wall_now
from driftd.control.queries import Queries
from driftd.control.reading import queried, told
from driftd.demo.children import Children, free_port
from driftd.errors import RefusedError, UnreachableError
from driftd.sections import PrometheusSettings
from driftd.store.migrate import migrate
from driftd.store.store import Store, open_store
from driftd.telemetry import Metrics
from policies.specs import Amount, ClockSpec, ModelSpec, RegistrySpec, RuleSpec
from stack.prometheus import Prometheus
from tests.support.alerting import until
from tests.support.gauge import scraping, serving

SERIES = {
    'gpu_busy{model="m",gpu="0"}': 0.75,
    'gpu_busy{model="m",gpu="1"}': 0.5,
    'gpu_percent{model="m"}': 42.0,
}
QUERIES = {
    "busy": 'max(gpu_busy{model="$model"})',
    "both": 'gpu_busy{model="$model"}',
    "nobody": 'gpu_busy{model="nobody"}',
    "percent": "gpu_percent",
    "broken": "max(gpu_busy",
    "old": "gpu_busy offset 1h",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped for some seconds."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    children = Children(folder)
    with serving(dict(SERIES)) as gauge:
        try:
            prometheus = scraping(children, folder / "data", gauge.address)
            until(lambda: _scrapes(prometheus) >= 6, "it has scraped six times")
            yield prometheus
        finally:
            children.stop_all()


def _scrapes(prometheus: Prometheus) -> int:
    found = prometheus.query("count_over_time(gpu_percent[1m])")
    return int(found[0]["value"][1]) if found else 0


def ask(url: str, promql: str, steps: int = 2) -> Mapping[float, float]:
    """The values of the last seconds."""
    settings = PrometheusSettings.model_validate({"url": url, "deadline": "5s"})

    async def values() -> Mapping[float, float]:
        client = PrometheusClient(settings)
        try:
            end = float(int(wall_now()))
            return await client.values(promql, end - steps + 1, end, 1.0)
        finally:
            await client.aclose()

    return asyncio.run(values())


def test_one_series_or_a_scalar_has_values(server: Prometheus) -> None:
    assert list(ask(server.url, "max(gpu_busy)").values()) == [0.75, 0.75]
    assert list(ask(server.url, "scalar(gpu_percent) / 100").values()) == [0.42, 0.42]


def test_no_series_and_nan_have_none(server: Prometheus) -> None:
    assert ask(server.url, QUERIES["nobody"]) == {}
    assert ask(server.url, "gpu_percent * NaN") == {}


def test_several_series_name_the_labels_that_tell_them_apart(server: Prometheus) -> None:
    with pytest.raises(RefusedError, match=r"2 series that differ in gpu; .*max without\(gpu\)"):
        ask(server.url, "gpu_busy")


def test_what_is_no_promql_is_refused_in_prometheus_own_words(server: Prometheus) -> None:
    with pytest.raises(RefusedError, match=r"HTTP 400 .*parse error"):
        ask(server.url, QUERIES["broken"])


def test_nobody_there_is_told_as_such() -> None:
    with pytest.raises(UnreachableError):
        ask(f"http://127.0.0.1:{free_port()}", "up")


def rule(query: str, unit: str = "%") -> RuleSpec:
    """A rule over two buckets of a second."""
    amount = Amount(value=90.0, unit=unit)  # type: ignore[arg-type]  # one of the units
    return RuleSpec(
        name=f"query {query}", query=query, comparison="above", amount=amount, over_s=2.0
    )


@dataclass(kw_only=True)
class Service:
    """The service over a store of its own."""

    store: Store
    url: str
    metrics: Metrics = field(default_factory=Metrics)

    def run(self, *queries: str, rounds: int = 1, owns: bool = True) -> list[QueryRead]:
        """Run it until it has come round so often; what then lies in the inbox."""
        rules = tuple(map(rule, queries))
        clock = ClockSpec(pane_s=2.0, bucket_s=1.0, lateness_s=0.0)
        spec = ModelSpec(model="m", registry=RegistrySpec(name="m"), clock=clock, rules=rules)
        came = 0

        def specs() -> dict[str, ModelSpec]:
            nonlocal came
            came += 1
            return {"m": spec}

        async def serve() -> None:
            settings = PrometheusSettings.model_validate({"url": self.url, "queries": QUERIES})
            service = Queries(
                settings, self.store, self.metrics,
                specs=specs, owns=lambda _: owns, ring=lambda _: None, settle_s=1.0,
            )  # fmt: skip
            running = asyncio.create_task(service.run())
            # One round is over when the next begins.
            await asyncio.to_thread(until, lambda: came > rounds, "it came round")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        asyncio.run(serve())
        return self.inbox()

    def inbox(self) -> list[QueryRead]:
        """What lies there, in order."""
        work = self.store.control.work("m", ("t",), 0.0, 1.0, None)
        return [read for row in work.inbox if (read := queried(told(row))) is not None]

    def outcomes(self) -> dict[tuple[str, str], float]:
        """(query, outcome) -> how often, by the metric."""
        (family,) = self.metrics.queries.collect()
        return {
            (sample.labels["query"], sample.labels["outcome"]): sample.value
            for sample in family.samples
            if sample.name.endswith("_total")
        }


@pytest.fixture
def service(server: Prometheus, tmp_path: Path) -> Iterator[Service]:
    """The service in front of the real server."""
    url = f"sqlite:///{tmp_path}/driftd.db"
    migrate(url)
    store = open_store(url)
    yield Service(store=store, url=server.url)
    store.close()


def test_a_fresh_worker_fills_the_window_and_asks_no_bucket_twice(service: Service) -> None:
    first = service.run("busy")
    again = service.run("busy", rounds=2)

    # Two buckets are a window; more may have passed meanwhile.
    assert len(first) >= 2
    assert {(read.low, read.high) for read in first} == {(0.75, 0.75)}
    assert again[: len(first)] == first
    # Another worker that asks for the same buckets, too, writes none of them twice.
    starts = [read.start for read in again]
    assert starts == sorted(set(starts))


def test_no_series_is_no_value_and_told(service: Service) -> None:
    with capture_logs() as logs:
        reads = service.run("nobody")

    assert len(reads) >= 2
    assert {(read.low, read.high) for read in reads} == {(None, None)}
    assert service.outcomes() == {("nobody", "empty"): len(reads)}
    assert [line["event"] for line in logs] == ["miss query"]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("both", "differ in gpu"),
        ("broken", "parse error"),
        ("unheard", "the settings name no query 'unheard'"),
        ("percent", "its value is 42, and 90% compares with a share of 1"),
    ],
)
def test_a_query_that_cannot_be_compared_is_a_mistake(
    service: Service, query: str, why: str
) -> None:
    with capture_logs() as logs:
        service.run(query)

    # A slow machine may have come round more often; it is told once a minute.
    assert service.outcomes()[query, "mistake"] >= 1
    (line,) = logs
    assert why in line["why"]


def test_prometheus_away_gives_no_rows_and_is_told(service: Service) -> None:
    service.url = f"http://127.0.0.1:{free_port()}"
    with capture_logs() as logs:
        assert service.run("busy") == []

    assert set(service.outcomes()) == {("busy", "failed")}
    assert [(line["event"], line["query"]) for line in logs] == [("miss query", "busy")]


def test_another_workers_model_is_left_alone(service: Service) -> None:
    assert service.run("busy", owns=False) == []
