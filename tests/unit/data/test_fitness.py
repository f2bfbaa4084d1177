"""What a version says it needs, held against this environment: no model is loaded here."""

import platform
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from driftd.data import fitness_child
from driftd.data.evaluate import Scorer
from driftd.data.fitness import fitness
from driftd.data.fitness_child import OTHER, PATCH, SAME
from driftd.errors import UnreachableError

HERE = platform.python_version()
NUMPY = np.__version__
MINOR = ".".join(NUMPY.split(".")[:2])


@pytest.mark.parametrize(
    ("line", "how", "said"),
    [
        (f"numpy=={NUMPY}", SAME, ""),
        ("numpy", SAME, ""),
        ("", SAME, ""),
        ("# a comment", SAME, ""),
        ("--extra-index-url https://example.org", SAME, ""),
        ("git+https://example.org/own.git", SAME, ""),
        ('pywin32==1; sys_platform == "win32"', SAME, ""),
        (f"numpy=={MINOR}.999  # what it was trained with", PATCH, f"has {NUMPY}"),
        ("numpy==1.0.3", OTHER, f"it needs numpy==1.0.3, the serving environment has {NUMPY}"),
        ("numpy<1", OTHER, f"has {NUMPY}"),
        ("not-to-be-found==4.5", OTHER, 'not installed: pip install "not-to-be-found==4.5"'),
        ("mlflow==3.1.0", PATCH, "it needs mlflow==3.1.0"),
        ("mlflow==2.9.0", OTHER, "it needs mlflow==2.9.0"),
        ("numpy = 1", PATCH, "'numpy = 1' cannot be read"),
    ],
)
def test_a_requirement_is_the_same_nearly_the_same_or_another(
    line: str, how: str, said: str
) -> None:
    found, words = fitness_child.requirement(line)
    assert found == how
    assert said in words


@pytest.mark.parametrize(
    ("logged", "how"),
    [(HERE, SAME), ("", SAME), ("3.11.999", PATCH), ("3.9.18", OTHER), ("2.7", OTHER)],
)
def test_pythons_differ_from_one_minor_release_to_the_next(logged: str, how: str) -> None:
    if how == PATCH:
        logged = ".".join([*HERE.split(".")[:2], "999"])
    assert fitness_child.python(logged, HERE)[0] == how


def _described(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return str(folder)


def test_the_descriptions_of_old_models_are_read_as_well(tmp_path: Path) -> None:
    conda = "dependencies: [python=3.6.9, pip, {pip: ['numpy<1', cloudpickle]}]"
    folder = _described(tmp_path, MLmodel="flavors: {}", conda__yaml=conda)
    assert [words for _, words in fitness_child.compare(folder)] == [
        f"it was logged with Python 3.6.9, the serving environment has {HERE}",
        f"it needs numpy<1, the serving environment has {NUMPY}",
    ]


def test_files_that_are_no_model_are_told_as_such(tmp_path: Path) -> None:
    assert fitness_child.compare(str(tmp_path)) == [
        (OTHER, "it has no MLmodel file where its version points: it is no MLflow model")
    ]


def test_requests_are_answered_one_by_one_in_the_types_of_the_signature() -> None:
    def score(frame: pd.DataFrame) -> Any:
        if frame["carrier"].iloc[0] is None:
            raise ValueError("no carrier")
        return frame["x"].to_numpy()

    rows: list[dict[str, Any]] = [
        {"x": 1, "carrier": "UA"},
        {"x": "2", "carrier": None},
        {"x": None, "carrier": "AA"},
    ]
    good, wrong = fitness_child.answers(score, rows, {"x": False, "carrier": True})
    assert good == 1
    assert wrong == "ValueError: no carrier"


def test_an_interpreter_that_is_not_there_says_nothing_against_a_version() -> None:
    scorer = Scorer(registry_name="m", tracking_uri="http://127.0.0.1:9", python="/no/python")
    with pytest.raises(UnreachableError, match="/no/python cannot be started"):
        fitness(scorer, "1", [])
