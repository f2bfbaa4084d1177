"""`driftd report MODEL`: one page of HTML with the story, the plots and every decision."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def report(
        model: str,
        out: Annotated[Path | None, typer.Option("--out", help="Where to write it.")] = None,
        settings: Annotated[
            Path, typer.Option("--settings", "-s", help="The settings file; names the store.")
        ] = Path("settings.yaml"),
    ) -> None:
        """Write the report of one model, straight from the store: no daemon needs to run."""
        from driftd.console.report import render_report
        from driftd.control.policies import PolicyBook
        from driftd.errors import MistakeError
        from driftd.settings import load_settings
        from driftd.store.store import open_store

        store = open_store(load_settings(settings).store)
        try:
            spec = PolicyBook(store).spec(model)
            if spec is None:
                known = ", ".join(row.model for row in store.policies.all()) or "none"
                raise MistakeError(f"no model {model!r} in this store; known: {known}")
            target = out or Path(f"{model}-report.html")
            page = render_report(store, spec)
            try:
                target.write_bytes(page)
            except OSError as error:
                raise MistakeError(f"--out {target}: cannot be written: {error}") from error
        finally:
            store.close()
        print(target)
