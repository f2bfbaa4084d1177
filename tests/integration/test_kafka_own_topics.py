"""A daemon whose own topics are missing says which, makes none, and goes on when they are there."""

import json
import uuid
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from driftd.cli.main import build
from driftd.demo.children import ChildError, Children, driftd_command, free_port
from stack.kafka import Kafka
from stack.services import answers

WAIT_S = 240.0
KINDS = ("control", "traffic", "decisions", "dead_letters")


def told(log: Path) -> list[str]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line)["why"] for line in lines if '"event": "check topics"' in line]


def test_missing_topics_are_told_and_waited_for(kafka: Kafka, tmp_path: Path) -> None:
    name, port = uuid.uuid4().hex, free_port()
    own = {kind: f"{name}.{kind}" for kind in KINDS}
    given: dict[str, Any] = {
        "kafka": {"bootstrap": kafka.bootstrap, "group_prefix": name},
        "topics": {**own, "control_partitions": 2, "decisions_kept": "30d", "replication": 1},
        "mlflow": {"tracking_uri": f"http://127.0.0.1:{free_port()}", "deadline": "1s"},
        "http": {"port": port},
    }
    settings = tmp_path / "settings.yaml"
    settings.write_text(json.dumps(given))
    # One of them was made by hand, as a topic of another kind.
    kafka.create_topics({own["control"]: 3})
    children = Children(tmp_path / "logs")
    log = children.log("daemon")
    try:
        children.start("daemon", driftd_command("run", "--settings", str(settings)))
        children.wait_until("daemon", lambda: len(told(log)) >= 4, WAIT_S)
        lines = told(log)
        for kind in ("traffic", "decisions", "dead_letters"):
            assert any(f"no topic {own[kind]}" in line for line in lines)
            assert any("driftd topics create" in line for line in lines)
        assert any("has 3 partitions, but topics.control_partitions is 2" in one for one in lines)
        listed = kafka.admin().list_topics(timeout=30).topics
        assert own["control"] in listed
        assert not {own[kind] for kind in KINDS[1:]} & set(listed), "the daemon makes none"
        assert not answers(f"http://127.0.0.1:{port}/ready")

        # The way out that the check names: what exists stays, the settings follow.
        checked = CliRunner().invoke(build(), ["topics", "check", "-s", str(settings)])
        assert checked.exit_code == 1
        assert "set topics.control_partitions: 3" in checked.stdout
        given["topics"]["control_partitions"] = 3
        settings.write_text(json.dumps(given))
        made = CliRunner().invoke(build(), ["topics", "create", "-s", str(settings)])
        assert (made.exit_code, made.stdout.count(" created ")) == (0, 3), made.stdout
        children.stop("daemon")
        children.start("daemon", driftd_command("run", "--settings", str(settings)))
        ready = f"http://127.0.0.1:{port}/ready"
        children.wait_until("daemon", lambda: answers(ready), WAIT_S)
    except ChildError as error:
        raise AssertionError(str(error)) from error
    finally:
        children.stop_all()
    configs = CliRunner().invoke(build(), ["topics", "check", "-s", str(settings), "--json"])
    rows = {row["use"]: row for row in json.loads(configs.stdout)["topics"]}
    assert {use: row["state"] for use, row in rows.items()} == dict.fromkeys(
        ("doorbells", "routings", "decisions", "dead letters"), "exists"
    )
