"""The whole loop on the real services with two workers, one killed -9 in mid-canary, one in mid-training.

Flights through Kafka, PostgreSQL, an MLflow server on PostgreSQL and S3, and Alertmanager. Everything
is checked from outside: the broker's offsets and records, SQL, the registry's own database, the
archive, and what a webhook receiver behind Alertmanager was told.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from driftd.demo.setup import FIRST_OP_ID
from stack.hook import Hook
from stack.world import World
from tests.support.loop_outcome import request_of
from tests.support.real_kills import WORKERS, kills_of
from tests.support.real_outcome import RealOutcome
from tests.support.real_world import BROKEN, CHAMPION, OPEN_COMMANDS, play

SEED = 3
STANDSTILL_S = 600.0
"""Training, evaluation and refit in a row, one of them twice, do not move the replay."""
QUERIES_OF_OPEN_WORK = (
    OPEN_COMMANDS,
    "SELECT id FROM inbox",
    "SELECT id FROM partial",
)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOutcome | str]:
    """One run; the services live on while it is looked at."""
    with Hook() as hook:
        world = World(tmp_path_factory.mktemp("real"), webhook=hook.url, clock="event")
        try:
            with patch("driftd.demo.replayer.STANDSTILL_MAX_S", STANDSTILL_S):
                outcome = play(world, hook, kills_of(SEED))
            yield outcome
        finally:
            world.stop()


@pytest.fixture
def run(played: RealOutcome | str) -> RealOutcome:
    """The run, if it came to its end."""
    if isinstance(played, str):
        pytest.fail("the run did not come to its end: see the first test", pytrace=False)
    return played


def test_the_run_comes_to_its_end(played: RealOutcome | str) -> None:
    if isinstance(played, str):
        pytest.fail(played, pytrace=False)


def test_both_kills_hit_and_each_time_the_other_worker_took_over(run: RealOutcome) -> None:
    assert {one.name for one in run.kills} == {"in mid-canary", "in mid-training"}
    assert [one for one in run.kills if not one.hit] == []
    for one in run.kills:
        assert [one.alone] == [name for name in WORKERS if name != one.victim]
    starts = {
        name: (run.folder / f"{name}.log").read_text().count('"event": "start worker"')
        for name in WORKERS
    }
    killed = Counter(one.victim for one in run.kills)
    assert starts == {name: 1 + killed[name] for name in WORKERS}


def test_workers_and_server_end_well_and_leave_nothing_running(run: RealOutcome) -> None:
    assert run.exits == {**dict.fromkeys(WORKERS, 0), "server": 0}
    left = [
        file.parent.name
        for file in Path("/proc").glob("[0-9]*/cmdline")
        if any(f"{run.folder}/{what}".encode() in _read(file) for what in ("work", "server"))
    ]
    assert left == []


def test_no_request_fails_and_every_flight_is_answered_once(run: RealOutcome) -> None:
    assert run.asked > 15_000
    assert (run.failed_requests, run.unanswered) == (0, 0)
    live = Counter(one["id"] for one in run.predictions if one["variant"] != "shadow")
    assert (len(live), max(live.values())) == (run.asked, 1)
    assert [one for one in run.predictions if one.get("error")] == []


def test_counts_equal_the_brokers_end_offsets(run: RealOutcome) -> None:
    query = "SELECT topic, partition, next_offset, records, gap FROM position WHERE partition >= 0"
    positions = run.sql(query)
    assert {(topic, n): end for topic, n, end, _, _ in positions} == run.ends
    assert {(topic, n): records for topic, n, _, records, _ in positions} == run.ends
    assert {gap for *_, gap in positions} == {0}
    assert run.sql("SELECT * FROM dead_letter_count WHERE n > 0") == []


def test_each_answer_stands_in_the_pane_of_its_day_and_none_came_late(run: RealOutcome) -> None:
    assert run.panes() == run.answers()
    assert run.sql("SELECT * FROM pane WHERE late > 0 OR NOT complete") == []


def test_nothing_is_left_to_do(run: RealOutcome) -> None:
    for query in QUERIES_OF_OPEN_WORK:
        assert run.sql(query) == [], query
    ended = run.sql("SELECT kind, state FROM outbox GROUP BY 1, 2")
    assert {state for _, state in ended} == {"done"}


def test_each_incident_is_told_once_when_it_begins_and_once_when_it_ends(run: RealOutcome) -> None:
    incidents = run.sql("SELECT incident_id, kind, state FROM incident ORDER BY opened")
    # Quiet weekends, the blizzard, and after the last flight a feed that has stopped.
    assert [(kind, state) for _, kind, state in incidents] == [
        ("operational", "resolved"),
        ("data_fault", "resolved"),
        ("operational", "open"),
    ]
    begun = {(incident, "firing"): 1 for incident, *_ in incidents}
    ended = {(incident, "resolved"): 1 for incident, _, state in incidents if state == "resolved"}
    assert run.notifications() == begun | ended


def test_an_incident_is_told_in_order_and_under_one_set_of_labels(run: RealOutcome) -> None:
    for incident, kind in run.sql("SELECT incident_id, kind FROM incident WHERE state <> 'open'"):
        told = [one for one in run.told if one.annotations["incident_id"] == incident]
        assert [one.status for one in told] == ["firing", "resolved"]
        assert told[0].labels == told[1].labels
        assert (told[0].labels["kind"], told[0].labels["owner"]) == (kind, "delays")
        # It is the same alert: its beginning did not move over two kills.
        assert told[0].starts_at == told[1].starts_at


def test_the_archive_holds_each_labelled_answer_once(run: RealOutcome) -> None:
    archived = run.archived()
    assert max(archived.values()) == 1
    known = {label["id"] for label in run.labels}
    answered = {(request_of(one), one["version"]) for one in run.predictions}
    assert set(archived) == {pair for pair in answered if pair[0] in known}


def test_a_training_that_two_workers_carried_has_one_version(run: RealOutcome) -> None:
    tagged = run.registry(
        "SELECT value, version FROM model_version_tags WHERE key = 'driftd.op_id'"
    )
    oldest: dict[str, int] = {}
    for op_id, version in tagged:
        oldest[op_id] = min(int(version), oldest.get(op_id, int(version)))
    trained = run.sql("SELECT op_id, attempt, result FROM outbox WHERE kind = 'train'")
    assert set(oldest) == {FIRST_OP_ID, *(op_id for op_id, *_ in trained)}
    # Whoever ends it, and whatever the dead worker's job did meanwhile: the oldest counts.
    named = {op_id: int(json.loads(result)["version"]) for op_id, _, result in trained}
    assert named == {op_id: oldest[op_id] for op_id in named}
    assert any(attempt > 1 for _, attempt, _ in trained), "one was taken over"
    assert len(run.decisions("train")) == 1
    answering = {one["version"] for one in run.predictions}
    assert answering <= {BROKEN, *(str(version) for version in oldest.values())}


def test_the_broken_challenger_is_rolled_back_by_evidence_and_barred(run: RealOutcome) -> None:
    back = run.decisions("roll back")
    assert [(one["by"], one["evidence"]["candidate"]) for one in back] == [("evidence", BROKEN)]
    tags = run.tags(BROKEN)
    assert (tags["driftd.barred"], tags["driftd.state"]) == ("true", "rolled_back")
    live = run.live(BROKEN)
    assert live, "it must have answered before"
    assert max(one["ts"] for one in live) < back[0]["at"]
    newest = sorted(run.traffic, key=lambda one: one["epoch"])
    after = [one for one in newest if BROKEN in one["barred"]]
    assert after
    named = {one["version"] for route in after for one in (*route["routes"], *route["shadows"])}
    assert BROKEN not in named


def test_the_champion_moved_once_and_previous_is_the_old_one(run: RealOutcome) -> None:
    promoted = run.decisions("promoted")
    assert (len(run.decisions("promote")), len(promoted)) == (1, 1)
    moves = run.sql("SELECT result FROM outbox WHERE kind = 'alias'")
    assert len(moves) == 1
    retrained = json.loads(moves[0][0])["champion"]
    aliases = run.aliases()
    assert aliases["champion"] == retrained
    assert retrained not in {CHAMPION, BROKEN}
    assert aliases["previous"] == CHAMPION
    assert run.tags(CHAMPION)["driftd.state"] == "previous"
    assert run.tags(retrained)["driftd.state"] == "champion"
    last = max(run.traffic, key=lambda one: one["epoch"])
    assert [(one["version"], one["weight"]) for one in last["routes"]] == [(retrained, 1.0)]
    since = promoted[0]["at"]
    live = [one for one in run.predictions if one["variant"] != "shadow" and one["ts"] >= since]
    assert {one["version"] for one in live} == {retrained}


def test_one_epoch_is_one_routing_whoever_publishes_it(run: RealOutcome) -> None:
    routings = {json.dumps(one, sort_keys=True) for one in run.traffic}
    assert len(routings) == max(one["epoch"] for one in run.traffic)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
