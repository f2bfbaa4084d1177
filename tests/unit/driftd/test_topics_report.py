"""What is wrong with a topic and the line that mends it; a new topic of ours has nothing wrong."""

from typing import Any

import pytest

from driftd.settings import Settings
from driftd.topics import Cluster, Found, own_topics, source_topics
from driftd.topics_report import Row, cluster_problems, rows_of

ALL = frozenset({"READ", "WRITE", "DESCRIBE"})
MINUTE_MS, DAY_MS = 60_000, 86_400_000
GOOD: dict[str, dict[str, str]] = {
    "driftd.control": {"cleanup.policy": "delete", "retention.ms": str(DAY_MS)},
    "driftd.traffic": {"cleanup.policy": "compact"},
    "driftd.decisions": {"cleanup.policy": "delete", "retention.ms": "-1"},
    "driftd.dead_letters": {"cleanup.policy": "delete", "retention.ms": str(14 * DAY_MS)},
    "predictions": {"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS)},
}


def row(name: str, *, brokers: int = 1, settings: Any = None, **changes: Any) -> Row:
    """One topic that is good but for ``changes``."""
    given = Settings.model_validate(settings or {})
    partitions = given.topics.control_partitions if name == "driftd.control" else 1
    config = changes.pop("config", {})
    known: dict[str, Any] = {
        "partitions": partitions,
        "replication": 1,
        "operations": ALL,
        "config": None if config is None else {**GOOD[name], **config},
    }
    found = Found(**{**known, **changes})
    cluster = Cluster(brokers=brokers, auto_create=None, found={name: found}, refused=frozenset())
    wanted = [*own_topics(given), *source_topics(["predictions"], given)]
    [made] = [one for one in rows_of(given, wanted, cluster) if one.name == name]
    return made


@pytest.mark.parametrize("name", GOOD)
def test_a_topic_as_it_has_to_be(name: str) -> None:
    assert (row(name).state, row(name).problems) == ("exists", ())


@pytest.mark.parametrize(
    ("name", "changes", "what", "mend", "grave"),
    [
        (
            "driftd.control",
            {"partitions": 4},
            "has 4 partitions, topics.control_partitions is 8",
            "set topics.control_partitions: 4, or stop all workers and: kafka-topics.sh",
            True,
        ),
        (
            "driftd.control",
            {"partitions": 12},
            "has 12 partitions, topics.control_partitions is 8",
            "set topics.control_partitions: 12",
            True,
        ),
        (
            "driftd.traffic",
            {"config": {"cleanup.policy": "delete"}},
            "cleanup.policy is delete, not compact",
            "--entity-name driftd.traffic --add-config cleanup.policy=compact",
            True,
        ),
        (
            "driftd.decisions",
            {"config": {"retention.ms": str(DAY_MS)}},
            "retention.ms is 86400000, not -1",
            "--add-config retention.ms=-1",
            False,
        ),
        (
            "driftd.dead_letters",
            {"operations": frozenset({"DESCRIBE"})},
            "this user may not write it",
            "--operation Write --topic driftd.dead_letters",
            True,
        ),
        (
            "predictions",
            {"config": {"retention.ms": str(60 * MINUTE_MS)}},
            "records are kept for 1 h",
            "--add-config retention.ms=259200000",
            False,
        ),
        (
            "predictions",
            {"config": {"cleanup.policy": "compact"}},
            "is compacted",
            "--add-config cleanup.policy=delete",
            False,
        ),
        (
            "predictions",
            {"config": {"max.message.bytes": "20000000"}},
            "takes records of 20000000 bytes",
            "--add-config max.message.bytes=",
            False,
        ),
        ("predictions", {"config": None}, "is not shown", "--operation DescribeConfigs", False),
        ("predictions", {"brokers": 3}, "one copy on 3 brokers", "kafka-reassign", False),
        (
            "predictions",
            {"settings": {"topics": {"replication": 2}}},
            "has 1 copies, topics.replication is 2",
            "kafka-reassign",
            False,
        ),
    ],
)
def test_a_topic_that_differs(
    name: str, changes: dict[str, Any], what: str, mend: str, grave: bool
) -> None:
    made = row(name, **changes)

    [problem] = made.problems
    assert made.state == "differs"
    assert what in problem.what
    assert mend in problem.mend
    assert (problem.grave, made.is_grave) == (grave, grave)


def test_to_keep_records_longer_than_needed_is_no_fault() -> None:
    assert row("driftd.control", config={"retention.ms": "-1"}).problems == ()
    assert row("predictions", config={"retention.ms": "-1"}).problems == ()
    assert row("predictions", config={"max.message.bytes": "1048588"}).problems == ()


def test_a_secured_broker_wants_a_file_of_the_administrator() -> None:
    security = {"protocol": "SASL_PLAINTEXT", "username": "driftd"}
    [problem] = row(
        "predictions", settings={"kafka": {"security": security}}, operations=frozenset()
    ).problems

    assert "--command-config admin.properties" in problem.mend
    assert "--allow-principal User:driftd --operation Read" in problem.mend


def test_what_is_missing_and_what_is_hidden_are_two_things() -> None:
    given = Settings()
    cluster = Cluster(brokers=1, auto_create=True, found={}, refused=frozenset({"driftd.traffic"}))
    rows = {one.name: one for one in rows_of(given, own_topics(given), cluster)}

    assert rows["driftd.control"].state == "missing"
    assert rows["driftd.control"].problems[0].mend == "driftd topics create"
    assert rows["driftd.traffic"].state == "refused"
    assert "may be there or not" in rows["driftd.traffic"].problems[0].what
    assert "auto.create.topics.enable is on" in cluster_problems(cluster)[0].what


def test_decisions_stay_for_as_long_as_the_settings_say() -> None:
    given = Settings.model_validate({"topics": {"decisions_kept": "30d", "replication": 3}})
    wanted = {one.use: one for one in own_topics(given)}

    assert wanted["decisions"].config["retention.ms"] == str(30 * DAY_MS)
    assert {one.replication for one in wanted.values()} == {3}
