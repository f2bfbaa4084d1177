"""What a comparison of a window with its reference costs, here and elsewhere: make bench NAME=detect.

make bench NAME=detect                                # 100k rows of 20 features; all peers
make bench NAME=detect ARGS="--only ours,scipy"       # some of them

Every peer reads the same files in a process and an environment of its own, one thread each, and
tells the CPU-seconds of the comparison alone, without imports, reading and a first small run. They
take turns; figures are medians. KS of ours and of alibi-detect is checked against SciPy's, and our
MMD against the kernel itself: exit code 1 for a wrong answer, 3 for a peer that cannot be had.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.peers.environments import PEERS
from benchmarks.peers.exact import exact_mmd
from benchmarks.peers.run_ours import STREAM, TABLE_PROFILE, VECTOR_PROFILE
from benchmarks.peers.samples import DIMENSION, REFERENCE, VECTORS, write_tables, write_vectors
from detectors.profile import Profile, StreamProfile
from detectors.sketches.vector import VectorLayout
from driftd.data.profile import build_profile
from driftd.errors import MistakeError

# A reference of 256 cells of equal share loses at most one of them.
KS_ERROR_MAX = 1 / 256
# 512 random frequencies stand for the kernel: sd of about 3 % here.
MMD_ERROR_MAX = 0.1
WRONG, UNAVAILABLE = 1, 3

Runs = Mapping[str, Sequence[Mapping[str, Any]]]


def prepare(folder: Path, asked: argparse.Namespace) -> dict[str, float]:
    """Write the sample and the profiles of its reference; what the profiles cost."""
    write_tables(folder, asked.reference_rows, asked.rows)
    write_vectors(folder, asked.vectors)
    reference = pq.read_table(folder / REFERENCE)
    started = time.process_time()
    table = build_profile(reference)
    table_s = time.process_time() - started
    with np.load(folder / VECTORS) as file:
        rows = file["reference"]
    started = time.process_time()
    layout = VectorLayout.from_reference(rows)
    stream = StreamProfile(layout=layout, counts=layout.fold(rows))
    vectors_s = time.process_time() - started
    vectors = Profile(version="", n=len(rows), since=0.0, until=0.0, streams={STREAM: stream})
    (folder / TABLE_PROFILE).write_bytes(table.to_bytes())
    (folder / VECTOR_PROFILE).write_bytes(vectors.to_bytes())
    return {"profile_cpu_s": table_s, "vector_profile_cpu_s": vectors_s}


def take_turns(folder: Path, asked: argparse.Namespace) -> tuple[Runs, list[str]]:
    """What each peer told in each round, and why some told nothing."""
    pythons, failed = {}, []
    for name in asked.only:
        try:
            pythons[name] = PEERS[name].install()
        except MistakeError as error:
            failed.append(str(error))
    runs: dict[str, list[Mapping[str, Any]]] = {name: [] for name in pythons}
    for number in range(asked.rounds):
        for name in list(pythons):
            try:
                told = PEERS[name].run(pythons[name], str(folder), str(asked.alibi_mmd_rows))
            except MistakeError as error:
                failed.append(str(error))
                # A median of fewer rounds than the others had would not be alternating runs.
                del pythons[name], runs[name]
                continue
            runs[name].append(told)
            taken = f"{told['cpu_s']:.3f}"
            if "mmd_cpu_s" in told:
                taken += f", MMD {told['mmd_cpu_s']:.3f}"
            print(f"round {number + 1}: {name} {taken} CPU-s", file=sys.stderr)
    return runs, failed


def errors(runs: Runs, folder: Path) -> tuple[dict[str, float | None], list[str]]:
    """How far our answers lie from the true ones, and which answers are wrong."""
    wrong: list[str] = []
    gaps: dict[str, float | None] = {"ks_error_max": None, "mmd_error": None}
    if "scipy" in runs:
        true = runs["scipy"][0]["ks"]
        worst = {name: _ks_gap(name, runs[name][0]["ks"], true, wrong) for name in _kept(runs)}
        gaps["ks_error_max"] = worst.get("ours")
    if "ours" in runs:
        found, kernel = float(runs["ours"][0]["mmd"]), _kernel(folder)
        gaps["mmd_error"] = gap = abs(found / kernel - 1)
        if gap > MMD_ERROR_MAX:
            wrong.append(f"ours: MMD is {found} spreads of phi, by the kernel itself {kernel}")
    return gaps, wrong


def _kept(runs: Runs) -> list[str]:
    return [name for name in ("ours", "alibi") if name in runs]


def _ks_gap(
    name: str, found: Mapping[str, float], true: Mapping[str, float], wrong: list[str]
) -> float:
    """The largest difference over the columns of numbers; what is too large is added to ``wrong``."""
    if found.keys() != true.keys():
        wrong.append(f"{name} has KS of {sorted(found)}, SciPy of {sorted(true)}")
    gaps = {column: abs(found[column] - true[column]) for column in true.keys() & found.keys()}
    wrong += [
        f"{name}: KS of {column} is {found[column]}, SciPy's {true[column]}"
        for column, gap in gaps.items()
        if gap > KS_ERROR_MAX
    ]
    return max(gaps.values(), default=1.0)


def _kernel(folder: Path) -> float:
    layout = Profile.from_bytes((folder / VECTOR_PROFILE).read_bytes()).streams[STREAM].layout
    if not isinstance(layout, VectorLayout):
        raise TypeError(f"{STREAM} is no stream of vectors")
    return exact_mmd(folder / VECTORS, layout.bandwidth)


def figures(runs: Runs) -> dict[str, Any]:
    """Medians, None for those who told nothing, and how many times ours the others need."""

    def middle(name: str, key: str) -> float | None:
        told = [one[key] for one in runs.get(name, ())]
        return median(told) if told else None

    def times(theirs: float | None, ours: float | None) -> float | None:
        return theirs / ours if theirs and ours else None

    found: dict[str, Any] = {"window_cpu_s": middle("ours", "cpu_s")}
    found |= {f"{name}_cpu_s": middle(name, "cpu_s") for name in PEERS if name != "ours"}
    found |= {"mmd_cpu_s": middle("ours", "mmd_cpu_s")}
    found |= {"alibi_mmd_cpu_s": middle("alibi", "mmd_cpu_s")}
    found |= {"alibi_mmd_rows": middle("alibi", "mmd_rows"), "peak_mb": middle("ours", "peak_mb")}
    for name in PEERS:
        if name != "ours":
            found[f"times_{name}"] = times(found[f"{name}_cpu_s"], found["window_cpu_s"])
    found["times_alibi_mmd"] = times(found["alibi_mmd_cpu_s"], found["mmd_cpu_s"])
    found["peer_peak_mb"] = {name: middle(name, "peak_mb") for name in runs if name != "ours"}
    found["versions"] = {
        name: told[0].get("version") for name, told in runs.items() if name != "ours"
    }
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; a peer that nobody knows is refused."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=names, default=list(PEERS), help="of " + ",".join(PEERS))
    for option, usual, what in (
        ("--rows", 100_000, "rows of the window"),
        ("--reference-rows", 1_000_000, "rows of the reference"),
        ("--vectors", 10_000, f"vectors of {DIMENSION} coordinates on either side"),
        ("--alibi-mmd-rows", 1_000, "of these for alibi-detect, which needs their square"),
        ("--rounds", 3, "turns"),
    ):
        parser.add_argument(option, type=count, default=usual, help=f"{what} ({usual})")
    return parser.parse_args(arguments)


def names(text: str) -> list[str]:
    """Peers between commas, in the order of the turns."""
    asked = {name.strip() for name in text.split(",")}
    if not asked <= PEERS.keys():
        unknown = ", ".join(sorted(asked - PEERS.keys()))
        raise argparse.ArgumentTypeError(f"no such peer: {unknown}; there are {', '.join(PEERS)}")
    return [name for name in PEERS if name in asked]


def count(text: str) -> int:
    """A positive number."""
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return int(text)


def main() -> None:
    """Run and print."""
    asked = parse()
    with tempfile.TemporaryDirectory(prefix="driftd-detect-") as name:
        folder = Path(name)
        print("writing the sample and its profiles", file=sys.stderr)
        costs = prepare(folder, asked)
        runs, failed = take_turns(folder, asked)
        gaps, wrong = errors(runs, folder)
    sizes = ("rows", "reference_rows", "vectors", "rounds")
    told = {"benchmark": "detect", **{size: getattr(asked, size) for size in sizes}}
    print(json.dumps({**told, **figures(runs), **costs, **gaps}))
    for line in (*failed, *wrong):
        print(line, file=sys.stderr)
    raise SystemExit(WRONG if wrong else UNAVAILABLE if failed else 0)


if __name__ == "__main__":
    main()
