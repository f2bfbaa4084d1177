"""Texts through real encoders: transformers with PyTorch, and a registered model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from detectors.distances.mmd import MMD
from detectors.profile import Profile
from driftd.cli.main import build
from driftd.data.encoded import sample_texts
from driftd.data.encoding import Encoder, EncoderSpec
from driftd.errors import MistakeError
from stack import text
from stack.install import cache

SUPPORT = Path(__file__).parents[1] / "support"
LOG = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment(experiment_id=mlflow.create_experiment("e", sys.argv[2]))
mlflow.pyfunc.log_model(name="m", python_model=sys.argv[3], registered_model_name="letters")
"""
FLIGHTS = ["the plane is late", "my plane is late", "is the plane late please"]
MONEY = ["my bill is wrong", "money back please", "the bill is wrong"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> EncoderSpec:
    """A tiny encoder, made by the libraries that will read it."""
    folder = tmp_path_factory.mktemp("encoder") / "bert"
    python = str(text.python(cache()))
    made = [python, "-I", str(SUPPORT / "tiny_bert.py"), str(folder)]
    subprocess.run(made, check=True, capture_output=True)
    return EncoderSpec(source=str(folder), python=python)


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> EncoderSpec:
    """The same as a version of a registered model."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder}/mlflow.db"
    code = str(SUPPORT / "letters_model.py")
    # In a process of its own: MLflow warns of what it uses itself.
    logged = [sys.executable, "-c", LOG, uri, f"file://{folder}/artifacts", code]
    subprocess.run(logged, check=True, capture_output=True)
    return EncoderSpec(source="models:/letters/1", environment={"MLFLOW_TRACKING_URI": uri})


def test_a_transformer_gives_each_text_a_vector_of_length_one(bert: EncoderSpec) -> None:
    texts = [*FLIGHTS, None, FLIGHTS[0], "", "a" * 5_000, "\ud800 half a pair", *MONEY * 20]
    with Encoder(bert) as encoder:
        vectors = encoder.encode(texts)
        again = encoder.encode(["my bill is wrong", None])

    present = [text is not None for text in texts]
    assert vectors.shape == (len(texts), 32)
    assert np.linalg.norm(vectors[present], axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.isnan(vectors[3]).all()
    assert vectors[4].tolist() == vectors[0].tolist()
    assert again[0] == pytest.approx(vectors[8], abs=1e-6)


def test_a_registered_model_encodes_as_well(letters: EncoderSpec) -> None:
    with Encoder(letters) as encoder:
        vectors = encoder.encode(["aab", None])

        assert vectors[0, :3].tolist() == pytest.approx([2 / 3, 1 / 3, 0])
        with pytest.raises(MistakeError, match="a vector a text"):
            encoder.encode(["fault"])


def profile(file: Path, out: Path, encoder: EncoderSpec, *more: str) -> Result:
    arguments = ["--encode", f"comment={encoder.source}", "--encoder-python", encoder.python]
    environment = {**os.environ, **encoder.environment}
    command = ["data", "profile", str(file), "--out", str(out), *arguments, *more]
    return CliRunner().invoke(build(), command, env=environment)


def comments(file: Path, flights: float) -> Path:
    rng = np.random.default_rng(1)
    texts = [str(rng.choice(FLIGHTS if rng.random() < flights else MONEY)) for _ in range(1_500)]
    pq.write_table(
        pa.table({"x": rng.normal(size=1_500), "comment": [*texts[:-30], *[None] * 30]}), file
    )
    return file


@pytest.mark.parametrize("which", ["bert", "letters"])
def test_another_topic_in_a_column_of_texts_is_drift(
    which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    encoder: EncoderSpec = request.getfixturevalue(which)
    before, after = (tmp_path / name for name in ("before", "after"))
    first = profile(comments(tmp_path / "a.parquet", 0.9), before, encoder)
    second = profile(
        comments(tmp_path / "b.parquet", 0.5), after, encoder, "--layouts", str(before), "--json"
    )

    assert first.exit_code == 0, first.output
    assert "comment: vector" in first.output
    assert json.loads(second.stdout)["streams"]["comment"]["kind"] == "vector"
    old, new = (Profile.from_bytes(one.read_bytes()).streams["comment"] for one in (before, after))
    assert old.layout == new.layout
    assert (old.n, old.missing_share) == (1_470, 0.02)
    assert MMD().measure(old.layout, old.shares, new.counts, m=old.n).value > 0.1
    assert "x" in Profile.from_bytes(after.read_bytes()).streams


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"source": "bert-base-uncased"}, "no such folder.*nothing is downloaded"),
        ({"source": "."}, "encoder ."),
        ({"python": sys.executable}, "lacks it: name an interpreter"),
        ({"python": "/nowhere/python"}, "cannot be started"),
        ({"load_timeout_s": 0.2}, "took longer than 0.2 s"),
        ({"memory_bytes": 40 << 20}, "encoder"),
    ],
    ids=["name", "no encoder", "no torch", "no python", "slow", "memory"],
)
def test_what_cannot_encode_says_why(
    bert: EncoderSpec, change: dict[str, object], why: str
) -> None:
    plain = {"source": bert.source, "python": bert.python, **change}

    with pytest.raises(MistakeError, match=why):
        Encoder(EncoderSpec(**plain))  # type: ignore[arg-type]


def test_a_process_that_was_killed_is_told_and_not_waited_for(letters: EncoderSpec) -> None:
    encoder = Encoder(letters)
    encoder._child.kill()
    encoder._child.wait()

    with pytest.raises(MistakeError, match="its process has ended"):
        encoder.encode(["a"])


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("x=.", "not text"),
        ("nothing=.", "no such column; there are x, comment"),
        ("comment", "write COLUMN=ENCODER"),
        ("comment=nowhere", "no such folder"),
    ],
)
def test_a_wrong_option_says_what_to_write(
    letters: EncoderSpec, option: str, why: str, tmp_path: Path
) -> None:
    file = comments(tmp_path / "a.parquet", 0.5)
    option = option.replace("=.", f"={letters.source}")
    command = ["data", "profile", str(file), "--out", str(tmp_path / "p"), "--encode", option]
    result = CliRunner().invoke(build(), command, env={**os.environ, **letters.environment})

    assert isinstance(result.exception, MistakeError)
    assert why in str(result.exception)


def test_the_rows_are_drawn_evenly_and_the_same_each_time(tmp_path: Path) -> None:
    file = tmp_path / "many.parquet"
    pq.write_table(pa.table({"t": [str(n) for n in range(50_000)]}), file, row_group_size=7_000)
    drawn = [int(value or "") for value in sample_texts(file, "t", 2_000)]

    assert len(set(drawn)) == 2_000
    assert np.histogram(drawn, bins=10, range=(0, 50_000))[0].min() > 150
    assert drawn == [int(value or "") for value in sample_texts(file, "t", 2_000)]
