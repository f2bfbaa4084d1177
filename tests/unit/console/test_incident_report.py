"""The report of a data fault, from a real store: how it looked before and since, and what to do."""

from pathlib import Path

import msgspec
import pytest

from agents.codec import encode_arm, layout_marks
from agents.events import ArmCounts
from agents.watching.streams import layouts_of
from driftd.console.incident_plots import BeforeSince, incident_plot, missing_plot
from driftd.console.incident_view import feature_of, times
from driftd.console.report import render_report
from driftd.console.terminal import incident_text
from driftd.store.moves import Flush
from driftd.store.rows import PartialRow
from tests.support.control import DAY, MODEL, START, Bench
from tests.support.watched import PROFILE, USUAL, values

STUCK_FROM, UNTIL = 62, 70


def live(bench: Bench) -> None:
    """Ten weeks in which the temperature stands still at last."""
    spec = bench.book.spec(MODEL)
    assert spec is not None
    layouts = layouts_of(spec, PROFILE)
    marks = layout_marks(layouts)
    for day in range(UNTIL):
        columns = values(day, USUAL)
        if day >= STUCK_FROM:
            columns["temp"] = [values(0, USUAL)["temp"][0]] * len(columns["temp"])
        counts = {name: layouts[name].fold(column) for name, column in columns.items()}
        arm = ArmCounts(n=400, counts=counts)
        start = START + day * DAY
        row = PartialRow(
            model=MODEL,
            version="1",
            variant="champion",
            bucket=start,
            n=400,
            blob=encode_arm(arm, marks),
        )
        moves = tuple(bench._move(t, 1, start + DAY + 600) for t in ("predictions", "labels"))
        assert bench.store.ingest.flush(Flush(moves=moves, partials=(row,), samples=()))
        bench.step()
        bench.settle()


def test_a_stuck_feature_is_shown_before_and_since_with_its_cause(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.store.profiles.put(MODEL, "1", PROFILE.to_bytes())
    bench.publish()
    bench.step()
    bench.settle()

    live(bench)

    spec = bench.book.spec(MODEL)
    assert spec is not None
    rows = [row for row in bench.store.views.incidents(MODEL) if row.kind == "data_fault"]
    body = msgspec.json.decode(rows[0].body)
    assert body["cause_kind"] == "stuck"
    page = render_report(bench.store, spec).decode()
    bench.store.close()
    assert body["cause"] in page
    assert "stuck value" in page
    assert "Next: Look at the sensor, cache or default behind the feature" in page
    assert "value of temp" in page
    assert ">since (" in page
    assert incident_text(body) == f"{body['cause']} ({body['sure']:.0%} sure)"


@pytest.mark.parametrize("name", ["carrier", "temp", "@score"])
def test_both_sides_of_a_stream_share_their_scales(name: str) -> None:
    stream = PROFILE.streams[name]
    shown = BeforeSince(
        stream=name,
        layout=stream.layout,
        before=stream.shares,
        since=stream.shares[::-1].copy(),
        events=1_234,
        missing_before=0.0,
        missing_since=0.0,
    )

    plot = incident_plot(shown)

    assert plot.startswith("<svg")
    assert f"{name}: before" in plot
    assert "since (1,234 events)" in plot
    assert "% of the events" in plot


def test_missing_values_are_two_bars() -> None:
    plot = missing_plot("temp", 0.003, 1.0)

    assert "0.3%" in plot
    assert "100.0%" in plot


@pytest.mark.parametrize(
    ("stream", "feature"),
    [
        ("temp", "temp"),
        ("temp?", "temp"),
        ("a!unseen", "a"),
        ("temp=", "temp"),
        ("@model", "@model"),
    ],
)
def test_every_stream_belongs_to_a_feature(stream: str, feature: str) -> None:
    assert feature_of(stream) == feature


def test_a_rule_has_no_tolerance_to_be_counted_in() -> None:
    assert times({"stream": "a", "effect": 0.4, "tolerance": 0.1, "rule": ""}) == pytest.approx(4)
    assert times({"stream": "a", "effect": 0.4, "tolerance": 0.1, "rule": "r"}) is None
    assert times({"stream": "a", "effect": None, "tolerance": 0.1, "rule": ""}) is None
