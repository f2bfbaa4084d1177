"""The options of commands that read recorded events, and what they make of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftd.cli import at_rest
from driftd.errors import MistakeError

if TYPE_CHECKING:
    from driftd.data.replay.roles import Clock, Roles

PolicyFile = Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The policy file.")]
ProfileFile = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="The profile of the version that serves."),
]
Time = Annotated[str | None, typer.Option(help="The column of event times; default ts.")]
TimeUnit = Annotated[str | None, typer.Option(help="A unit of --time, such as 1ms or 1d.")]
Start = Annotated[str | None, typer.Option(help="The time of 0, or of the first row.")]
Every = Annotated[str | None, typer.Option(help="No times: a row every so long, such as 30m.")]
Score = Annotated[str | None, typer.Option(help="The column of the model's probabilities.")]
Prediction = Annotated[str | None, typer.Option(help="The column of what it answered.")]
Label = Annotated[str | None, typer.Option(help="The column of what turned out to be true.")]
LabelTime = Annotated[str | None, typer.Option(help="When the label was known; default at once.")]
Version = Annotated[str | None, typer.Option(help="The column of the version that answered.")]
Since = Annotated[str, typer.Option(help="First event time: 2013-01-01.", show_default=False)]
Until = Annotated[str, typer.Option(help="End, not included.", show_default=False)]
EVER, NEVER = "-9e99", "9e99"


def clock_of(time: str | None, unit: str | None, start: str | None, every: str | None) -> "Clock":
    """When rows happened, as the options say. Raises ``MistakeError`` where they contradict."""
    from driftd.data.replay.roles import Clock

    if every is not None and (time or unit):
        raise MistakeError(
            "--every says the time of each row: it goes without --time and --time-unit"
        )
    if start is not None and not (every or unit):
        raise MistakeError("--start goes with --every or --time-unit")
    return Clock(
        time=time,
        unit_s=None if unit is None else at_rest.duration("--time-unit", unit),
        every_s=None if every is None else at_rest.duration("--every", every),
        start_s=0.0 if start is None else at_rest.seconds("--start", start),
    )


def roles_of(
    model: str,
    clock: "Clock",
    score: str | None,
    prediction: str | None,
    label: str | None,
    label_time: str | None,
    version: str | None,
    ignore: list[str] | None,
    text: list[str] | None,
) -> "Roles":
    """Which columns are what."""
    from driftd.data.replay.roles import Roles

    return Roles(
        clock=clock,
        score=score,
        prediction=prediction,
        label=label,
        label_time=label_time,
        version=version,
        model=model,
        ignore=frozenset(ignore or ()),
        text=frozenset(text or ()),
    )


def span_of(since: str, until: str) -> tuple[float, float]:
    """[since, until) in seconds."""
    return at_rest.seconds("--since", since), at_rest.seconds("--until", until)
