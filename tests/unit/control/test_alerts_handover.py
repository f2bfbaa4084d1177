"""An alert outlives its worker: who takes the model over says the same of it, and no more than that."""

from pathlib import Path

import msgspec
import pytest

from agents.alerter import Alert
from agents.events import OperatorAsked, QueryRead
from driftd.control.reading import answer_of
from driftd.control.stepper import Stepper
from tests.support.control import MODEL, START, Bench

POLICY = f"""\
model: {MODEL}
clock: {{pane: 1m}}
watch: {{rules: [{{query: gpu_busy, above: 90%, over: 2m}}]}}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A model whose rule on a query has just been broken."""
    bench = Bench(tmp_path, event_clock=False)
    bench.publish(POLICY)
    for minute in range(2):
        start = START + 60 * minute
        read = QueryRead(query="gpu_busy", start=start, end=start + 60, low=0.95, high=0.99)
        bench.store.inbox.put(MODEL, "operator", answer_of(read), f"q{minute}")
    return bench


def step(stepper: Stepper) -> tuple[Alert, ...]:
    """What is due after all that waits."""
    found: tuple[Alert, ...] = ()
    for _ in range(3):
        found += stepper.step(MODEL).alerts
    return found


def asked(bench: Bench, verb: str, **arguments: object) -> None:
    """A person answers."""
    wish = OperatorAsked(verb=verb, by="ada", arguments=arguments)
    bench.store.inbox.put(MODEL, "operator", msgspec.json.encode(wish), verb)


@pytest.mark.parametrize("verb", ["false_alarm", "accept", "ignore"])
def test_another_worker_says_the_end_of_what_the_first_began(bench: Bench, verb: str) -> None:
    (began,) = step(bench.new_stepper("a"))
    other = bench.new_stepper("b")
    assert step(other) == ()

    until = START + 10 * 86_400
    arguments = {
        "ignore": {"stream": "query gpu_busy above 90% over 2m", "until": until},
    }.get(verb, {"incident_id": began.annotations["incident_id"]})
    asked(bench, verb, **arguments)
    (ended,) = step(other)

    assert (ended.labels, ended.starts_at) == (began.labels, began.starts_at)
    assert ended.ends_at < began.ends_at
    assert step(bench.new_stepper("c")) == ()
