"""Rules of the house that a tool can check: lengths, empty packages, sorted shelves, wheel names."""

import ast
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from setuptools import find_packages

from detectors.catalog import DISTANCES
from driftd.cli import fence
from driftd.routers.catalog import ROUTERS
from driftd.trainers.catalog import TRAINERS

ROOT = Path(__file__).parents[1]
FLOORS = ("detectors", "policies", "agents", "driftd", "recorder")
FILE_LINES_MAX, FUNCTION_LINES_MAX, MEDIAN_LINES_MAX = 300, 50, 120


def sources() -> list[Path]:
    """Every Python file of the product, migrations apart: they are history."""
    found = [path for floor in FLOORS for path in (ROOT / floor).rglob("*.py")]
    return sorted(path for path in found if "versions" not in path.parts)


def name(path: Path) -> str:
    """A path as people write it."""
    return str(path.relative_to(ROOT))


def test_no_file_is_longer_than_300_lines() -> None:
    long = {
        name(p): n for p in sources() if (n := len(p.read_text().splitlines())) > FILE_LINES_MAX
    }

    assert long == {}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function with its lines, decorators and docstring left out."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            first = node.body[0]
            docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            inner = sum(
                (child.end_lineno or child.lineno) - child.lineno + 1
                for child in node.body
                if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            )
            skipped = (first.end_lineno or first.lineno) - first.lineno + 1 if docstring else 0
            yield node.name, node.end_lineno - node.lineno + 1 - skipped - inner


def test_no_function_is_longer_than_50_lines() -> None:
    long = {
        f"{name(path)}:{function}": lines
        for path in sources()
        for function, lines in functions(path)
        if lines > FUNCTION_LINES_MAX
    }

    assert long == {}


def test_half_of_the_files_are_short() -> None:
    lengths = sorted(len(p.read_text().splitlines()) for p in sources() if p.name != "__init__.py")

    assert lengths[len(lengths) // 2] <= MEDIAN_LINES_MAX


def test_packages_say_nothing_in_their_init() -> None:
    full = [name(p) for p in sources() if p.name == "__init__.py" and p.read_text().strip()]

    assert [path for path in full if not path.startswith("recorder/")] == []


def test_every_module_opens_with_a_sentence() -> None:
    silent = [
        name(path)
        for path in sources()
        if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert silent == []


def test_tests_are_no_package() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]

    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    "shelf", [DISTANCES, ROUTERS, TRAINERS], ids=["distances", "routers", "trainers"]
)
def test_shelves_are_sorted(shelf: Mapping[str, object]) -> None:
    assert list(shelf) == sorted(shelf)


def test_the_wheel_holds_exactly_the_four_floors() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    include = project["tool"]["setuptools"]["packages"]["find"]["include"]
    top = {package.split(".")[0] for package in find_packages(str(ROOT), include=include)}

    assert top == {"agents", "detectors", "driftd", "policies"}
    assert "Private :: Do Not Upload" in project["project"]["classifiers"]


def test_names_that_mlflow_would_import_are_not_ours() -> None:
    assert not (ROOT / "agents" / "run.py").exists()
    assert not (ROOT / "agents" / "tracing.py").exists()


def test_a_foreign_owner_of_a_name_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    owners = {"agents": ["openai-agents"], "driftd": ["driftd"]}
    monkeypatch.setattr(fence, "packages_distributions", lambda: owners)

    assert "openai-agents" in fence.foreign_owners()
    assert "pip uninstall openai-agents" in fence.foreign_owners()


def test_nobody_else_owns_our_names_here() -> None:
    assert fence.foreign_owners() == ""


def test_nothing_committed_names_this_machine_or_a_registry() -> None:
    # What is written here in two parts would otherwise be found in this very file.
    needles = ("/wo" + "rk/", "/ro" + "ot/", "pypi" + ".org", "registry.npmjs" + ".org")
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    found = [
        (file, needle)
        for file in files
        if file and (ROOT / file).is_file()
        for needle in needles
        if needle.encode() in (ROOT / file).read_bytes()
    ]

    assert found == []
