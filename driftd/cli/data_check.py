"""`driftd data check DATA`: is a table fit to be trained on?"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftd.cli import at_rest
from driftd.cli.at_rest import EXIT_FOUND, Html, Ignore, Label, Table, Text, Time

if TYPE_CHECKING:
    from detectors.profile import Profile
    from driftd.data.check.table import Checked
    from driftd.data.profile import Columns

Against = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="A profile or a table that it should be like."),
]
SchemaFile = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="A pandera schema as YAML.")
]
Test = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="The test table: nothing of it may stand here."),
]
Key = Annotated[str | None, typer.Option(help="The column that names a row; default id.")]
Subject = Annotated[
    str | None, typer.Option(help="The column of whom a row is about; default subject.")
]


def check(
    file: Table,
    against: Against = None,
    schema: SchemaFile = None,
    label: Label = None,
    test: Test = None,
    id: Key = None,  # noqa: A002 - the option's name
    subject: Subject = None,
    time: Time = None,
    ignore: Ignore = None,
    text: Text = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with 1 for warnings as well.")
    ] = False,
    html: Html = None,
    as_json: at_rest.AsJson = False,
) -> None:
    """Check a table: schema, duplicates, constant columns, label leaks, leaks into a test.

    Findings name rows by number and never show a value. Exit codes: 0 nothing is wrong, 1 an error
    was found, 2 a mistake in what was given, 3 something outside.
    """
    from driftd.data.profile import RESERVED, Columns

    with at_rest.for_ci():
        _require_pandera()
        from driftd.data.check.split import Keys
        from driftd.data.check.table import Asked, check_table

        columns = Columns(
            label=label,
            time=time,
            ignore=RESERVED | frozenset([*(ignore or ()), *(n for n in (id, subject) if n)]),
            text=frozenset(text or ()),
        )
        asked = Asked(
            columns=columns,
            keys=Keys(id=id, subject=subject, time=time),
            against=None if against is None else _reference(against, columns),
            schema=schema,
            test=test,
        )
        with at_rest.progress(f"checking {file.name}") as bar:
            found = check_table(file, asked, bar)
        _answer(file, found, html, strict=strict, as_json=as_json)
    if _bad(found, strict=strict):
        raise typer.Exit(EXIT_FOUND)


def _answer(
    file: Path, found: "Checked", html: Path | None, *, strict: bool, as_json: bool
) -> None:
    if html is not None:
        from driftd.console.at_rest import check_page

        at_rest.write_page(html, check_page(file.name, found))
    if as_json:
        findings = [asdict(one) for one in found.findings]
        at_rest.print_json(
            {"good": not _bad(found, strict=strict), "rows": found.rows, "findings": findings}
        )
    else:
        _tell(file, found)


def _require_pandera() -> None:
    """Raise ``MistakeError`` where the extra is not installed."""
    from importlib.util import find_spec

    from driftd.errors import MistakeError

    missing = [name for name in ("pandas", "pandera") if find_spec(name) is None]
    if missing:
        raise MistakeError(f"{' and '.join(missing)} not installed; pip install 'driftd[check]'")


def _bad(found: "Checked", *, strict: bool) -> bool:
    worst = {"error", "warning"} if strict else {"error"}
    return any(one.severity in worst for one in found.findings)


def _reference(path: Path, columns: "Columns") -> "Profile":
    from dataclasses import replace

    from driftd.data.profile_file import profile_file, read_profile
    from driftd.data.tables import is_table

    if not is_table(path):
        return read_profile(path)
    # A reference may have no labels and no times: they are no features, and that is all.
    own = {name for name in (columns.label, columns.time) if name}
    features = replace(columns, label=None, time=None, ignore=columns.ignore | own)
    with at_rest.progress(f"reading {path.name}") as bar:
        return profile_file(path, features, progress=bar).profile


def _tell(file: Path, found: "Checked") -> None:
    print(f"{file.name}: {found.rows:,} rows")
    if not found.findings:
        print("nothing is wrong")
        return
    rows = []
    for one in found.findings:
        numbers = ", ".join(map(str, one.examples))
        where = (
            f" (rows {numbers}{', …' if one.count > len(one.examples) else ''})" if numbers else ""
        )
        rows.append([one.severity, one.check, one.column, one.says + where, one.todo])
    at_rest.print_table(("", "check", "column", "what", "what to do"), rows)
    counts = [
        f"{n} {name}{'' if n == 1 else 's'}"
        for name in ("error", "warning")
        if (n := sum(one.severity == name for one in found.findings))
    ]
    print(", ".join(counts) or "nothing is wrong")
