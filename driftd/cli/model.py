"""`driftd model …`: what a CI pipeline calls."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftd.cli.operate import Api, AsJson, By, ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driftd.clients.runs import Run

SettingsFile = Annotated[
    Path, typer.Option("--settings", "-s", exists=True, dir_okay=False, help="The settings file.")
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Bring a version of another pipeline in, or promote one by hand.")
    app.add_typer(group, name="model")

    @group.command()
    def canary(
        model: str,
        version: Annotated[str, typer.Option(help="A version in the registry.")],
        wait: Annotated[
            str, typer.Option(help="Follow it for such a span (5m) until it begins or is refused.")
        ] = "",
        api: Api = None,
        by: By = None,
        as_json: AsJson = False,
    ) -> None:
        """Prove a version on live traffic that another pipeline trained and gated.

        A version that cannot serve is refused before a request reaches it; the journal says why.
        """
        from driftd.cli import waiting
        from policies.units import parse_duration

        try:
            wait_s = parse_duration(wait) if wait else 0.0
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--wait") from error
        since = waiting.newest(model, api) if wait_s else 0
        arguments = {"version": version, "gate": "external"}
        ask(model, "canary", arguments, api=api, by=by, as_json=as_json)
        if wait_s:
            waiting.until_begun(model, version, since, api=api, wait_s=wait_s)

    @group.command()
    def promote(model: str, api: Api = None, by: By = None, as_json: AsJson = False) -> None:
        """Promote the version in canary now; the journal says who did it."""
        ask(model, "promote", {}, api=api, by=by, as_json=as_json)

    runs = typer.Typer(help="The runs of a registered model's trainings.", no_args_is_help=True)
    group.add_typer(runs, name="runs")
    runs.callback()(_group)
    runs.command("archive")(archive)


def archive(
    name: Annotated[str, typer.Argument(help="The registered model.")],
    settings: SettingsFile,
    keep: Annotated[int, typer.Option(min=1, help="How many of the newest stay.")] = 10,
    undo: Annotated[bool, typer.Option("--undo", help="Bring all back instead.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; else it is only shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put old training runs away by the tag driftd.archived; nothing is deleted.

    Runs of versions that an alias names are never touched.
    """
    from datetime import UTC, datetime

    from driftd.clients.registry import open_registry
    from driftd.clients.runs import Runs
    from driftd.clock import wall_now
    from driftd.settings import load_settings

    runs = Runs(open_registry(load_settings(settings).mlflow), name)
    found = runs.old(keep)
    if undo:
        chosen = [run for run in found if run.archived]
    else:
        chosen = [run for run in found if not run.kept and not run.archived]
    if yes and undo:
        runs.restore(chosen)
    elif yes:
        now = datetime.fromtimestamp(wall_now(), UTC)
        runs.archive(chosen, now.isoformat(timespec="seconds"))
    _tell_runs(found, chosen, done=yes, undo=undo, as_json=as_json)


def _group() -> None:
    """The runs of a registered model's trainings."""  # a group of one command would be that command


def _tell_runs(
    found: "Sequence[Run]", chosen: "Sequence[Run]", *, done: bool, undo: bool, as_json: bool
) -> None:
    import json
    from dataclasses import asdict

    verb = "restore" if undo else "archive"
    names = {run.run_id for run in chosen}
    fates = {r.run_id: verb if r.run_id in names else r.kept or "archived before" for r in found}
    if as_json:
        told = [{**asdict(run), "fate": fates[run.run_id]} for run in found]
        print(json.dumps({"done": done, "count": len(chosen), "runs": told}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("run", "name", "version", "what happens")
    for run in found:
        table.add_row(run.run_id, run.name, run.version or "-", fates[run.run_id])
    Console().print(table)
    past = "restored" if undo else "archived"
    print(f"{len(chosen)} {past}" if done else f"{len(chosen)} to {verb}; --yes does it")
