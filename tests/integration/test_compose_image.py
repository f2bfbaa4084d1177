"""The Dockerfile, as far as it can be checked without an engine: its words, and what they install."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
CODE = ("agents", "detectors", "driftd", "policies")


@dataclass(slots=True)
class Stage:
    """One stage: where it starts from, and its instructions in order."""

    base: str
    lines: list[tuple[str, str]] = field(default_factory=list)

    def said(self, instruction: str) -> list[str]:
        """The arguments of every such instruction."""
        return [rest for name, rest in self.lines if name == instruction]


def stages() -> dict[str, Stage]:
    """The Dockerfile's stages by name."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    found: dict[str, Stage] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        instruction, rest = line.split(maxsplit=1)
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = current = Stage(base)
        elif instruction != "ARG":
            current.lines.append((instruction, rest))
    return found


STAGES = stages()
IMAGES = ("mlflow", "serving", "demo", "daemon")


def test_every_stage_starts_from_the_pinned_base_or_from_another_stage() -> None:
    seen: set[str] = set()
    for name, stage in STAGES.items():
        assert stage.base == "${PYTHON}" or stage.base in seen, name
        seen.add(name)
    [base] = re.findall(r"^ARG PYTHON=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", base)
    # What `docker build .` makes.
    assert list(STAGES)[-1] == "daemon"


def copies() -> Iterator[tuple[str, list[str]]]:
    """For each COPY: the stage it takes from, or an empty name, and the sources."""
    for stage in STAGES.values():
        for rest in stage.said("COPY"):
            words = rest.split()
            origin = words.pop(0).removeprefix("--from=") if words[0].startswith("--") else ""
            yield origin, words[:-1]


def test_whatever_is_copied_is_there_and_goes_to_the_builder() -> None:
    allowed = [
        line.removeprefix("!").rstrip("/")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for origin, sources in copies():
        assert not origin or origin in STAGES
        for source in sources if not origin else ():
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] in allowed, source
    assert [name for name in allowed if not (ROOT / name).exists()] == []
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_has_no_rights_no_compiler_and_takes_signals(name: str) -> None:
    stage = STAGES[name]

    assert stage.base == "base"
    assert stage.said("USER") == ["10001:10001"]
    # The exec form: the program itself is process 1 and gets SIGTERM.
    assert stage.said("ENTRYPOINT")[0].startswith("[")
    assert stage.said("CMD")[0].startswith("[")
    assert len(stage.said("HEALTHCHECK")) == 1
    # Everything is built elsewhere and copied.
    assert stage.said("RUN") == []
    assert not any("apt" in rest or "pip" in rest for rest in STAGES["base"].said("RUN"))


def test_everything_is_installed_with_hashes() -> None:
    installs = [
        part
        for stage in STAGES.values()
        for rest in stage.said("RUN")
        for part in rest.split("&&")
        if "pip install" in part or "uv build" in part
    ]

    assert len(installs) == 9
    for part in installs:
        # Our own wheels come from the stage before and bring nothing with them.
        assert "--require-hashes" in part or "--no-deps /wheels/" in part, part


def locked(name: str) -> dict[str, str]:
    """Package -> version of a lock file."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,-]+\])?==([^ ;]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", ["runtime", "serving", "demo", "mlflow"])
def test_the_images_have_the_versions_that_the_tests_ran_on(name: str) -> None:
    tested = locked("dev")
    found = locked(name)

    assert len(found) > 50
    assert {one for one, version in found.items() if tested.get(one) != version} == set()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Both wheels, built by the Dockerfile's own commands from a copy of what it copies."""
    folder = tmp_path_factory.mktemp("image")
    copied = [source for rest in STAGES["wheels"].said("COPY") for source in rest.split()[:-1]]
    for source in copied:
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(
                ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / source, folder / source)
    for command in " ".join(STAGES["wheels"].said("RUN")).split("&&"):
        words = command.replace("/wheels", str(folder / "wheels")).split()
        run([str(UV), *words[1:]], folder)
    return sorted((folder / "wheels").glob("*.whl"))


def run(command: list[str], folder: Path, **environment: str) -> str:
    """What a command prints; an error with its words where it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheels_hold_the_code_and_all_that_lies_beside_it(wheels: list[Path]) -> None:
    held = {name for wheel in wheels for name in zipfile.ZipFile(wheel).namelist()}
    tracked = run(["git", "ls-files", "-z", *CODE], ROOT).split("\0")
    wanted = {name for name in tracked if name and (ROOT / name).exists()}

    assert len(wheels) == 2
    assert "driftd_recorder/recorder.py" in held
    # Templates, migrations, py.typed and whatever else is not Python must come along.
    assert wanted - held == set()


def test_the_daemon_runs_on_the_locked_packages_and_the_wheels_alone(
    wheels: list[Path], tmp_path: Path
) -> None:
    target = tmp_path / "site"
    install = [str(UV), "pip", "install", "-q", "--python", sys.executable, "--target", str(target)]
    lock = ROOT / "requirements" / "runtime.txt"
    run([*install, "--require-hashes", "-r", str(lock)], tmp_path)
    run([*install, "--no-deps", *map(str, wheels)], tmp_path)

    (tmp_path / "settings.yaml").write_text("store: sqlite:///driftd.db\n")
    # -S: neither this environment's packages nor this checkout.
    start = "from driftd.cli.main import main; import sys; sys.exit(main())"
    driftd = [sys.executable, "-S", "-c", start]
    helped = run([*driftd, "run", "--help"], tmp_path, PYTHONPATH=str(target))
    run([*driftd, "migrate", "--settings", "settings.yaml"], tmp_path, PYTHONPATH=str(target))

    assert "--role" in helped
    # The wheel brought its migrations.
    assert (tmp_path / "driftd.db").stat().st_size > 0
    assert not (target / "sklearn").exists()
