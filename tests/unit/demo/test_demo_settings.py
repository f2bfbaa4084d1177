"""What the demo writes and draws: files that a person could have written, days that a seed moves."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from driftd.demo.children import ChildError, Children
from driftd.demo.files import write_files
from driftd.demo.flights import MODEL
from driftd.demo.killer import KILL_WITHIN_S, moments
from driftd.demo.options import DAY_S, DemoOptions
from driftd.demo.summary import harmed_ms
from driftd.settings import load_settings
from driftd.yamlfile import parse_yaml
from policies.checker import check


def test_settings_and_policy_are_without_a_mistake(tmp_path: Path) -> None:
    path = write_files(
        tmp_path, bootstrap="127.0.0.1:9", tracking_uri="http://127.0.0.1:8", port=7, seed=3
    )
    settings = load_settings(path)
    text = (tmp_path / "policies" / f"{MODEL}.yaml").read_text()
    spec, mistakes = check(parse_yaml(text).values)

    assert mistakes == ()
    assert spec is not None
    assert (spec.clock.pane_s, spec.mode) == (DAY_S, "auto")
    assert spec.retrain is not None
    assert (spec.retrain.trainer, spec.retrain.trainings_max) == ("tabular", 4)
    assert settings.clock == "event"
    assert settings.ingest.sample == 1.0
    assert settings.trainers["tabular"].env["DRIFTD_SEED"] == "3"
    assert Path(settings.trainers["tabular"].command[1]).exists()


def test_kills_fall_on_moments_that_the_seed_draws() -> None:
    options = DemoOptions(kill=5, seed=1)
    drawn = moments(options)

    assert len(set(drawn)) == 5
    assert drawn == sorted(drawn)
    assert all(0 <= moment <= KILL_WITHIN_S for moment in drawn)
    assert moments(options) == drawn
    assert moments(replace(options, seed=2)) != drawn
    assert moments(replace(options, kill=0)) == []


@dataclass
class _Row:
    wall_at: float
    evidence: bytes


@pytest.mark.parametrize(
    ("answered", "expected"),
    [({"4": 99.0}, 0.0), ({"4": 100.25}, 250.0), ({"1": 120.0}, None)],
    ids=["the last answer came before", "a quarter of a second after", "it never answered"],
)
def test_harm_is_counted_from_the_decision_to_the_last_answer(
    answered: dict[str, float], expected: float | None
) -> None:
    row = _Row(wall_at=100.0, evidence=msgspec.json.encode({"candidate": "4"}))

    assert harmed_ms([row], {"last_live_answer": answered}) == expected


def test_a_child_that_fails_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    children = Children(tmp_path)
    children.start("failing", ["sh", "-c", "echo what went wrong; exit 3"])

    with pytest.raises(ChildError, match=r"failing ended with 3:\nwhat went wrong"):
        children.finish("failing", 10)
    children.stop_all()


def test_stopping_ends_whatever_a_child_left_in_its_session(tmp_path: Path) -> None:
    children = Children(tmp_path)
    children.start("parent", ["sh", "-c", "sleep 300 & echo $!; wait"])
    children.wait_until("parent", lambda: children.log("parent").read_text() != "", 10)
    pid = int(children.log("parent").read_text())
    children.stop_all()

    # Gone, or a zombie that nobody has waited for yet: either way it runs no more.
    assert children.running == {}
    deadline = time.monotonic() + 20
    while _runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False
