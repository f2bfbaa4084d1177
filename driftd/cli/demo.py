"""`driftd demo`: a year of real flights, the whole loop, in a few minutes."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def demo(
        directory: Annotated[Path, typer.Option("--dir", help="Where it keeps its files.")] = Path(
            "demo-run"
        ),
        seed: Annotated[int, typer.Option(help="Moves assignment, model seeds, kill times.")] = 0,
        shuffle_labels: Annotated[
            bool, typer.Option(help="One permutation of the year's labels: nothing to learn.")
        ] = False,
        fault: Annotated[
            bool, typer.Option("--fault/--no-fault", help="The broken challenger and UTC feed.")
        ] = True,
        kill: Annotated[int, typer.Option(help="Kill the daemon -9 so many times.")] = 0,
        as_json: Annotated[bool, typer.Option("--json", help="Last line: the figures.")] = False,
    ) -> None:
        """Replay a year of flights against a real broker, store, registry and server."""
        from driftd.demo.run import DemoOptions, run_demo

        options = DemoOptions(
            directory=directory,
            seed=seed,
            shuffle_labels=shuffle_labels,
            fault=fault,
            kill=kill,
            as_json=as_json,
        )
        raise typer.Exit(run_demo(options))
