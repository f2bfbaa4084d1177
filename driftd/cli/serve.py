"""`driftd serve`: answers for one model."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from driftd.cli.options import Level, LogLevel

Model = Annotated[str, typer.Argument(help="The model, as its policy names it.")]
SettingsFile = Annotated[Path, typer.Option("--settings", "-s", help="The settings file.")]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="0: any free one.")]
Ready = Annotated[
    Path | None, typer.Option(help='Write {"port": …} here once requests are answered.')
]
RegistryName = Annotated[
    str, typer.Option(help="The registered model, where it is not called MODEL.")
]
Alias = Annotated[str, typer.Option(help="The alias that is served until there is a routing.")]
Predictions = Annotated[str, typer.Option(help="The topic of prediction events.")]
Memory = Annotated[str, typer.Option(help="What one version may use.")]
PassEnv = Annotated[
    list[str] | None,
    typer.Option(help="A further environment variable that models may see; repeatable."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    model: Model,
    settings: SettingsFile,
    host: Host = "127.0.0.1",
    port: Port = 8322,
    ready: Ready = None,
    registry_name: RegistryName = "",
    alias: Alias = "champion",
    predictions: Predictions = "predictions",
    memory: Memory = "4GiB",
    pass_env: PassEnv = None,
    log_level: LogLevel = Level.INFO,
) -> None:
    """Serve MODEL over HTTP: /predict, /health, /metrics.

    Canaries, promotions and roll-backs of the traffic topic take effect without a failed request.
    """
    from driftd.serving.service import ServeOptions, serve_until_signal
    from driftd.settings import load_settings
    from driftd.telemetry import configure_logging
    from policies.units import parse_size

    configure_logging(log_level)
    try:
        memory_bytes = parse_size(memory)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--memory") from error
    options = ServeOptions(
        model=model,
        registry_name=registry_name or model,
        alias=alias,
        predictions=predictions,
        host=host,
        port=port,
        ready=ready,
        memory_bytes=memory_bytes,
        pass_env=tuple(pass_env or ()),
    )
    asyncio.run(serve_until_signal(load_settings(settings), options))
