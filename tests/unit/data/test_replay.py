"""A policy over what was recorded: it fires where something changed, and is quiet where nothing did."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from driftd.data.archive import Archive
from driftd.data.samples import PENDING, conform
from tests.support.rest_cli import run_data, run_json

HOUR, DAY = 3_600.0, 86_400.0
START = 1_700_006_400.0  # a midnight, UTC
DAYS, RATE = 14, 30
SHIFT_AT = START + 10 * DAY

POLICY = """
model: m
mode: alert
clock: {pane: 1h, lateness: 0s}
labels: {arrive_within: 2h, positive: "1"}
watch:
  rules:
    - {metric: accuracy, below: 0.7, over: 6h, min_events: 50}
"""


def rows(seed: int = 1, shift: float = 0.0, wrong: float = 0.1) -> dict[str, Any]:
    """A fortnight at thirty rows an hour; ``shift`` and ``wrong`` answers from the eleventh day on."""
    rng = np.random.default_rng(seed)
    n = DAYS * 24 * RATE
    ts = START + np.arange(n) * (HOUR / RATE)
    late = ts >= SHIFT_AT
    y = rng.integers(0, 2, n)
    wrongs = rng.random(n) < np.where(late, wrong, 0.1)
    return {
        "ts": ts,
        "x": rng.normal(size=n) + np.where(late, shift, 0.0),
        "city": rng.choice(list("abc"), n),
        "score": np.clip(np.where(wrongs, 1 - y, y) * 0.8 + 0.1, 0, 1),
        "y": y,
    }


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return path


def table(tmp_path: Path, values: dict[str, Any], name: str = "t.parquet") -> Path:
    path = tmp_path / name
    (pq.write_table if name.endswith("parquet") else pacsv.write_csv)(pa.table(values), path)
    return path


def test_what_never_changed_is_quiet(tmp_path: Path, policy: Path) -> None:
    file = table(tmp_path, rows())
    found = run_json(
        "replay", file, "--policy", policy, "--score", "score", "--label", "y", "--fail-above", 0
    )

    assert (found["incidents"], found["firings"]) == ([], [])
    assert found["events"] == (DAYS * 24 - 1) * RATE
    assert found["learned"] == START + 7 * DAY
    assert found["watched_days"] == pytest.approx(DAYS - 7, abs=0.1)
    assert set(found["panes_needed"]) == {"x", "city", "@score"}


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_a_shift_is_found_where_it_began(tmp_path: Path, policy: Path, name: str) -> None:
    file = table(tmp_path, rows(shift=1.5), name)
    found = run_json(
        "replay", file, "--policy", policy, "--score", "score", "--label", "y",
        "--fail-above", 0.5, code=1,
    )  # fmt: skip
    [incident] = found["incidents"]

    assert "x" in [moved["stream"] for moved in incident["streams"]]
    assert abs(incident["onset"] - SHIFT_AT) <= 2 * HOUR
    assert SHIFT_AT < incident["opened"] < SHIFT_AT + DAY
    assert found["incidents_per_30d"] == pytest.approx(30 / found["watched_days"])


def test_a_rule_on_labels_fires_after_they_have_matured(tmp_path: Path, policy: Path) -> None:
    file = table(tmp_path, rows(wrong=0.5))
    found = run_json("replay", file, "--policy", policy, "--score", "score", "--label", "y")
    [firing] = found["firings"]

    assert firing["rule"].startswith("accuracy below 0.7")
    assert SHIFT_AT + 2 * HOUR < firing["start"] < SHIFT_AT + 12 * HOUR
    assert firing["end"] is None
    assert [one["kind"] for one in found["incidents"]] == ["quality"]


def test_a_label_counts_when_it_is_known(tmp_path: Path, policy: Path) -> None:
    values = rows(wrong=0.5)
    values["known"] = np.where(values["ts"] >= SHIFT_AT, values["ts"] + 5 * DAY, values["ts"])
    file = table(tmp_path, values)
    words = ("replay", file, "--policy", policy, "--score", "score", "--label", "y")
    found = run_json(*words, "--label-time", "known")

    assert [one for one in found["firings"] if one["rule"].startswith("accuracy")] == []


def records(values: dict[str, Any]) -> list[str]:
    """The same as event records: each label an event of its own, an hour after its answer."""
    lines = []
    for i in range(len(values["ts"])):
        ts = float(values["ts"][i])
        features = {"x": float(values["x"][i]), "city": str(values["city"][i])}
        answer = {
            "model": "m", "id": str(i), "ts": ts, "features": features, "version": "3",
            "score": float(values["score"][i]),
        }  # fmt: skip
        label = {"model": "m", "id": str(i), "ts": ts + HOUR - 1, "label": str(values["y"][i])}
        lines += [(ts, json.dumps(answer)), (ts + HOUR - 1, json.dumps(label))]
    lines += [(START + 5.5, json.dumps({"model": "other", "ts": START + 5.5, "score": 0.5}))]
    return [line for _, line in sorted(lines, key=lambda one: one[0])]


def test_event_records_give_what_the_flat_table_gives(tmp_path: Path, policy: Path) -> None:
    values = rows(shift=1.5, wrong=0.5)
    flat = run_json(
        "replay", table(tmp_path, values), "--policy", policy, "--score", "score", "--label", "y"
    )
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(records(values)), encoding="utf-8")
    found = run_json("replay", path, "--policy", policy)

    # The last labels come after the last answers, so one more hour is whole.
    assert abs(found["events"] - flat["events"]) <= RATE
    assert [i["onset"] for i in found["incidents"]] == [i["onset"] for i in flat["incidents"]]
    assert [f["start"] for f in found["firings"]] == [f["start"] for f in flat["firings"]]


def test_the_archive_is_replayed_day_by_day(tmp_path: Path, policy: Path) -> None:
    values = rows(shift=1.5)
    n = len(values["ts"])
    features = [
        json.dumps({"x": float(x), "city": str(c)})
        for x, c in zip(values["x"], values["city"], strict=True)
    ]
    rows_of = pa.table(
        {
            "id": [str(i) for i in range(n)],
            "version": ["3"] * n,
            "variant": ["champion"] * n,
            "ts": values["ts"],
            "score": values["score"],
            "subject": np.zeros(n, np.int64),
            "features": features,
            "label": [str(y) for y in values["y"]],
            "label_ts": values["ts"] + 60,
        }
    )
    Archive(str(tmp_path / "a")).write("m", "all", conform(rows_of, PENDING))
    words = ("replay", "--archive", tmp_path / "a", "--policy", policy)
    found = run_json(*words)
    [incident] = found["incidents"]

    assert "x" in [moved["stream"] for moved in incident["streams"]]
    short = run_json(*words, "--until", SHIFT_AT)
    assert short["incidents"] == []
    assert short["until"] <= SHIFT_AT


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ({"when": lambda ts: (ts * 1_000).astype(np.int64)}, ["--time", "when", "--time-unit", "1ms"]),
        ({"when": lambda ts: (ts - START) / DAY}, ["--time", "when", "--time-unit", "1d", "--start", "2023-11-15"]),
        ({"when": lambda ts: (ts * 1e6).astype("datetime64[us]")}, ["--time", "when"]),
        ({"when": lambda ts: [str(t) for t in (ts * 1e6).astype("datetime64[us]")]}, ["--time", "when"]),
        ({}, ["--every", "120s", "--start", "2023-11-15"]),
    ],
    ids=["milliseconds", "days", "timestamps", "text", "every"],
)  # fmt: skip
def test_times_come_in_any_form(
    tmp_path: Path, policy: Path, column: dict[str, Any], words: list[str]
) -> None:
    values = rows(shift=1.5)
    ts = values.pop("ts")
    values |= {name: make(ts) for name, make in column.items()}
    file = table(tmp_path, values)
    found = run_json(
        "replay", file, "--policy", policy, "--ignore", "score", "--ignore", "y", *words
    )

    assert found["since"] == START
    assert abs(found["incidents"][0]["onset"] - SHIFT_AT) <= 2 * HOUR


def test_a_profile_of_training_is_the_reference(tmp_path: Path, policy: Path) -> None:
    training = table(tmp_path, rows(seed=7), "training.parquet")
    profile = tmp_path / "p.bin"
    assert (
        run_data("profile", training, "--out", profile, "--score", "score", "--label", "y")[0] == 0
    )
    file = table(tmp_path, rows(shift=1.5))
    words = ("replay", file, "--policy", policy, "--score", "score")
    learned = run_json(*words, "--label", "y")
    given = run_json(*words, "--label", "y", "--profile", profile)

    assert given["panes_needed"].keys() == learned["panes_needed"].keys()
    assert [i["onset"] for i in given["incidents"]] == [i["onset"] for i in learned["incidents"]]


def test_too_short_a_record_says_what_is_missing(tmp_path: Path, policy: Path) -> None:
    file = table(tmp_path, rows())
    code, out, _ = run_data("replay", file, "--policy", policy, "--until", START + 3 * DAY)

    assert code == 0
    assert "no baseline was learned: it takes 60 panes" in out


def test_a_page_and_a_picture_are_written(tmp_path: Path, policy: Path) -> None:
    file = table(tmp_path, rows(shift=1.5, wrong=0.5))
    page, plot = tmp_path / "p.html", tmp_path / "p.png"
    code, out, _ = run_data(
        "replay", file, "--policy", policy, "--score", "score", "--label", "y",
        "--html", page, "--plot", plot,
    )  # fmt: skip

    assert code == 0
    assert "learned what is normal until 2023-11-22 00:00" in out
    assert "<svg" in page.read_text(encoding="utf-8")
    assert plot.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def _unsorted(values: dict[str, Any]) -> dict[str, Any]:
    order = np.r_[0:1_000, 500:600, 1_000 : len(values["ts"])]
    return {name: np.asarray(column)[order] for name, column in values.items()}


@pytest.mark.parametrize(
    ("change", "words", "says"),
    [
        (_unsorted, [], r"row 1001 .* Sort the file by its time"),
        (lambda v: v, ["--time", "when"], "--time when: no such column; .* --every 30m"),
        (lambda v: v, ["--score", "p"], "--score p: no such column"),
        (lambda v: v | {"ts": v["ts"] * 1_000}, [], "give --time-unit 1ms"),
        (lambda v: v | {"ts": np.where(v["x"] > 9, 0, v["ts"] * 0 + np.nan)}, [], "row 1 has no time"),
        (lambda v: v | {"ts": ["soon"] * len(v["ts"])}, [], "'soon' is no time"),
        (lambda v: v, ["--every", "30m", "--time", "ts"], "goes without --time"),
        (lambda v: v, ["--every", "half an hour"], "--every: must be a duration"),
        (lambda v: v, ["--start", "2023-01-01"], "goes with --every or --time-unit"),
        (lambda v: v, ["--since", "yesterday"], "write a date"),
        (lambda v: v, ["--reference-until", "2001-01-01"], "no row to learn a reference from before 2001"),
        (lambda v: v | {"ts": np.r_[v["ts"][:-50], v["ts"][-50:] + 4e9]}, [], "nothing happened from"),
        (lambda v: {name: column[:0] for name, column in v.items()}, [], "no rows"),
    ],
    ids=[
        "unsorted", "no time column", "no score column", "milliseconds", "no time", "no moment",
        "two clocks", "no duration", "start alone", "since", "empty reference", "gap", "empty",
    ],
)  # fmt: skip
def test_a_mistake_ends_with_2_and_says_what_to_do(
    tmp_path: Path, policy: Path, change: Any, words: list[str], says: str
) -> None:
    file = table(tmp_path, change(rows()))
    code, _, err = run_data("replay", file, "--policy", policy, *words)

    assert code == 2, err
    assert re.search(says, err), err


def test_a_policy_with_mistakes_is_told_with_their_lines(tmp_path: Path, policy: Path) -> None:
    policy.write_text("model: m\nwatch: {drfit: {}}\n", encoding="utf-8")
    code, _, err = run_data("replay", table(tmp_path, rows()), "--policy", policy)

    assert code == 2
    assert f"{policy}:2:9: watch.drfit: no such key; did you mean 'drift'?" in err.replace(
        "no such option", "no such key"
    )
