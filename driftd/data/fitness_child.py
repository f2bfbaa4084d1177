"""Whether a model version runs in this environment (standalone: run with ``python -I``, imports none of ours).

Compares what the version says about itself (``MLmodel``, ``python_env.yaml``, ``requirements.txt``,
``conda.yaml``) with this interpreter and its packages, before any code of the model is imported;
then loads it within ``--memory`` and lets it answer ``--sample``, a JSON list of requests' features.
``--output`` gets ``{"refused": [...], "warnings": [...], "answered": n}``. The last word of
``--phase`` says how far it came: ``fetch``, ``load`` or ``answer``. Exit code 75 says that the
registry or the store of the files could not be reached, which is no fault of the version.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import platform
import resource
import signal
import sys
from pathlib import Path
from typing import Any

DESCRIPTIONS = ("MLmodel", "python_env.yaml", "requirements.txt", "conda.yaml")
PATCH, OTHER, SAME = "patch", "other", "same"
FAR_OFF = ("git+", "hg+", "svn+", "bzr+", "http:", "https:", "file:", ".", "/")
# The skinny distribution is the same code with fewer dependencies, and MLflow promises to load what
# an earlier release of the same major version logged.
MLFLOW = frozenset({"mlflow", "mlflow-skinny"})


def main() -> int:
    """Fetch, compare, load, answer; exit code 0 when there is an answer."""
    asked = arguments()
    signal.alarm(asked.seconds)  # whoever started this may be gone
    scoring = sibling("scoring_child.py")
    found: dict[str, Any] = {"refused": [], "warnings": [], "answered": 0}
    phase(asked, "fetch")
    try:
        folder = fetch(asked, found)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        print(said(error), file=sys.stderr)  # noqa: T201
        return scoring.EX_TEMPFAIL if scoring.unreachable(error) or away(error) else 1
    if folder:
        # Data, not address space: allocators reserve far more addresses than they ever write to.
        resource.setrlimit(resource.RLIMIT_DATA, (asked.memory, asked.memory))
        attempt(asked, scoring, folder, found)
    Path(asked.output).write_text(json.dumps(found), encoding="utf-8")
    return 0


def fetch(asked: argparse.Namespace, found: "dict[str, Any]") -> str:
    """The folder of the model's files; empty where its descriptions already say no."""
    import mlflow.artifacts  # noqa: PLC0415 - its absence is an answer about this environment

    verdicts = compare(descriptions(mlflow.artifacts, asked.model_uri, asked.folder))
    if asked.other_versions == "refuse":
        found["refused"] = [text for how, text in verdicts if how == OTHER]
    if found["refused"]:
        return ""
    found["warnings"] = [text for _, text in verdicts]
    whole = Path(asked.folder) / "model"
    whole.mkdir()
    return str(
        mlflow.artifacts.download_artifacts(artifact_uri=asked.model_uri, dst_path=str(whole))
    )


def attempt(asked: argparse.Namespace, scoring: Any, folder: str, found: "dict[str, Any]") -> None:
    """Load it and let it answer the sample."""
    sample = json.loads(Path(asked.sample).read_text(encoding="utf-8"))
    phase(asked, "load")
    try:
        score = scoring.load(folder)
        texts = columns(folder)
    except Exception as error:  # noqa: BLE001 - whatever a model raises is an answer
        found["refused"] = [f"it does not load: {said(error)}"]
        return
    phase(asked, "answer")
    found["answered"], wrong = answers(score, sample, texts)
    if sample and not found["answered"]:
        found["refused"] = [f"it answers none of {len(sample)} requests of the archive: {wrong}"]
    elif wrong:
        found["warnings"].append(f"it answered {found['answered']} of {len(sample)}: {wrong}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-uri", required=True, help="models:/NAME/VERSION")
    parser.add_argument("--folder", required=True, help="where its files are put")
    parser.add_argument("--sample", required=True, help="JSON: a list of objects")
    parser.add_argument("--output", required=True, help="JSON to write")
    parser.add_argument("--phase", required=True, help="a file that says how far it came")
    parser.add_argument("--memory", required=True, type=int, help="bytes it may use")
    parser.add_argument("--seconds", required=True, type=int, help="until it ends by itself")
    parser.add_argument("--other-versions", required=True, choices=("refuse", "warn"))
    return parser.parse_args()


def sibling(name: str) -> Any:
    """A module beside this file: ``-I`` leaves its folder, which has names of its own, out."""
    path = Path(__file__).with_name(name)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def descriptions(artifacts: Any, uri: str, folder: str) -> str:
    """Fetch the small files that say what a version needs; the folder they are in."""
    for item in artifacts.list_artifacts(artifact_uri=uri):
        name = item.path.rpartition("/")[2]
        if name in DESCRIPTIONS and not item.is_dir:
            artifacts.download_artifacts(artifact_uri=f"{uri}/{name}", dst_path=folder)
    return folder


