"""`driftd migrate`: the store's schema, made or brought to this version."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from driftd.store.migrate import Standing

EXIT_DUE = 1


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def migrate(
        settings: Annotated[Path, typer.Option("--settings", "-s", help="The settings file.")],
        check: Annotated[
            bool,
            typer.Option("--check", help="Change nothing; exit code 1 when a migration is due."),
        ] = False,
    ) -> None:
        """Bring the store to this version's schema; `driftd run` does the same when it starts.

        A schema only grows: workers of the version before may run on beside.
        """
        from driftd.settings import load_settings
        from driftd.store import migrate as schema

        url = load_settings(settings).store
        if check:
            found = schema.look(url)
            print(_told(found, found))
            if found.state == "behind":
                raise typer.Exit(EXIT_DUE)
            return
        print(_told(*schema.upgrade(url)))


def _told(before: "Standing", after: "Standing") -> str:
    was = f"at {before.revision}" if before.revision else "empty"
    if after.state == "behind":
        return f"the store is {was}, this version needs {after.needed}; run: driftd migrate"
    if after.state == "ahead":
        return (
            f"the store is {was}, where a later version of driftd left it; this one needs "
            f"{after.needed} and runs on it: nothing to do"
        )
    if before.state == "behind":
        return f"the store was {was} and is at {after.revision} now"
    return f"the store is {was}, as this version needs it: nothing to do"
