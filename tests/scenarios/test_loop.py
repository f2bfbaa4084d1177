"""The whole loop with real processes on real flights, once left alone and once killed with -9.

A broken version is handed in and taken back, then an operator asks for a training. Everything is
checked from outside: the broker's offsets and records, SQL, the registry's own database, the archive.
"""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from driftd.demo.setup import FIRST_OP_ID
from tests.support.loop_kills import TAKING_BACK, kills_of
from tests.support.loop_outcome import Outcome, request_of
from tests.support.loop_world import (
    ATTEMPTS,
    BROKEN,
    CHAMPION,
    STANDSTILL_S,
    play,
    prepare,
)

SEED = 3
RUNS = ("alone", "killed")
BACK = ("roll back", "refuse", "ticket", "hold")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome | str]:
    """Both runs, at the same time: for much of it each waits for something."""
    base = tmp_path_factory.mktemp("loop")
    folders = [base / name for name in ("prepared", *RUNS)]
    for folder in folders:
        folder.mkdir()
    prepared = prepare(folders[0])
    kills = ((), kills_of(SEED))
    with (
        patch("driftd.demo.replayer.STANDSTILL_MAX_S", STANDSTILL_S),
        ThreadPoolExecutor(2, "run") as pool,
    ):
        playing = [
            pool.submit(play, prepared, folder, mine)
            for folder, mine in zip(folders[1:], kills, strict=True)
        ]
    return {name: one.result() for name, one in zip(RUNS, playing, strict=True)}


@pytest.fixture
def runs(played: dict[str, Outcome | str]) -> dict[str, Outcome]:
    """Both runs, if they came to their ends."""
    ended = {name: one for name, one in played.items() if isinstance(one, Outcome)}
    if len(ended) < len(RUNS):
        pytest.fail("a run did not come to its end: see the first test", pytrace=False)
    return ended


@pytest.fixture(params=RUNS)
def run(runs: dict[str, Outcome], request: pytest.FixtureRequest) -> Outcome:
    """Each of the two runs."""
    found: Outcome = runs[request.param]
    return found


@pytest.mark.parametrize("name", RUNS)
def test_a_run_comes_to_its_end(played: dict[str, Outcome | str], name: str) -> None:
    found = played[name]
    if isinstance(found, str):
        pytest.fail(found, pytrace=False)


def test_the_kills_hit_what_they_were_meant_for(runs: dict[str, Outcome]) -> None:
    names = [kill.name for kill in kills_of(SEED)]
    assert sorted((*runs["killed"].killed, *runs["killed"].missed)) == sorted(names)
    assert set(runs["killed"].missed) <= {TAKING_BACK}
    assert runs["alone"].killed == ()
    starts = (runs["killed"].folder / "daemon.log").read_text().count('"event": "start worker"')
    assert starts == 1 + len(names)


def test_no_request_fails_and_every_flight_is_answered(run: Outcome) -> None:
    assert run.asked > 10_000
    assert (run.failed_requests, run.unanswered) == (0, 0)
    live = Counter(one["id"] for one in run.predictions if one["variant"] != "shadow")
    assert len(live) == run.asked
    assert max(live.values()) == 1
    assert [one for one in run.predictions if one.get("error")] == []


def test_every_record_is_counted_once(run: Outcome) -> None:
    query = "SELECT topic, partition, next_offset, records FROM position WHERE partition >= 0"
    positions = run.sql(query)
    assert {(topic, n): end for topic, n, end, _ in positions} == run.ends
    assert {(topic, n): records for topic, n, _, records in positions} == run.ends
    assert run.sql("SELECT * FROM dead_letter_count WHERE n > 0") == []


def test_panes_hold_what_the_topic_holds(run: Outcome) -> None:
    assert run.panes() == run.answers()


def test_a_killed_run_counts_and_decides_as_one_left_alone(runs: dict[str, Outcome]) -> None:
    alone, killed = runs["alone"], runs["killed"]
    for query in (
        "SELECT model, start, version, variant, n, errors, late FROM pane ORDER BY 1, 2, 3, 4",
        "SELECT bucket, version, variant, predictions FROM quality ORDER BY 1, 2, 3",
        "SELECT at, what, why, by FROM decision ORDER BY id",
        "SELECT kind, onset, opened, closed, state FROM incident ORDER BY opened, kind",
        "SELECT kind, state, count(*) FROM outbox GROUP BY 1, 2 ORDER BY 1, 2",
    ):
        assert alone.sql(query) == killed.sql(query), query
    assert alone.aliases() == killed.aliases()
    assert alone.archived() == killed.archived()


def test_the_archive_holds_each_labelled_answer_once(run: Outcome) -> None:
    archived = run.archived()
    assert max(archived.values()) == 1
    known = {label["id"] for label in run.labels}
    answered = {(request_of(one), one["version"]) for one in run.predictions}
    assert set(archived) == {pair for pair in answered if pair[0] in known}


