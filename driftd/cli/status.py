"""`driftd status [MODEL] [--watch] [--workers]`: what models and workers do, from the daemon's API."""

import json
import time
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def status(
        model: Annotated[str | None, typer.Argument(help="One model; all without it.")] = None,
        watch: Annotated[bool, typer.Option("--watch", help="Until Ctrl-C.")] = False,
        workers: Annotated[
            bool, typer.Option("--workers", help="The workers instead of the models.")
        ] = False,
        api: Annotated[str | None, typer.Option("--api", help="Address of the daemon.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    ) -> None:
        """Show stages, incidents, evidence and the newest decisions; or who is at work."""
        from rich.console import Console
        from rich.live import Live

        if workers and model is not None:
            raise typer.BadParameter("name a model, or ask for --workers")
        if as_json:
            print(json.dumps(_workers(api) if workers else _fetch(model, api)))
            return
        console = Console()
        if not watch:
            console.print(_show(model, api, workers=workers))
            return
        with Live(console=console, refresh_per_second=2) as live:
            try:
                while True:
                    live.update(_look(model, api, workers=workers))
                    time.sleep(1.0)
            except KeyboardInterrupt:
                return


def _look(model: str | None, api: str | None, *, workers: bool) -> Any:
    """The view, or why there is none just now: a daemon that restarts must not end the watch."""
    from driftd.errors import OutsideError

    try:
        return _show(model, api, workers=workers)
    except OutsideError as error:
        return str(error)


def _show(model: str | None, api: str | None, *, workers: bool) -> Any:
    from rich.console import Group
    from rich.text import Text

    from driftd.console.workers import notices_of, workers_table

    if model is not None:
        return _view(_fetch(model, api), full=True)
    at_work = _workers(api)
    shown = workers_table(at_work) if workers else _view(_fetch(None, api), full=False)
    notices = [Text(f"notice: {line}", style="yellow") for line in notices_of(at_work)]
    return Group(shown, *notices)


def _workers(api: str | None) -> list[dict[str, Any]]:
    from driftd.cli.client import call

    found: list[dict[str, Any]] = call("GET", "/api/workers", api=api)
    return found


def _fetch(model: str | None, api: str | None) -> list[dict[str, Any]]:
    from driftd.cli.client import call, model_path

    if model is None:
        found: list[dict[str, Any]] = call("GET", "/api/models", api=api)
        return found
    return [call("GET", model_path(model), api=api)]


def _view(models: list[dict[str, Any]], *, full: bool) -> Any:
    from rich.console import Group

    from driftd.console.terminal import fleet_table, model_panel

    if not models:
        return "No model has a policy yet: driftd apply FILE"
    if full:
        return Group(*(model_panel(one) for one in models))
    return fleet_table(models)
