"""What people read in a terminal of a model and of the fleet."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from driftd.console.status import model_status
from driftd.console.terminal import fleet_table, model_panel
from tests.support.control import MODEL, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.publish()
    bench.step()
    yield bench
    bench.store.close()


def shown(what: RenderableType) -> str:
    """As a terminal of 100 columns shows it."""
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


def status(bench: Bench) -> dict[str, Any]:
    """The status as the API gives it."""
    spec = bench.book.spec(MODEL)
    assert spec is not None
    return model_status(bench.store, spec)


def test_a_pause_of_everything_stands_beside_the_stage(bench: Bench) -> None:
    bench.store.flags.pause_all("ada")

    assert "everything is paused" in shown(model_panel(status(bench)))
    assert "everything is paused" in shown(fleet_table([status(bench)]))


def test_a_command_that_waits_says_why(bench: Bench) -> None:
    [row] = bench.store.outbox.claim("w", 60.0, bench.store.database.now() + 1)
    bench.store.outbox.postpone(row.op_id, row.attempt, "w", 0.0, "the registry is away")

    page = shown(model_panel(status(bench)))

    assert "profile" in page
    assert "the registry is away" in page


def test_the_fleet_is_one_line_a_model(bench: Bench) -> None:
    bench.settle()
    lines = [line for line in shown(fleet_table([status(bench)] * 2)).splitlines() if line.strip()]

    assert len(lines) == 3
    assert "know champion" in lines[1]
