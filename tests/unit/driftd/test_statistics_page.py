"""The tables of docs/statistics.md come out of the benchmark's JSON, and nothing else of the page changes."""

from typing import Any

import pytest

from benchmarks import statistics_page as page
from benchmarks.panes.missing import Watched
from benchmarks.panes.trial import Trial
from benchmarks.validity import poisson_interval, told

NAN = float("nan")


def trial(incidents: int, delays: tuple[float, ...]) -> Trial:
    """One simulated model, as the benchmark sums it up."""
    watched = Watched(
        incidents=incidents,
        model=0,
        transients=2,
        panes_median=3,
        panes_high=9,
        delays={"half_sd": delays, "one_sd": delays},
    )
    naive = dict.fromkeys(page.NAIVE, (50, 10))
    return Trial(regime="t3", watched={0.10: watched, 0.05: watched}, naive=naive, first_week=0)


@pytest.fixture
def regimes() -> dict[str, Any]:
    return {"t3": told([trial(1, (4.0, 5.0)), trial(0, (6.0, NAN))])}


def test_incidents_are_told_with_their_interval(regimes: dict[str, Any]) -> None:
    seen = regimes["t3"]
    low, high = poisson_interval(1)
    assert seen["incidents_per_30d"] == 0.5
    assert seen["interval_95"] == [round(low / 2, 3), round(high / 2, 3)]
    assert (seen["delay_half_sd_panes"], seen["missed"], seen["deaf"]) == (6.0, 0.25, True)
    assert page.budget_table(regimes)[-1].endswith(
        "| **0.50** | 0.01 to 2.79 | 2.0 | 10 | 10 | 10 |"
    )


def test_what_was_never_found_is_told_as_such(regimes: dict[str, Any]) -> None:
    assert "| 6 / never | 6 / never |" in page.power_table(regimes)[-1]


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    text = "a\n<!-- budget -->\nold\n<!-- end -->\nb\n<!-- power -->\nkept\n<!-- end -->\n"
    assert page.between(text, "budget", ["new", "lines"]) == text.replace("old", "new\nlines")


def test_a_shift_of_a_quarter_sd_is_the_default_tolerance() -> None:
    ks = page.effects_table()[-2].split("|")
    assert float(ks[3]) == pytest.approx(0.10, abs=0.002)
