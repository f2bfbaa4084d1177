"""`driftd topics`: the topics that the daemon needs, made and checked."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from driftd.settings import Settings
    from driftd.topics import Wanted
    from driftd.topics_report import Problem, Row

EXIT_WRONG = 1
SettingsFile = Annotated[Path, typer.Option("--settings", "-s", help="The settings file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Partitions = Annotated[
    int | None,
    typer.Option(min=1, help="Of topics of events that are made; default: the broker's."),
]
Replication = Annotated[
    int | None, typer.Option(min=1, help="Copies; default: topics.replication, or the broker's.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be made, make nothing.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        help="The topics that the daemon needs: its own, and those that policies name.",
        no_args_is_help=True,
    )
    group.command()(create)
    group.command()(check)
    app.add_typer(group, name="topics")


def create(
    settings: SettingsFile,
    partitions: Partitions = None,
    replication: Replication = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make the topics that are missing. One that exists is never changed.

    Exit code 1 when one could not be made, or is so that the daemon cannot work with it.
    """
    from dataclasses import replace

    from driftd.topics import TopicAdmin
    from driftd.topics_report import Problem, Row, rows_of

    given, daemons = _wanted(settings, partitions, replication)
    # Whoever makes topics need not be the daemon, so its permissions are not asked for.
    wanted = [replace(one, operations=()) for one in daemons]
    admin = TopicAdmin(given.kafka)
    cluster = admin.look(one.name for one in wanted)
    before = {row.name: row for row in rows_of(given, wanted, cluster)}
    missing = [one for one in wanted if before[one.name].state == "missing"]
    if dry_run:
        refused = dict.fromkeys((one.name for one in missing), "")
    else:
        refused = admin.create(missing)
        cluster = admin.look(one.name for one in wanted)
    rows: list[Row] = []
    for row in rows_of(given, wanted, cluster):
        if row.name in refused and not refused[row.name]:
            # What is wrong with a new topic is told as well: its cluster's defaults may not do.
            problems = () if dry_run else row.problems
            rows.append(replace(row, state="created", problems=problems))
        elif row.name in refused:
            why = Problem(what=f"was not made: {refused[row.name]}", grave=True)
            rows.append(replace(row, state="refused", problems=(why,)))
        else:
            rows.append(row)
    _tell(rows, (), as_json=as_json, created="would create" if dry_run else "created")


def check(settings: SettingsFile, as_json: AsJson = False) -> None:
    """Check the topics: existence, partitions, configuration, and what this user may do.

    Exit code 1 when the daemon cannot work like that; warnings alone are 0.
    """
    from driftd.topics import TopicAdmin
    from driftd.topics_report import cluster_problems, group_problems, rows_of

    given, wanted = _wanted(settings, None, None)
    admin = TopicAdmin(given.kafka)
    cluster = admin.look(one.name for one in wanted)
    groups = admin.refused_groups((given.kafka.control_group, given.kafka.ingest_group))
    general = (*cluster_problems(cluster), *group_problems(given, groups))
    _tell(rows_of(given, wanted, cluster), general, as_json=as_json)


def _wanted(
    path: Path, partitions: int | None, replication: int | None
) -> "tuple[Settings, tuple[Wanted, ...]]":
    from driftd.settings import load_settings
    from driftd.topics import BROKER_DEFAULT, own_topics, source_topics

    given = load_settings(path)
    if replication is not None:
        topics = given.topics.model_copy(update={"replication": replication})
        given = given.model_copy(update={"topics": topics})
    own = own_topics(given)
    taken = {one.name for one in own}
    names = _sources(given) - taken
    return given, own + source_topics(names, given, partitions or BROKER_DEFAULT)


def _sources(settings: "Settings") -> set[str]:
    """The topics of the policies in the store and in the directory; what cannot be read is told."""
    from driftd.control.policies import PolicyBook
    from driftd.errors import DriftdError
    from driftd.ingest.plans import topics_of
    from driftd.store.store import open_store
    from driftd.yamlfile import parse_yaml
    from policies.checker import check as checked

    names: set[str] = set()
    try:
        store = open_store(settings.store)
    except DriftdError as error:
        print(f"the store is left out: {error}", file=sys.stderr)
    else:
        for published in PolicyBook(store).specs().values():
            names |= set(topics_of(published))
        store.close()
    for file in sorted(settings.policies.glob("*.yaml")):
        text = file.read_text(encoding="utf-8", errors="replace")
        spec, mistakes = checked(parse_yaml(text).values, settings.platform())
        if spec is None or mistakes:
            print(f"{file} is left out; see: driftd check {file}", file=sys.stderr)
        else:
            names |= set(topics_of(spec))
    return names


def _tell(
    rows: "list[Row] | tuple[Row, ...]",
    general: "tuple[Problem, ...]",
    *,
    as_json: bool,
    created: str = "created",
) -> None:
    grave = any(one.is_grave for one in rows) or any(one.grave for one in general)
    if as_json:
        told: dict[str, Any] = {
            "good": not grave,
            "topics": [asdict(row) for row in rows],
            "cluster": [asdict(problem) for problem in general],
        }
        print(json.dumps(told, indent=2))
    else:
        _print(rows, general, created)
    if grave:
        raise typer.Exit(EXIT_WRONG)


def _print(
    rows: "list[Row] | tuple[Row, ...]", general: "tuple[Problem, ...]", created: str
) -> None:
    width = max(len(row.name) for row in rows)
    for row in rows:
        state = created if row.state == "created" else row.state
        size = f"partitions: {row.partitions}, copies: {row.replication}" if row.partitions else ""
        print(f"{row.name:{width}}  {row.use:12}  {state:12}  {size}".rstrip())
        _print_problems(row.problems)
    if general:
        print("the brokers")
        _print_problems(general)


def _print_problems(problems: "tuple[Problem, ...]") -> None:
    for problem in problems:
        print(f"  {'wrong' if problem.grave else 'warning'}: {problem.what}")
        if problem.mend:
            print(f"    {problem.mend}")
