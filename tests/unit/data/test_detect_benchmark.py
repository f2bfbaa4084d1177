"""The comparison with other libraries: it measures what it says, and a wrong answer is told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.detect import KS_ERROR_MAX, Runs, errors, figures, parse
from benchmarks.peers.environments import Peer
from benchmarks.peers.samples import DIMENSION, write_tables, write_vectors
from driftd.errors import MistakeError

ROOT = Path(__file__).parents[3]
SMALL = ("--rows", "2000", "--reference-rows", "20000", "--vectors", "500", "--rounds", "1")


def test_it_measures_ours_and_scipy_and_leaves_the_others_empty() -> None:
    command = [sys.executable, "-m", "benchmarks.detect", "--only", "ours,scipy", *SMALL]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert all(told[key] > 0 for key in ("window_cpu_s", "scipy_cpu_s", "mmd_cpu_s", "peak_mb"))
    assert told["times_scipy"] == pytest.approx(told["scipy_cpu_s"] / told["window_cpu_s"])
    assert 0 <= told["ks_error_max"] <= KS_ERROR_MAX
    assert told["mmd_error"] <= 0.1
    absent = ("evidently_cpu_s", "alibi_cpu_s", "alibi_mmd_cpu_s", "alibi_mmd_rows")
    assert [told[key] for key in absent] == [None] * 4


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        ({"hour": 0.2, "ratio": 0.1}, []),
        ({"hour": 0.2, "ratio": 0.11}, ["alibi: KS of ratio is 0.11, SciPy's 0.1"]),
        ({"hour": 0.2}, ["alibi has KS of ['hour'], SciPy of ['hour', 'ratio']"]),
    ],
    ids=["equal", "too far", "a column is not there"],
)
def test_a_wrong_statistic_is_told(ours: dict[str, float], said: list[str], tmp_path: Path) -> None:
    runs = {"scipy": [{"ks": {"hour": 0.2, "ratio": 0.1}}], "alibi": [{"ks": ours}]}

    _, wrong = errors(runs, tmp_path)

    assert wrong == said


def test_figures_are_medians_of_the_rounds() -> None:
    runs: Runs = {
        "ours": [{"cpu_s": taken, "mmd_cpu_s": 0.05, "peak_mb": 200} for taken in (0.2, 0.1, 0.9)],
        "evidently": [{"cpu_s": taken, "peak_mb": 900} for taken in (40, 30, 50)],
    }

    told = figures(runs)

    assert (told["window_cpu_s"], told["evidently_cpu_s"]) == (0.2, 40)
    assert told["times_evidently"] == 200
    assert (told["alibi_cpu_s"], told["times_alibi"]) == (None, None)


def test_an_unknown_peer_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--only", "ours,sklearn"])

    assert (
        "no such peer: sklearn; there are ours, scipy, evidently, alibi" in capsys.readouterr().err
    )


def test_a_peer_that_cannot_be_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lock = tmp_path / "peer.txt"
    lock.write_text("no requirement at all\n")

    with pytest.raises(MistakeError, match=r"nannyml cannot be installed.*--only"):
        Peer(name="nannyml", lock=lock).install()

    assert not list(tmp_path.rglob(".complete"))


def test_the_same_seed_writes_the_same_sample(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        write_tables(folder, 300, 200)
        write_vectors(folder, 20)

    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]

    assert len(files[0]) == 3
    assert files[0] == files[1]
    assert len(files[0]["vectors.npz"]) > 2 * 20 * DIMENSION * 4
