"""A table against its reference: what moved is found, what did not is not, and effects decide."""

import re
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from scipy import stats

from driftd.data.compare import compare_table, drifted
from driftd.data.folding import fold_column
from driftd.data.profile import build_profile
from driftd.data.tolerances import Tolerances, with_words
from tests.support.rest_cli import run_data, run_json

N = 20_000


def table(seed: int, n: int = N, shift: float = 0.0, city: str = "abcd") -> pa.Table:
    """Features of three kinds."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "x": rng.normal(shift, 1, n),
            "narrow": rng.normal(size=n).astype(np.float32),
            "hour": rng.integers(0, 24, n),
            "city": rng.choice(list(city), n),
            "hole": pa.array(rng.normal(size=n), mask=rng.random(n) < 0.1),
        }
    )


REF = table(1)
PROFILE = build_profile(REF)


def test_the_same_distribution_has_not_drifted() -> None:
    streams = compare_table(PROFILE, table(2))

    assert drifted(streams) == []
    assert sorted(one.stream for one in streams) == ["city", "hole", "hour", "narrow", "x"]
    assert max(one.ratio for one in streams) < 0.3


def test_what_moved_comes_first_with_its_place() -> None:
    streams = compare_table(PROFILE, table(2, shift=0.5))
    [moved] = drifted(streams)
    [how] = moved.moved

    assert streams[0] is moved
    assert (moved.stream, how.measure, how.tolerance) == ("x", "ks", 0.1)
    assert how.effect == pytest.approx(0.197, abs=0.02)
    assert how.where.startswith("(0.")


def test_the_effect_is_that_of_scipy_less_its_floor() -> None:
    rng = np.random.default_rng(3)
    old, new = rng.integers(0, 100, 5_000), rng.integers(5, 105, 4_000)
    [one] = compare_table(build_profile(pa.table({"x": old})), pa.table({"x": new}))
    exact = stats.ks_2samp(old, new)

    assert one.effects["ks"].raw == pytest.approx(exact.statistic, abs=1e-12)
    assert one.effects["ks"].value == pytest.approx(
        exact.statistic - 0.87 * np.sqrt(1 / 4_000 + 1 / 5_000), abs=1e-12
    )


def test_a_significant_but_harmless_change_is_no_drift() -> None:
    [one] = [s for s in compare_table(PROFILE, table(2, n=N, shift=0.1)) if s.stream == "x"]

    assert one.p_value < 1e-6
    assert not one.moved


def test_missing_values_and_unseen_names_are_measures_of_their_own() -> None:
    now = table(2, city="abcde")
    now = now.set_column(4, "hole", pa.array(now["hole"].to_numpy(), mask=np.arange(N) % 2 == 0))
    found = {one.stream: [m.measure for m in one.moved] for one in compare_table(PROFILE, now)}

    assert found["hole"] == ["missing"]
    assert "unseen" in found["city"]
    city = next(one for one in compare_table(PROFILE, now) if one.stream == "city")
    assert city.unseen_share == pytest.approx(0.2, abs=0.02)


def test_a_column_that_is_gone_has_lost_its_values() -> None:
    gone = next(s for s in compare_table(PROFILE, table(2).drop_columns("x")) if s.stream == "x")

    assert gone.moved[0].measure == "missing"
    assert gone.note == "the column is not there"


def test_few_rows_are_no_evidence() -> None:
    streams = compare_table(PROFILE, table(2, n=15, shift=9.0))

    assert drifted(streams) == []
    assert all("at least 20" in one.note for one in streams if one.stream != "hole")


def test_a_tolerance_within_the_noise_is_told() -> None:
    streams = compare_table(PROFILE, table(2, n=100))

    assert "by chance alone" in next(one.note for one in streams if one.stream == "x")


def test_a_named_distance_decides_on_every_stream_that_it_measures() -> None:
    moved = compare_table(PROFILE, table(2, shift=0.2), with_words(Tolerances(), ["psi=0.02"]))
    [one] = drifted(moved)

    assert [m.measure for m in one.moved] == ["psi"]
    assert {m.measure for m in one.measures} == {"psi", "ks", "missing"}


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1.5, None, float("nan"), 3.0, float("inf")]),
        pa.array([1.5, None, 2.5, 3.0, 9.0], pa.float32()),
        pa.array([1, 2, None, 3]),
        pa.array([True, False, None]),
        pa.array(["a", "b", None, "zz" * 200, ""]),
        pa.array(["a", "b", None]).dictionary_encode(),
        pa.array([1, 2, 3, None]).cast(pa.decimal128(25, 2)),
        pa.nulls(3),
    ],
    ids=["float", "float32", "int", "bool", "text", "dictionary", "decimal", "null"],
)
@pytest.mark.parametrize("reference", [[1.0, 2.0, 3.0] * 50, ["a", "1", "3"] * 50])
def test_columns_are_counted_as_their_values_one_by_one(
    column: pa.Array, reference: list[float]
) -> None:
    layout = build_profile(pa.table({"x": reference})).layouts["x"]
    values = column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column
    counted = fold_column(layout, pa.chunked_array([column.slice(0, 1), column.slice(1)]))

    assert counted is not None
    assert counted.tolist() == layout.fold(values.to_pylist()).tolist()


def _files(tmp_path: Path, shift: float) -> tuple[Path, Path]:
    ref, cur = tmp_path / "ref.parquet", tmp_path / "cur.csv"
    pq.write_table(REF, ref)
    pacsv.write_csv(table(2, shift=shift), cur)
    return ref, cur


def test_the_command_ends_with_0_without_drift_and_with_1_with_it(tmp_path: Path) -> None:
    ref, cur = _files(tmp_path, shift=0.0)
    code, out, _ = run_data("compare", ref, cur)
    assert (code, "no drift: 5 streams" in out) == (0, True)

    ref, cur = _files(tmp_path, shift=0.6)
    page = tmp_path / "page.html"
    document = run_json("compare", ref, cur, "--html", page, code=1)
    assert document["drift"] is True
    assert document["streams"][0]["stream"] == "x"
    assert document["rows"] == {"reference": N, "current": N}
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 5
    assert "http" not in text.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "").replace("https://matplotlib.org", "")


def test_a_profile_file_compressed_or_for_people_gives_the_same_answer(tmp_path: Path) -> None:
    ref, cur = _files(tmp_path, shift=0.6)
    for name in ("p.bin", "p.json"):
        assert run_data("profile", ref, "--out", tmp_path / name)[0] == 0
    answers = [
        run_json("compare", tmp_path / name, cur, code=1)["streams"] for name in ("p.bin", "p.json")
    ]
    assert answers[0] == answers[1] == run_json("compare", ref, cur, code=1)["streams"]


def test_a_policy_says_what_is_tolerated_and_ignored(tmp_path: Path) -> None:
    ref, cur = _files(tmp_path, shift=0.6)
    policy = tmp_path / "m.yaml"
    policy.write_text("model: m\nwatch: {drift: {tolerate: {ks: 0.5}}}\n", encoding="utf-8")
    assert run_data("compare", ref, cur, "--policy", policy)[0] == 0
    policy.write_text("model: m\nwatch: {drift: {ignore: [x]}}\n", encoding="utf-8")
    assert run_data("compare", ref, cur, "--policy", policy)[0] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--tolerate", "pis=0.1"], "did you mean 'psi'"),
        (["--tolerate", "0.1"], "write name=amount"),
        (["--tolerate", "ks=-1"], "above 0"),
        (["--tolerate", "missing=5pp"], "could not convert|share"),
        (["--label", "nope"], "--label nope: no such column; there are x, narrow"),
    ],
)
def test_a_mistake_ends_with_2(tmp_path: Path, words: list[str], says: str) -> None:
    code, _, err = run_data("compare", *_files(tmp_path, 0.0), *words)
    assert code == 2
    assert re.search(says, err)


@pytest.mark.parametrize("text", ["", "x\n"])
def test_an_empty_table_is_a_mistake_and_no_drift(tmp_path: Path, text: str) -> None:
    ref, cur = _files(tmp_path, 0.0)
    cur.write_text(text, encoding="utf-8")
    code, _, err = run_data("compare", ref, cur)
    assert (code, "cur.csv" in err) == (2, True)


def test_a_file_that_is_no_profile_is_told(tmp_path: Path) -> None:
    _, cur = _files(tmp_path, 0.0)
    wrong = tmp_path / "p.bin"
    wrong.write_bytes(b"hello")
    assert run_data("compare", wrong, cur)[::2] == (
        2, f"driftd: {wrong}: these bytes are no profile; make one with: driftd data profile\n",
    )  # fmt: skip


def test_a_column_of_vectors_is_compared_by_mmd(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    files = []
    for name, shift in (("ref", 0.0), ("same", 0.0), ("moved", 0.5)):
        values = rng.normal(shift, 1, (3_000, 8)).astype(np.float32)
        table = pa.table({"e": pa.FixedSizeListArray.from_arrays(values.ravel(), 8)})
        files.append(tmp_path / f"{name}.parquet")
        pq.write_table(table, files[-1])
    ref, same, moved = files

    assert run_json("compare", ref, same)["drift"] is False
    [stream] = run_json("compare", ref, moved, code=1)["streams"]
    assert stream["kind"] == "vector"
    assert stream["measures"][0]["measure"] == "mmd"
    assert stream["missing"] == [0.0, 0.0]


@pytest.mark.parametrize("command", ["compare", "check", "replay"])
def test_memory_is_a_few_blocks_however_long_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("driftd.data.tables.BLOCK_BYTES", 256 * 1024)
    monkeypatch.setattr("driftd.data.profile_file.SAMPLE_ROWS", 20_000)
    rng = np.random.default_rng(5)
    n = 300_000
    long = pa.table({"ts": 1.7e9 + np.arange(n) * 10.0, "x": rng.normal(size=n)})
    path, profile, policy = (tmp_path / name for name in ("long.csv", "p.bin", "m.yaml"))
    pacsv.write_csv(long, path)
    size = long.nbytes
    del long
    assert run_data("profile", path, "--time", "ts", "--out", profile)[0] == 0
    policy.write_text("model: m\nclock: {pane: 1d, lateness: 0s}\n", encoding="utf-8")
    held: list[int] = []
    before = pa.total_allocated_bytes()
    monkeypatch.setattr(
        "driftd.cli.at_rest.progress",
        lambda _what: nullcontext(lambda _done: held.append(pa.total_allocated_bytes() - before)),
    )
    words: dict[str, list[object]] = {
        "compare": [profile, path],
        "check": [path, "--against", profile],
        "replay": [path, "--policy", policy, "--profile", profile],
    }
    assert run_data(command, *words[command], "--ignore", "ts")[0] == 0

    assert len(held) > 5
    assert max(held) < size / 3
