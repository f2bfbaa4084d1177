"""`driftd run`: the daemon."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from driftd.cli.options import Level, LogLevel


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def run(
        settings: Annotated[Path, typer.Option("--settings", "-s", help="The settings file.")],
        log_level: LogLevel = Level.INFO,
    ) -> None:
        """Run the daemon: ingest, control, alerts and the HTTP API in one process."""
        from driftd.settings import load_settings
        from driftd.telemetry import configure_logging
        from driftd.worker import run_daemon

        configure_logging(log_level)
        raise typer.Exit(asyncio.run(run_daemon(load_settings(settings))))
