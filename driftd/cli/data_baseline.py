"""`driftd data baseline`: what is normal, learned from recorded history instead of a burn-in."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftd.cli import at_rest
from driftd.cli.at_rest import Ignore, Text
from driftd.cli.recorded import (
    EVER,
    NEVER,
    Every,
    PolicyFile,
    Prediction,
    ProfileFile,
    Score,
    Since,
    Start,
    Time,
    TimeUnit,
    Until,
    clock_of,
    roles_of,
    span_of,
)
from driftd.errors import MistakeError

if TYPE_CHECKING:
    from driftd.data.replay.history import History
    from driftd.data.replay.roles import Roles
    from policies.specs import ModelSpec


Recorded = Annotated[
    Path,
    typer.Argument(exists=True, dir_okay=False, help="Recorded events, or a baseline made before."),
]
Out = Annotated[Path | None, typer.Option(help="Where the baseline goes.")]
StoreAt = Annotated[
    str | None, typer.Option(help="Hand it to the model in this store, which has none yet.")
]
By = Annotated[str | None, typer.Option("--by", help="Who; default: login name.")]


def baseline(
    file: Recorded,
    policy: PolicyFile,
    profile: ProfileFile = None,
    out: Out = None,
    store: StoreAt = None,
    time: Time = None,
    time_unit: TimeUnit = None,
    start: Start = None,
    every: Every = None,
    score: Score = None,
    prediction: Prediction = None,
    since: Since = EVER,
    until: Until = NEVER,
    ignore: Ignore = None,
    text: Text = None,
    by: By = None,
    as_json: at_rest.AsJson = False,
) -> None:
    """Learn what is normal from history, so that a model is watched from its first pane on.

    It takes the newest panes of the record, as many as a burn-in of the daemon would. With --store
    the daemon finds it at its next step; a model that has learned its own baseline is left alone.
    """
    from driftd.cli.client import who

    if out is None and store is None:
        raise MistakeError("say where it goes: --out FILE, --store URL, or both")
    spec = at_rest.read_policy(policy)
    clock = clock_of(time, time_unit, start, every)
    roles = roles_of(spec.model, clock, score, prediction, None, None, None, ignore, text)
    history = _history(file, spec, roles, profile, span_of(since, until))
    if out is not None:
        at_rest.write_page(out, history.to_bytes(), "--out")
    if store is not None:
        _hand_over(store, spec, history, who(by))
    _tell(history, out, store, as_json=as_json)


def _history(
    file: Path, spec: "ModelSpec", roles: "Roles", profile: Path | None, span: tuple[float, float]
) -> "History":
    from driftd.data.profile_file import read_profile
    from driftd.data.replay.history import History, learn_history
    from driftd.data.replay.sources import Span, column_names, file_batches
    from driftd.data.tables import is_table

    if not is_table(file):
        try:
            return History.from_bytes(file.read_bytes())
        except ValueError as error:
            raise MistakeError(f"{file}: {error}") from error
    if profile is None:
        raise MistakeError(
            "--profile must name the profile of the version that serves: a baseline is counted in its "
            "cells; make one with: driftd data profile"
        )
    batches = file_batches(file, roles)
    roles = roles.seen_in(column_names(batches))
    with at_rest.progress(f"learning from {file.name}") as bar:
        return learn_history(
            spec,
            batches,
            roles,
            read_profile(profile),
            span=Span(since=span[0], until=span[1]),
            progress=bar,
        )


def _hand_over(url: str, spec: "ModelSpec", history: "History", by: str) -> None:
    from driftd.control.imported import import_baseline
    from driftd.store.store import open_store

    store = open_store(url)
    try:
        import_baseline(store, spec, history, by)
    finally:
        store.close()


def _tell(history: "History", out: Path | None, store: str | None, *, as_json: bool) -> None:
    fitted = history.fitted
    if as_json:
        at_rest.print_json(
            {
                "model": history.model,
                "since": fitted.since,
                "until": fitted.until,
                "slots": fitted.slots,
                "streams": list(fitted.streams),
                "handed_over": store is not None,
            }
        )
        return
    days = (fitted.until - fitted.since) / 86_400
    print(
        f"{history.model}: {len(fitted.streams)} streams over {fitted.slots} slots of the week, from "
        f"{days:.1f} days until {at_rest.when(fitted.until)}"
    )
    if out is not None:
        print(f"written to {out}")
    if store is not None:
        print("handed over: the next pane is judged by it")
