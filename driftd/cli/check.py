"""`driftd check` and `driftd apply`: what a policy file says, and making it the one in force."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from driftd.yamlfile import Located
    from policies.clashes import Platform
    from policies.traffic import Traffic

EXIT_MISTAKES = 1
EXIT_MOVED = 4
File = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A policy file.")
]
Files = Annotated[
    list[Path] | None,
    typer.Argument(exists=True, dir_okay=False, readable=True, help="Policy files."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings", exists=True, dir_okay=False, help="Check names against these settings too."
    ),
]


def register(app: typer.Typer) -> None:
    """Add both commands."""

    @app.command()
    def check(
        files: Files = None,
        explain: Annotated[
            bool, typer.Option("--explain", help="Every default in force and what follows from it.")
        ] = False,
        as_json: AsJson = False,
        settings: SettingsFile = None,
        events_per_day: Annotated[
            float | None, typer.Option(min=1, help="Traffic, for the length of a canary.")
        ] = None,
        label_delay: Annotated[
            str | None, typer.Option(help="How late labels come as a rule, such as 3h.")
        ] = None,
        schema: Annotated[
            bool, typer.Option("--schema", help="Print the JSON Schema of a policy, for editors.")
        ] = False,
    ) -> None:
        """Check policy files: every mistake with its line. Exit code 1 if there is one."""
        if schema:
            print(_schema_text(), end="")
            return
        if not files:
            raise typer.BadParameter("name a policy file, or ask for --schema", param_hint="FILES")
        platform, sample = _settings(settings)
        traffic = _traffic(events_per_day, label_delay, sample)
        reports = [_Report(path, platform, traffic, explain=explain) for path in files]
        if as_json:
            print(json.dumps({"files": [report.to_dict() for report in reports]}, indent=2))
        else:
            _print(reports)
        if any(report.mistakes for report in reports):
            raise typer.Exit(EXIT_MISTAKES)

    _register_apply(app)


def _register_apply(app: typer.Typer) -> None:
    @app.command()
    def apply(
        file: File,
        by: Annotated[str | None, typer.Option("--by", help="Who; default: login name.")] = None,
        api: Annotated[
            str | None, typer.Option("--api", help="The daemon's address; default: DRIFTD_API.")
        ] = None,
        expect: Annotated[
            int | None,
            typer.Option(
                "--expect-revision",
                min=0,
                help="Only if this revision is in force (0: none); else exit code 4.",
            ),
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Check a policy file and make it the policy in force, whatever is in force now.

        Exit codes: 0 it is in force, 1 the file has mistakes, 3 no daemon answers, 4 another
        revision is in force than --expect-revision says: look at it, then decide.
        """
        from driftd.cli.client import MovedOnError, call, who

        report = _Report(file, None, None, explain=False)
        if report.mistakes:
            _print([report])
            raise typer.Exit(EXIT_MISTAKES)
        body: dict[str, Any] = {"text": report.text, "by": who(by)}
        if expect is not None:
            # Left out where it is not asked: a daemon of the version before does not know it.
            body["expect"] = expect
        try:
            answer = call("POST", "/api/policies", api=api, body=body)
        except MovedOnError as error:
            print(f"driftd: {error}", file=sys.stderr)
            raise typer.Exit(EXIT_MOVED) from error
        if as_json:
            print(json.dumps({"model": report.model, **answer}))
        else:
            print(f"{report.model}: revision {answer['revision']} is in force")
            for notice in report.notices:
                print(f"notice: {notice}")


class _Report:
    """What is to be told of one file."""

    def __init__(
        self, path: Path, platform: "Platform | None", traffic: "Traffic | None", *, explain: bool
    ) -> None:
        from driftd.yamlfile import parse_yaml
        from policies.checker import check_document
        from policies.compile import compile_policy
        from policies.explain import explain_policy
        from policies.notices import notices_of

        self.path = path
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.explanation = None
        self.model = self.mode = ""
        self.notices: tuple[str, ...] = ()
        file = parse_yaml(self.text)
        self.mistakes: tuple[Located, ...] = file.locate(())
        if file.values is None:
            return
        document, found = check_document(file.values, platform)
        if document is not None:
            self.model, self.mode = document.model, document.mode
            spec = compile_policy(document)
            explanation = explain_policy(document, spec, traffic)
            self.notices = notices_of(spec, platform)
            found = explanation.mistakes
            self.explanation = explanation if explain else None
        self.mistakes = file.locate(found)

    def to_dict(self) -> dict[str, Any]:
        """The report for programs."""
        told: dict[str, Any] = {
            "file": str(self.path),
            "model": self.model,
            "good": not self.mistakes,
            "notices": list(self.notices),
            "mistakes": [one.to_dict(str(self.path)) for one in self.mistakes],
        }
        if self.explanation is not None:
            told["explanation"] = self.explanation.to_dict()
        return told


def _print(reports: "list[_Report]") -> None:
    from driftd.cli.explained import print_explanation

    for report in reports:
        for one in report.mistakes:
            print(one.text(str(report.path)))
        if not report.mistakes:
            print(f"{report.path}: good (model {report.model}, mode {report.mode})")
        for notice in report.notices:
            print(f"{report.path}: notice: {notice}")
        if report.explanation is not None:
            print_explanation(report.explanation)
    count = sum(len(report.mistakes) for report in reports)
    if count:
        bad = sum(bool(report.mistakes) for report in reports)
        print(f"{_some(count, 'mistake')} in {_some(bad, 'file')}")


def _some(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _schema_text() -> str:
    from policies.schema import policy_schema

    return json.dumps(policy_schema(), indent=2) + "\n"


def _settings(path: Path | None) -> "tuple[Platform | None, float]":
    """The names that policies may use, and the share of predictions that is joined with labels."""
    from driftd.settings import Settings, load_settings

    if path is None:
        return None, Settings().ingest.sample
    settings = load_settings(path)
    return settings.platform(), settings.ingest.sample


def _traffic(
    events_per_day: float | None, label_delay: str | None, sample: float
) -> "Traffic | None":
    from policies.traffic import Traffic
    from policies.units import parse_duration

    if events_per_day is None:
        if label_delay is not None:
            raise typer.BadParameter("needs --events-per-day", param_hint="--label-delay")
        return None
    try:
        delay_s = None if label_delay is None else parse_duration(label_delay)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--label-delay") from error
    return Traffic(events_per_day=events_per_day, label_delay_s=delay_s, sample=sample)