def compare(folder: str) -> list[tuple[str, str]]:
    """(``patch`` or ``other``, a sentence) for all that is different here."""
    import yaml  # type: ignore[import-untyped]  # noqa: PLC0415 - MLflow needs it as well

    def text(name: str) -> str:
        path = Path(folder) / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    if not text("MLmodel"):
        return [(OTHER, "it has no MLmodel file where its version points: it is no MLflow model")]
    model, env, conda = (
        yaml.safe_load(text(n)) or {} for n in ("MLmodel", "python_env.yaml", "conda.yaml")
    )
    from_conda = conda.get("dependencies", []) if isinstance(conda, dict) else []
    lines = text("requirements.txt").splitlines()
    if not lines:
        lines = [
            one for part in from_conda if isinstance(part, dict) for one in part.get("pip", [])
        ]
    flavour = (model.get("flavors") or {}).get("python_function") or {}
    of_conda = next((str(d) for d in from_conda if str(d).startswith("python=")), "")
    logged = str(
        flavour.get("python_version") or env.get("python") or of_conda.partition("=")[2].strip("=")
    )
    verdicts = [python(logged, platform.python_version())]
    verdicts += [requirement(line) for line in lines]
    return [one for one in verdicts if one[0] != SAME]


def python(logged: str, here: str) -> tuple[str, str]:
    """Pickles of functions and classes hold byte code, which differs from 3.11 to 3.12."""
    if not logged or logged == here:
        return SAME, ""
    how = PATCH if logged.split(".")[:2] == here.split(".")[:2] else OTHER
    return how, f"it was logged with Python {logged}, the serving environment has {here}"


def requirement(line: str) -> tuple[str, str]:
    """What one line of requirements.txt asks for, held against what is installed here."""
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

    text = line.split(" #", maxsplit=1)[0].strip()
    if not text or text.startswith(("#", "-")):
        return SAME, ""  # an option of pip says where to look, not what for
    try:
        asked = Requirement(text)
    except InvalidRequirement:
        why = "" if text.startswith(FAR_OFF) else f"its requirement {text!r} cannot be read"
        return (PATCH if why else SAME), why
    if asked.marker is not None and not asked.marker.evaluate():
        return SAME, ""
    here = installed(asked.name)
    if here is None:
        return OTHER, f"it needs {text}, which is not installed: pip install {json.dumps(text)}"
    if asked.specifier.contains(here, prereleases=True):
        return SAME, ""
    how = PATCH if near(asked, here) else OTHER
    return how, f"it needs {text}, the serving environment has {here}"


def installed(name: str) -> "str | None":
    """The version of a distribution, or None."""
    names = [name, *sorted(MLFLOW)] if name.lower() in MLFLOW else [name]
    for one in names:
        try:
            return importlib.metadata.version(one)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def near(asked: Any, here: str) -> bool:
    """Whether a pin is missed by no more than releases that may repair but not change."""
    parts = 1 if asked.name.lower() in MLFLOW else 2
    pins = [spec.version for spec in asked.specifier if spec.operator == "=="]
    return bool(pins) and all(p.split(".")[:parts] == here.split(".")[:parts] for p in pins)


def columns(folder: str) -> "dict[str, bool]":
    """Feature -> whether it is a text, as far as the model's signature says so."""
    from mlflow.models import Model  # noqa: PLC0415

    schema = Model.load(folder).get_input_schema()
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return {}
    return {column.name: "string" in str(column.type).lower() for column in schema.inputs}


def answers(
    score: Any, sample: "list[dict[str, Any]]", texts: "dict[str, bool]"
) -> tuple[int, str]:
    """How many requests were answered by a finite number, and what was wrong with the first other."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    names = sorted(set(texts).union(*sample)) if sample else []
    data = {}
    for name in names:
        values = [row.get(name) for row in sample]
        if texts.get(name, any(isinstance(value, str) for value in values)):
            data[name] = pd.Series(values, dtype=object)
        else:
            data[name] = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").astype(
                float
            )
    frame = pd.DataFrame(data)
    good, wrong = 0, ""
    for row in range(len(frame)):
        try:
            value = np.asarray(score(frame.iloc[[row]]), np.float64)
            if value.shape != (1,) or not np.isfinite(value).all():
                raise ValueError(f"it gave {value.tolist()} for one request")  # noqa: TRY301
            good += 1
        except Exception as error:  # noqa: BLE001 - whatever a model raises is an answer
            wrong = wrong or said(error)
    return good, wrong


def away(error: "BaseException | None") -> bool:
    """Whether a store of files, or what is needed to reach it, is what failed."""
    while error is not None:
        named = {kind.__name__ for kind in type(error).__mro__}
        code = getattr(error, "response", None) if "ClientError" in named else None
        if isinstance(code, dict) and code.get("Error", {}).get("Code") in {"404", "NoSuchKey"}:
            return False
        if named & {"BotoCoreError", "ClientError", "ModuleNotFoundError"}:
            return True
        error = error.__cause__ or error.__context__
    return False


def said(error: BaseException) -> str:
    """One line."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:300]


def phase(asked: argparse.Namespace, word: str) -> None:
    """Say how far it came: the parent may have to end this."""
    Path(asked.phase).write_text(word, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
