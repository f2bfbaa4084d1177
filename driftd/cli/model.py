"""`driftd model …`: what a CI pipeline calls."""

from typing import Annotated

import typer

from driftd.cli.operate import Api, AsJson, By, ask


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Bring a version of another pipeline in, or promote one by hand.")
    app.add_typer(group, name="model")

    @group.command()
    def canary(
        model: str,
        version: Annotated[str, typer.Option(help="A version in the registry.")],
        api: Api = None,
        by: By = None,
        as_json: AsJson = False,
    ) -> None:
        """Prove a version on live traffic that another pipeline trained and gated."""
        arguments = {"version": version, "gate": "external"}
        ask(model, "canary", arguments, api=api, by=by, as_json=as_json)

    @group.command()
    def promote(model: str, api: Api = None, by: By = None, as_json: AsJson = False) -> None:
        """Promote the version in canary now; the journal says who did it."""
        ask(model, "promote", {}, api=api, by=by, as_json=as_json)