def test_no_op_id_has_two_versions_and_every_training_has_one(run: Outcome) -> None:
    tagged = run.registry("SELECT value FROM model_version_tags WHERE key = 'driftd.op_id'")
    made = Counter(value for (value,) in tagged)
    assert max(made.values()) == 1
    ended = run.sql("SELECT op_id FROM outbox WHERE kind = 'train' AND state = 'done'")
    assert set(made) == {FIRST_OP_ID, *(op_id for (op_id,) in ended)}


def test_a_wish_leads_to_a_training_and_trainings_are_bounded(run: Outcome) -> None:
    trained = [json.loads(row[0]) for row in run.sql(
        "SELECT payload FROM outbox WHERE kind = 'train'"
    )]  # fmt: skip
    gates = [one for one in trained if one["phase"] == "gate"]
    causes = Counter(one["incident_id"] for one in gates)
    assert len(gates) >= 1
    assert max(causes.values()) <= ATTEMPTS
    assert len(run.decisions("train")) == len(gates)
    jobs = {job.name for job in (run.folder / "work" / "jobs").glob("*") if job.is_dir()}
    assert jobs == {one["op_id"] for one in trained}
    asked = [one for one in run.decisions("train") if one["by"] == "a test"]
    assert len(asked) == 1
    # Training, evaluation and refit end in a canary, or in a word why not.
    since = asked[0]["at"]
    ends = [one for what in ("canary", "fail gate", "decline") for one in run.decisions(what)]
    assert any(one["at"] >= since for one in ends)


def test_the_broken_version_is_taken_back_by_evidence_and_barred(run: Outcome) -> None:
    back = [one for one in run.decisions("roll back") if one["evidence"]["candidate"] == BROKEN]
    assert [one["by"] for one in back] == ["evidence"]
    tags = run.tags(BROKEN)
    assert (tags["driftd.barred"], tags["driftd.state"]) == ("true", "rolled_back")
    live = run.live(BROKEN)
    assert live, "it must have answered before"
    assert max(one["ts"] for one in live) < back[0]["at"]
    aliases = run.aliases()
    assert BROKEN not in {aliases["champion"], aliases.get("previous")}


def test_no_routing_names_the_barred_version_again(run: Outcome) -> None:
    newest = sorted(run.traffic, key=lambda one: one["epoch"])
    named = [one["epoch"] for one in newest if BROKEN in versions(one)]
    after = [one for one in newest if one["epoch"] > max(named)]
    assert after
    assert all(BROKEN in one["barred"] for one in after)
    # One epoch is one routing, however often it is published.
    assert len({json.dumps(one, sort_keys=True) for one in newest}) == newest[-1]["epoch"]


def versions(routing: dict[str, Any]) -> set[str]:
    """Who answers, live or in shadow."""
    return {one["version"] for part in ("routes", "shadows") for one in routing[part]}


def test_aliases_are_those_of_the_journal_and_of_the_traffic(run: Outcome) -> None:
    aliases, promoted = run.aliases(), run.decisions("promoted")
    last = max(run.traffic, key=lambda one: one["epoch"])
    assert [(one["version"], one["weight"]) for one in last["routes"]] == [
        (aliases["champion"], 1.0)
    ]
    assert len(run.decisions("promote")) == len(promoted) <= 1
    if promoted:
        assert aliases["previous"] == CHAMPION != aliases["champion"]
        assert run.tags(CHAMPION)["driftd.state"] == "previous"
        assert run.tags(aliases["champion"])["driftd.state"] == "champion"
    else:
        assert (aliases["champion"], aliases.get("previous")) == (CHAMPION, None)
    latest = max(one["ts"] for one in run.predictions)
    answering = {one["version"] for one in run.predictions if one["ts"] == latest}
    assert aliases["champion"] in answering


def test_every_request_of_a_canary_has_its_pair_and_no_other(run: Outcome) -> None:
    spans = canaries(run)
    assert len(spans) >= 1
    shadows = Counter(one["shadow_of"] for one in run.predictions if one["variant"] == "shadow")
    by = {one["shadow_of"]: one["version"] for one in run.predictions if "shadow_of" in one}
    for since, until, candidate in spans:
        live = [
            one
            for one in run.predictions
            if one["variant"] != "shadow" and since <= one["ts"] < until
        ]
        answered = {one["version"] for one in live}
        assert candidate in answered, "a canary answers users"
        assert len(answered) == 2
        assert {shadows[one["id"]] for one in live} == {1}
        assert all({one["version"], by[one["id"]]} == answered for one in live)
    first = min(since for since, _, _ in spans)
    assert not any(one["variant"] == "shadow" and one["ts"] < first for one in run.predictions)


def canaries(run: Outcome) -> list[tuple[float, float, str]]:
    """Begin, end and candidate of each canary, by the journal."""
    ends = sorted(one["at"] for what in (*BACK, "promote") for one in run.decisions(what))
    begun = [(one["at"], str(one["evidence"]["version"])) for one in run.decisions("canary")]
    return [
        (at, next((end for end in ends if end > at), float("inf")), version)
        for at, version in begun
    ]


def test_what_was_started_has_ended(run: Outcome) -> None:
    left = [
        process.parent.name
        for process in Path("/proc").glob("[0-9]*/cmdline")
        if str(run.folder).encode() in _read(process)
    ]
    assert left == []


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
