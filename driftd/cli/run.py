"""`driftd run`: the daemon."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from driftd.cli.options import Level, LogLevel
from driftd.roles import Role


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def run(
        settings: Annotated[Path, typer.Option("--settings", "-s", help="The settings file.")],
        role: Annotated[
            Role,
            typer.Option(
                envvar="DRIFTD_ROLE",
                help="ingest reads events, control decides and acts, all does both; several workers "
                "share one store and one set of topics.",
            ),
        ] = Role.ALL,
        log_level: LogLevel = Level.INFO,
    ) -> None:
        """Run one worker of the daemon, until SIGTERM or Ctrl-C.

        The HTTP API and the watched policies are a part of every worker. A store or a broker that
        is away is waited for: `/ready` and the log say for what. Exit codes: 0 after a clean stop,
        1 a mistake in the settings, 70 where only a fresh process helps (a supervisor restarts it).
        """
        from driftd.settings import load_settings
        from driftd.telemetry import configure_logging
        from driftd.worker import leave, run_daemon

        configure_logging(log_level)
        leave(asyncio.run(run_daemon(load_settings(settings), role)))
