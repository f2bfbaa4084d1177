"""Runs `driftd data …` in this process."""

import json
from typing import Any

import typer
from typer.testing import CliRunner

from driftd.cli import data as cli


def run_data(*words: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    app = typer.Typer()
    cli.register(app)
    result = CliRunner().invoke(app, ["data", *map(str, words)], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def run_json(*words: object, code: int = 0) -> dict[str, Any]:
    """The JSON document that a command printed; it must end with ``code``."""
    found, out, err = run_data(*words, "--json")
    assert found == code, out + err
    document: dict[str, Any] = json.loads(out)
    return document
