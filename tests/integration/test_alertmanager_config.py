"""The shipped configuration of Alertmanager: what amtool says of it, and what it does when it runs."""

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ruamel.yaml import YAML

from agents.alerter import Alert
from driftd.demo.children import Children
from stack.hook import Hook
from stack.install import program
from tests.support.alerting import Told, alert, send, until

CONFIGS = Path(__file__).parents[2] / "configs" / "alertmanager"
CONFIG = CONFIGS / "alertmanager.yml"
ROUTES = {
    "severity=warning owner=ml-delays": "ml-delays",
    "severity=critical owner=ml-delays": "pager,ml-delays",
    "severity=critical owner=none": "pager",
    "severity=info owner=ml-delays": "digest",
    "severity=warning owner=none": "platform",
    "severity=warning job=driftd": "platform",
}
DATA = {
    "status": "firing",
    "alerts": [
        {
            "status": status,
            "labels": {"severity": severity, "owner": "ml-delays", "model": "flight-delay"},
            "annotations": {
                **alert("flight-delay").annotations,
                "description": "1 < 2, said R&D.",
            },
        }
        for status, severity in (("resolved", "warning"), ("firing", "critical"))
    ],
    "commonLabels": {"owner": "ml-delays"},
}


def amtool(*arguments: str) -> str:
    """What amtool prints; its complaint where it refuses."""
    done = subprocess.run(
        [str(program("amtool")), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rendered(name: str, folder: Path, kind: str = "text") -> str:
    """A template of ours over ``DATA``."""
    (folder / "data.json").write_text(json.dumps(DATA))
    return amtool(
        *("template", "render", f"--template.glob={CONFIGS}/templates/*.tmpl"),
        *(f"--template.data={folder}/data.json", f"--template.type={kind}"),
        f'--template.text={{{{ template "{name}" . }}}}',
    )


def test_amtool_finds_no_mistake() -> None:
    assert "SUCCESS" in amtool("check-config", str(CONFIG))


@pytest.mark.parametrize("labels", ROUTES)
def test_an_alert_goes_to_who_answers_for_it(labels: str) -> None:
    told = amtool("config", "routes", "test", f"--config.file={CONFIG}", *labels.split())

    assert told.strip() == ROUTES[labels]


def test_a_message_says_what_happened_and_how_to_answer(tmp_path: Path) -> None:
    title = rendered("driftd.title", tmp_path).strip()
    text = rendered("driftd.text", tmp_path)

    assert title == "[CRITICAL] Data fault in flight-delay: minute_of_day is shifted and 1 more"
    assert "1 < 2, said R&D.\nSince: 2013-06-18T00:00:00Z\nStreams: minute_of_day\n" in text
    assert "Report: https://driftd.example.com/api/models/flight-delay/report#incident-a1b2" in text
    assert "Answer: driftd accept flight-delay a1b2c3d4e5f60718" in text
    assert "What to do: docs/runbooks/data_fault.md" in text
    assert rendered("driftd.color", tmp_path).strip() == "danger"


def test_an_e_mail_escapes_what_it_quotes(tmp_path: Path) -> None:
    page = rendered("driftd.html", tmp_path, "html")

    assert "1 &lt; 2, said R&amp;D." in page
    assert 'href="https://driftd.example.com/api/models/flight-delay/report#incident-a1b2"' in page


def swapped(folder: Path, hook: str) -> Path:
    """The shipped file with every receiver's address replaced by ``hook``, and no waiting."""
    yaml = YAML(typ="safe")
    config: dict[str, Any] = yaml.load(CONFIG)
    for key in ("smtp_auth_password_file", "slack_api_url_file"):
        del config["global"][key]
    config["templates"] = [f"{CONFIGS}/templates/*.tmpl"]
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "50ms"}
    for receiver in config["receivers"]:
        for slack in receiver.get("slack_configs", ()):
            slack["api_url"] = hook
        for web in receiver.get("webhook_configs", ()):
            web["url"] = hook
        if receiver.pop("email_configs", None):
            receiver["webhook_configs"] = [{"url": hook}]
    file = folder / "alertmanager.yml"
    with file.open("w") as out:
        yaml.dump(config, out)
    return file


def test_it_runs_tells_the_fault_and_keeps_quiet_about_what_follows_from_it(
    tmp_path: Path,
) -> None:
    children = Children(tmp_path)
    expected = {
        ("m", "data_fault", "warning"): "active",
        ("m", "input_drift", "warning"): "suppressed",
        ("m", "quality", "warning"): "suppressed",
        ("other", "quality", "critical"): "active",
        ("other", "quality", "warning"): "suppressed",
    }
    with Hook() as hook:
        server = Told(children, tmp_path / "am", config=swapped(tmp_path, hook.url))
        try:
            server.start()
            send([server.url], alert("m"))
            until(lambda: len(hook.received) == 1, "the fault is told")
            send([server.url], alert("other", kind="quality", severity="critical"))
            until(lambda: len(hook.received) == 3, "two receivers hear of the other model")
            quiet = ("input_drift", "quality")
            send([server.url], *(alert("m", kind=kind) for kind in quiet))
            send([server.url], alert("other", kind="quality"))
            until(lambda: by_labels(server) == expected, "what follows is kept quiet")
        finally:
            children.stop_all()

    slack, *others = hook.received
    assert slack["channel"] == "#ml-delays"
    (said,) = slack["attachments"]
    assert said["title"] == "[WARNING] Data fault in m: minute_of_day is shifted"
    assert said["title_link"] == "https://driftd.example.com/api/models/m/report#incident-a1b2"
    assert sorted(str(one.get("receiver", one.get("channel"))) for one in others) == [
        "#ml-delays",
        "pager",
    ]


def of_driftd(name: str, **labels: str) -> Alert:
    """An alert of Prometheus about driftd itself."""
    given = {"alertname": name, "severity": "critical", **labels}
    return msgspec.structs.replace(alert("m"), labels=given)


def test_a_process_that_is_down_explains_what_is_said_of_it(tmp_path: Path) -> None:
    children = Children(tmp_path)
    with Hook() as hook:
        server = Told(children, tmp_path / "am", config=swapped(tmp_path, hook.url))
        try:
            server.start()
            send([server.url], of_driftd("DriftdDown", job="driftd", instance="a:1"))
            until(lambda: len(hook.received) == 1, "it is told")
            send(
                [server.url],
                of_driftd("DriftdStoreErrors", instance="a:1"),
                of_driftd("DriftdStalled", instance="b:1"),
            )
            down = {
                "DriftdDown": "active", "DriftdStoreErrors": "suppressed", "DriftdStalled": "active",
            }  # fmt: skip
            until(lambda: states(server) == down, "one process explains what is said of it")
            send([server.url], of_driftd("DriftdAbsent", job="driftd"))
            until(lambda: len(hook.received) == 3, "it is told")
            send([server.url], of_driftd("DriftdBehind", topic="t"), alert("m"))
            none = {**dict.fromkeys([*down, "DriftdBehind"], "suppressed"),
                    "DriftdAbsent": "active", "DriftdDataFault": "active"}  # fmt: skip
            until(lambda: states(server) == none, "no process explains all but the models")
            until(lambda: len(hook.received) == 4, "the fault is told")
        finally:
            children.stop_all()

    names = [one["alerts"][0]["labels"]["alertname"] for one in hook.received if "alerts" in one]
    assert sorted(names) == ["DriftdAbsent", "DriftdDown", "DriftdStalled"]


def states(server: Told) -> dict[str, str]:
    """Alert -> whether people are told."""
    return {one["labels"]["alertname"]: one["status"]["state"] for one in server.alerts()}


def by_labels(server: Told) -> dict[tuple[str, str, str], str]:
    """(model, kind, severity) -> whether people are told."""
    found = {}
    for one in server.alerts():
        labels = one["labels"]
        key = (labels["model"], labels["kind"], labels["severity"])
        found[key] = str(one["status"]["state"])
    return found
