"""`driftd migrate`: the store's schema, made or brought to this version."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def migrate(
        settings: Annotated[Path, typer.Option("--settings", "-s", help="The settings file.")],
    ) -> None:
        """Bring the store to this version's schema; `driftd run` does the same when it starts.

        A schema only grows: workers of the version before may run on beside.
        """
        from driftd.settings import load_settings
        from driftd.store import migrate as schema

        print(f"the store stands at {schema.migrate(load_settings(settings).store)}")
