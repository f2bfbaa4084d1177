"""What the commands on data at rest share: options, exit codes for CI, progress, answers."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftd.errors import MistakeError

if TYPE_CHECKING:
    from policies.specs import ModelSpec

EXIT_FOUND, EXIT_USAGE = 1, 2

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Table = Annotated[
    Path,
    typer.Argument(
        exists=True,
        dir_okay=False,
        readable=True,
        help="A .parquet, .csv, .tsv, .jsonl or .ndjson file.",
    ),
]
Label = Annotated[str | None, typer.Option(help="The column of true labels.")]
Score = Annotated[str | None, typer.Option(help="The column of its probabilities.")]
Time = Annotated[str | None, typer.Option(help="The column of event times.")]
Ignore = Annotated[
    list[str] | None, typer.Option(help="A column that is no feature; may be repeated.")
]
Text = Annotated[list[str] | None, typer.Option(help="A column of names that look like numbers.")]
Positive = Annotated[str | None, typer.Option(help="The positive label; default 1.")]
Html = Annotated[
    Path | None, typer.Option("--html", dir_okay=False, help="Write a page with plots there too.")
]
Policy = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="A policy file.")]


@contextmanager
def for_ci() -> Iterator[None]:
    """A mistake in what was given ends with 2, so that 1 can only mean that something was found."""
    try:
        yield
    except MistakeError as error:
        print(f"driftd: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_USAGE) from error


@contextmanager
def progress(what: str) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal that hears the share that is done, 0..1."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(transient=True, disable=not console.is_terminal, console=console) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda done: bar.update(task, completed=done)


def write_page(path: Path, page: bytes, option: str = "--html") -> None:
    """Write what an option asked for."""
    try:
        path.write_bytes(page)
    except OSError as error:
        raise MistakeError(f"{option} {path}: cannot be written: {error}") from error


def seconds(option: str, text: str) -> float:
    """Seconds since 1970 of a date, a moment (UTC where it says no zone) or seconds."""
    from datetime import UTC, datetime

    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MistakeError(
            f"{option} {text}: write a date (2013-01-31), a moment (2013-01-31T06:00) or seconds"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def duration(option: str, text: str) -> float:
    """Seconds of a span above nothing."""
    from policies.units import parse_duration

    try:
        span = parse_duration(text)
    except ValueError as error:
        raise MistakeError(f"{option}: {error}") from error
    if span <= 0:
        raise MistakeError(f"{option} {text}: must be longer than nothing")
    return span


def when(ts: float | None) -> str:
    """A moment of event time, to the minute."""
    from datetime import UTC, datetime

    return "" if ts is None else datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d %H:%M")


def print_json(found: Any) -> None:
    """JSON that every reader takes: what is not finite is null."""
    print(json.dumps(plain(found), ensure_ascii=False))


def plain(value: Any) -> Any:
    """``value`` with null in place of what is not finite."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table as wide as the terminal; columns that begin with ``#`` stand to the right."""
    from rich.console import Console
    from rich.table import Table as RichTable

    table = RichTable(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(
            name.removeprefix("#"), justify="right" if name.startswith("#") else "left"
        )
    for row in rows:
        table.add_row(*row)
    # Away from a terminal nothing is folded: lines are read by other programs.
    Console(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False).print(table)


def read_policy(path: Path) -> "ModelSpec":
    """The policy in a file. Raises ``MistakeError`` with every mistake and its line."""
    from driftd.yamlfile import parse_yaml
    from policies.checker import check

    file = parse_yaml(path.read_text(encoding="utf-8", errors="replace"))
    spec, mistakes = check(file.values) if file.values is not None else (None, ())
    located = file.locate(mistakes)
    if located or spec is None:
        told = "\n".join(one.text(str(path)) for one in located)
        raise MistakeError(f"--policy {path} has mistakes:\n{told}")
    return spec
