"""A policy changes while the daemon runs: a good change is in force at once, a bad one changes nothing
and is told where a person looks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import RunningDaemon, running_daemon

FILE = "flight-delay.yaml"
FIRST = "model: flight-delay\nmode: observe\n"
SECOND = "model: flight-delay\nmode: alert\nowner: delays\n"
THIRD = "model: flight-delay\nmode: alert\nowner: arrivals\n"
# Line and column of each of the five mistakes, as a person counts them.
BAD = """\
model: flight-delay
mod: alert
clock: {pane: 10}
watch:
  false_alarms: 1 a month
retrain: {}
canary:
  steps: [{weight: 150%}]
"""
PLACES = {"2:1", "3:15", "5:17", "6:1", "8:20"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    directory = tmp_path_factory.mktemp("policy")
    with running_daemon(directory, {"predictions": 1, "labels": 1}, {FILE: FIRST}) as running:
        yield running


def status(daemon: RunningDaemon) -> dict[str, Any]:
    """The model as the API shows it; empty before its policy is published."""
    found: dict[str, Any] = daemon.get("/api/models/flight-delay") or {}
    return found


def in_force(daemon: RunningDaemon, revision: int) -> bool:
    """Whether the control loop decides by this revision."""
    told = status(daemon)
    return told.get("policy_revision") == told.get("published_revision") == revision


def refusals(daemon: RunningDaemon) -> list[dict[str, Any]]:
    """What the journal says of refused files, oldest first."""
    told = [one for one in status(daemon).get("decisions", ()) if one["what"] == "refuse policy"]
    return told[::-1]


def test_changes_of_a_live_policy(daemon: RunningDaemon) -> None:
    daemon.until(lambda: in_force(daemon, 1), "what is there at the start is in force")

    daemon.put_policy(FILE, SECOND)
    daemon.until(lambda: in_force(daemon, 2), "a good change is a new revision")
    assert (status(daemon)["mode"], status(daemon)["owner"]) == ("alert", "delays")
    assert daemon.metric("driftd_policy_refused_total") == 0

    daemon.put_policy(FILE, BAD)
    daemon.until(lambda: len(refusals(daemon)) == 1, "a bad change is told in the journal")
    daemon.until(lambda: len(daemon.logged("policy refused")) == 1, "and in the log")
    assert in_force(daemon, 2)
    assert (status(daemon)["mode"], status(daemon)["owner"]) == ("alert", "delays")
    logged = daemon.logged("policy refused")[0]
    assert (logged["file"], logged["mistakes"]) == (FILE, len(PLACES))
    assert daemon.metric("driftd_policy_refused_total", file=FILE) == 1
    assert_told_with_every_mistake(daemon)

    daemon.kill_and_start()
    daemon.until(lambda: len(daemon.logged("policy refused")) == 2, "told again after a restart")
    daemon.until(lambda: daemon.get("/ready") is not None, "the daemon is ready again")
    assert in_force(daemon, 2)

    daemon.put_policy(FILE, THIRD)
    daemon.until(lambda: in_force(daemon, 3), "what was put right is in force")
    assert status(daemon)["owner"] == "arrivals"
    assert len(refusals(daemon)) == 1, "the same mistakes stand in the journal once"
    rows = daemon.sql('SELECT revision, text, "by" FROM policy ORDER BY revision')
    texts = (FIRST, SECOND, THIRD)
    assert rows == [(n + 1, text, f"file {FILE}") for n, text in enumerate(texts)]


def assert_told_with_every_mistake(daemon: RunningDaemon) -> None:
    """In the journal, in ``driftd status`` and by ``driftd check`` alike."""
    told = refusals(daemon)[0]
    assert told["why"].startswith(f"{FILE} has 5 mistakes; revision 2 stays in force: {FILE}:2:1:")
    lines = told["evidence"]["mistakes"]
    assert {place(line) for line in lines} == PLACES
    shown = daemon.run("status", "flight-delay", "--api", daemon.api)
    assert shown.returncode == 0, shown.stderr
    assert "refuse policy" in shown.stdout
    file = daemon.settings.parent / "policies" / FILE
    checked = daemon.run("check", str(file))
    assert checked.returncode == 1
    found = [line for line in checked.stdout.splitlines() if f"{FILE}:" in line]
    assert [Path(line.split(":")[0]).name + line[line.index(":") :] for line in found] == lines


def place(line: str) -> str:
    """``line:column`` of a mistake that is told as ``file:line:column: …``."""
    return ":".join(line.split(":")[1:3])
