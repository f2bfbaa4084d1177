"""`driftd check` and `driftd apply`, run as a person runs them."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from driftd.cli import check
from driftd.errors import MistakeError, UnreachableError

ROOT = Path(__file__).parents[3]
FIVE = """\
model: flight-delay
mod: auto
owner: ml-delays
owner: ml-weather
watch:
  false_alarms: 1 a month
  rules:
    - {metric: acuracy, below: 90%}
    - {metric: brier, worse_by: 5%, than: training}
retrain:
  on: [quality]
canary: {}
"""


def run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    check.register(app)
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_five_mistakes_of_five_kinds_are_told_at_once(folder: Path) -> None:
    (folder / "flight-delay.yaml").write_text(FIVE)

    result = run("check", "flight-delay.yaml")

    assert result.exit_code == 1
    assert result.stdout == (
        "flight-delay.yaml:2:1: mod: no such key; did you mean 'mode'?\n"
        "flight-delay.yaml:4:1: owner: is written twice; the first is on line 3\n"
        "flight-delay.yaml:6:17: watch.false_alarms: must be a number of times in a span, "
        "such as 3 per 7d; '1 a month' is not\n"
        "flight-delay.yaml:8:16: watch.rules[0].metric: there is no metric 'acuracy'; "
        "did you mean 'accuracy'?\n"
        "flight-delay.yaml:10:1: retrain.trainer: is missing\n"
        "5 mistakes in 1 file\n"
    )


def test_good_files_are_said_to_be_good() -> None:
    names = ("minimal", "flight-delay", "classic")
    files = [ROOT / f"configs/policies/{name}.yaml" for name in names]

    result = run("check", *files)

    assert result.exit_code == 0
    *lines, notice = result.stdout.splitlines()
    assert lines == [
        f"{file}: good (model flight-delay, mode {mode})"
        for file, mode in zip(files, ("alert", "auto", "alert"), strict=True)
    ]
    assert notice.startswith(f"{files[2]}: notice: ks_p below 0.01 over 1d: outside the budget")


def test_json_tells_the_same_to_programs(folder: Path) -> None:
    (folder / "p.yaml").write_text("model: m\nmode: atuo\n")

    result = run("check", "p.yaml", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "files": [
            {
                "file": "p.yaml",
                "model": "",
                "good": False,
                "notices": [],
                "mistakes": [
                    {
                        "file": "p.yaml",
                        "line": 2,
                        "column": 7,
                        "path": ["mode"],
                        "message": "must be observe, alert, retrain or auto, not 'atuo'",
                        "suggestion": "auto",
                    }
                ],
            }
        ]
    }


def test_explain_prints_defaults_and_their_consequences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    result = run("check", ROOT / "configs/policies/minimal.yaml", "--explain")

    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    assert "brier worse by 5% than training over 10m, sequential" in words
    assert "under the budget" in words
    assert "A KS of 0.2 is found in 4 panes, 40m" in words
    assert "Canary: 1d at least (its steps)." in words
    assert "caution: mode alert: the section retrain is not acted on" in words
    assert "drift alone trains nothing; add input_drift if it shall" in words


def test_explain_as_json_holds_the_same_figures() -> None:
    result = run("check", ROOT / "configs/policies/minimal.yaml", "--explain", "--json")

    explanation = json.loads(result.stdout)["files"][0]["explanation"]
    assert explanation["budget"]["delay_panes"] == 4
    assert {"path": "mode", "value": "alert"}.items() <= explanation["defaults"][1].items()


def test_a_canary_that_cannot_finish_at_this_traffic_is_refused() -> None:
    file = ROOT / "configs/policies/minimal.yaml"

    result = run("check", file, "--events-per-day", "1000", "--label-delay", "3h")

    assert result.exit_code == 1
    assert result.stdout.startswith(f"{file}:4:1: canary.give_up_after: a canary takes about ")
    assert run("check", file, "--events-per-day", "10000000").exit_code == 0


def test_names_are_checked_against_settings(folder: Path) -> None:
    (folder / "p.yaml").write_text("model: m\nretrain: {trainer: tabula}\n")
    (folder / "s.yaml").write_text("trainers: {tabular: {command: [x]}}")

    assert run("check", "p.yaml").exit_code == 0
    result = run("check", "p.yaml", "--settings", "s.yaml")

    assert result.exit_code == 1
    assert result.stdout.startswith(
        "p.yaml:2:20: retrain.trainer: the settings name no trainer 'tabula'; "
        "did you mean 'tabular'?\n"
    )


def test_the_schema_is_the_published_one() -> None:
    assert run("check", "--schema").stdout == (ROOT / "docs/policy.schema.json").read_text()


USAGE: dict[str, tuple[str, ...]] = {
    "no file": ("check",),
    "a file that is not there": ("check", "none.yaml"),
    "a delay without traffic": ("check", "p.yaml", "--label-delay", "3h"),
    "a delay without a unit": ("check", "p.yaml", "--events-per-day", "9", "--label-delay", "3"),
}


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE)
def test_a_wrong_call_is_a_usage_error(folder: Path, arguments: tuple[str, ...]) -> None:
    (folder / "p.yaml").write_text("model: m")

    assert run(*arguments).exit_code == 2


@pytest.fixture
def daemon() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A daemon's API as `apply` sees it: what it was asked, and a revision or a refusal."""
    asked: list[dict[str, Any]] = []

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({"path": self.path, "token": self.headers["Authorization"], **body})
            good = "refuse" not in body["text"]
            answer = {"revision": 3} if good else {"detail": ["retrain.trainer: none such"]}
            self.send_response(200 if good else 422)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_apply_posts_the_text_as_it_is_written(
    folder: Path, daemon: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    api, asked = daemon
    text = "model: fraud   # the comment stays\n"
    (folder / "p.yaml").write_text(text)
    monkeypatch.setenv("DRIFTD_TOKEN", "s3cret")

    result = run("apply", "p.yaml", "--api", api, "--by", "ann")

    assert result.stdout == "fraud: revision 3 is in force\n"
    assert asked == [{"path": "/api/policies", "token": "Bearer s3cret", "text": text, "by": "ann"}]


def test_apply_takes_the_address_from_the_environment(
    folder: Path, daemon: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "p.yaml").write_text("model: fraud")
    monkeypatch.setenv("DRIFTD_API", daemon[0])

    result = run("apply", "p.yaml", "--json")

    assert json.loads(result.stdout) == {"model": "fraud", "revision": 3}


def test_apply_sends_nothing_that_check_refuses(
    folder: Path, daemon: tuple[str, list[dict[str, Any]]]
) -> None:
    (folder / "p.yaml").write_text("model: fraud\nmode: atuo")

    result = run("apply", "p.yaml", "--api", daemon[0])

    assert result.exit_code == 1
    assert result.stdout.endswith("1 mistake in 1 file\n")
    assert daemon[1] == []


def test_what_the_daemon_refuses_is_a_mistake(
    folder: Path, daemon: tuple[str, list[dict[str, Any]]]
) -> None:
    (folder / "p.yaml").write_text("model: refuse")

    result = run("apply", "p.yaml", "--api", daemon[0])

    assert isinstance(result.exception, MistakeError)
    assert "retrain.trainer: none such" in str(result.exception)


def test_without_a_daemon_apply_says_how_to_reach_one(folder: Path) -> None:
    (folder / "p.yaml").write_text("model: fraud")

    result = run("apply", "p.yaml", "--api", "http://127.0.0.1:9")

    assert isinstance(result.exception, UnreachableError)


def test_what_this_version_does_not_act_on_is_told(folder: Path) -> None:
    rules = "[{query: gpu_busy, above: 90%, over: 5m}, {metric: accuracy, below: 80%}]"
    (folder / "m.yaml").write_text(
        f"model: m\nwatch: {{rules: {rules}, drift: {{tolerate: {{mmd: 0.1}}}}}}\n"
    )
    (folder / "s.yaml").write_text("clock: event\nprometheus: {queries: {gpu_busy: up}}\n")
    asked = ("check", "m.yaml", "--settings", "s.yaml")

    text, plain = run(*asked), run(*asked, "--json")

    assert text.exit_code == plain.exit_code == 0
    notices = json.loads(plain.stdout)["files"][0]["notices"]
    assert [notice.split(":")[0] for notice in notices] == [
        "query gpu_busy above 90% over 5m",
    ]
    assert all(f"m.yaml: notice: {notice}" in text.stdout for notice in notices)
