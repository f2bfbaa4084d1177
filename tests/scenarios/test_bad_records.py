"""Each kind of bad record has its counter or dead letter, and the daemon goes on."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from driftd.clock import wall_now
from tests.support.daemon import RunningDaemon, running_daemon
from tests.support.ingesting import MODEL, end_offsets, prediction, produce, values_of

TOPICS = {"predictions": 2, "labels": 1, "big": 1}
POLICY = f"model: {MODEL}\nmode: observe\nclock: {{pane: 10m}}\nevents: {{sources: [big]}}\n"
LETTERS, GOOD = "driftd.dead_letters", 40

# kind: topic, record, reason, whether it leaves a dead letter, whether it still counts as an answer
BAD: dict[str, tuple[str, bytes, str, bool, bool]] = {
    "broken JSON": ("predictions", b'{"model": "flight-delay", "ts": 1', "broken", True, False),
    "NaN": (
        "predictions",
        json.dumps(prediction(1, features={"temp": float("nan")})).encode(),
        "not_finite",
        False,
        True,
    ),
    "wrong types": (
        "predictions",
        json.dumps(prediction(2, features={"temp": {"deep": 1}})).encode(),
        "changed_type",
        False,
        True,
    ),
    "oversize": ("big", b'"' + b"x" * (2 * 1024 * 1024) + b'"', "too_large", True, False),
    "unknown model": (
        "predictions",
        json.dumps(prediction(3, model="nobody's")).encode(),
        "no_policy",
        False,
        False,
    ),
    "milliseconds": (
        "predictions",
        json.dumps(prediction(4, ts=1.7e12)).encode(),
        "milliseconds",
        True,
        False,
    ),
    "far future": (
        "predictions",
        json.dumps(prediction(5, ts=wall_now() + 30 * 86_400)).encode(),
        "far_future",
        True,
        False,
    ),
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    """A daemon that has read good records, each bad one, and good records again."""
    directory: Path = tmp_path_factory.mktemp("bad")
    policies = {f"{MODEL}.yaml": POLICY}
    with running_daemon(directory, TOPICS, policies, ingest=", record_limit: 64KiB") as running:
        for begin in (100, 200):
            good = (prediction(number) for number in range(begin, begin + GOOD // 2))
            produce(running.broker, "predictions", good)
            if begin == 100:
                for topic, record, *_ in BAD.values():
                    produce(running.broker, topic, [record])
            running.until(lambda: is_all_counted(running), "every record is counted")
        running.until(lambda: len(letters(running)) == letters_due(), "the dead letters are there")
        yield running


def is_all_counted(daemon: RunningDaemon) -> bool:
    """Whether the store stands at the end of every partition."""
    query = "SELECT topic, partition, next_offset, records FROM position WHERE partition >= 0"
    positions = daemon.sql(query)
    ends = end_offsets(daemon.broker, TOPICS)
    return {(topic, n): (end, end) for (topic, n), end in ends.items()} == {
        (topic, n): (offset, records) for topic, n, offset, records in positions
    }


def letters(daemon: RunningDaemon) -> dict[int, str]:
    """Checksum of the record -> the reason its dead letter gives."""
    return {one["crc32"]: one["reason"] for one in values_of(daemon.broker, LETTERS)}


def letters_due() -> int:
    """How many of the bad records cannot be attributed to a model."""
    return sum(leaves for *_, leaves, _ in BAD.values())


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_record_is_told_where_people_and_programs_look(
    daemon: RunningDaemon, kind: str
) -> None:
    topic, record, reason, leaves, _ = BAD[kind]

    counted = {(t, r): n for t, r, n in daemon.get("/api/counts")["rejected"]}
    assert counted[topic, reason] == 1
    assert daemon.metric("driftd_rejected_total", topic=topic, reason=reason) == 1
    # An oversized record is not read, so nobody knows its checksum.
    found = Counter(letters(daemon).values()) if kind == "oversize" else None
    told = found[reason] if found is not None else int(letters(daemon).get(crc32(record)) == reason)
    assert told == leaves


def test_the_daemon_goes_on_and_counts_what_was_good(daemon: RunningDaemon) -> None:
    assert daemon.get("/health") == {"ok": True, "wrong": []}
    assert len(daemon.logged("start worker")) == 1, "it is the same process as before"
    counts = daemon.get("/api/counts")["records"]
    ends: Counter[str] = Counter()
    for (topic, _), end in end_offsets(daemon.broker, TOPICS).items():
        ends[topic] += end
    assert {topic: counts.get(topic, 0) for topic in TOPICS} == dict(ends)
    usable = GOOD + sum(counts_still for *_, counts_still in BAD.values())
    closed = daemon.sql("SELECT COALESCE(SUM(n + late), 0) FROM pane")[0][0]
    open_ = daemon.sql("SELECT COALESCE(SUM(n), 0) FROM partial")[0][0]
    assert closed + open_ == usable
    assert daemon.metric("driftd_records_total", topic="predictions") == ends["predictions"]
