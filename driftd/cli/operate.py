"""What people ask of a running daemon: retrain, roll back, approve, pause, accept, …"""

import json
from typing import Annotated, Any

import typer

Api = Annotated[str | None, typer.Option("--api", help="Address of the daemon.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
By = Annotated[str | None, typer.Option("--by", help="Who asks; default: the login name.")]


def ask(
    model: str,
    verb: str,
    arguments: dict[str, Any],
    *,
    api: str | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Put one wish into the daemon's inbox and say what was accepted."""
    from driftd.cli.client import call, model_path, who

    body = {"by": who(by), "arguments": arguments}
    answer = call("POST", model_path(model, verb), api=api, body=body)
    if as_json:
        print(json.dumps(answer))
    else:
        print(
            f"{verb.replace('_', ' ')} of {model} is in the inbox; `driftd status {model}` shows what follows"
        )


def moment(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 time, or of a span from now such as ``7d``."""
    from datetime import datetime

    from driftd.clock import wall_now
    from policies.units import parse_duration

    try:
        return wall_now() + parse_duration(text)
    except ValueError:
        pass
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a span such as 7d nor a time such as 2026-01-31T12:00:00Z"
        ) from None
    if told.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no time zone; add Z or +02:00")
    return told.timestamp()


def register(app: typer.Typer) -> None:
    """Add the operators' verbs."""

    @app.command()
    def retrain(
        model: str,
        ref: Annotated[str, typer.Option(help="Why, e.g. a commit.")] = "",
        api: Api = None,
        by: By = None,
        as_json: AsJson = False,
    ) -> None:
        """Train a challenger now, whatever the triggers say."""
        ask(model, "retrain", {"ref": ref}, api=api, by=by, as_json=as_json)

    @app.command()
    def rollback(
        model: str,
        why: Annotated[str, typer.Option(help="For the journal.")] = "",
        api: Api = None,
        by: By = None,
        as_json: AsJson = False,
    ) -> None:
        """Take the challenger (or the new champion) out of traffic at once."""
        ask(model, "rollback", {"why": why}, api=api, by=by, as_json=as_json)

    @app.command()
    def approve(model: str, api: Api = None, by: By = None, as_json: AsJson = False) -> None:
        """Let the proven challenger become champion."""
        ask(model, "approve", {}, api=api, by=by, as_json=as_json)

    @app.command()
    def refuse(model: str, api: Api = None, by: By = None, as_json: AsJson = False) -> None:
        """Send the proven challenger back; traffic returns to the champion."""
        ask(model, "refuse", {}, api=api, by=by, as_json=as_json)

    _register_pauses(app)
    _register_answers(app)


def _register_pauses(app: typer.Typer) -> None:
    everything = Annotated[bool, typer.Option("--all", help="Every model of the fleet.")]

    def switch(
        verb: str, model: str | None, everyone: bool, api: str | None, by: str | None, as_json: bool
    ) -> None:
        from driftd.cli.client import call, who

        if everyone == (model is not None):
            raise typer.BadParameter("name one model, or say --all")
        if model is not None:
            ask(model, verb, {}, api=api, by=by, as_json=as_json)
            return
        answer = call("POST", f"/api/{verb}-all", api=api, body={"by": who(by)})
        print(json.dumps(answer) if as_json else f"{verb}d: every model")

    @app.command()
    def pause(
        model: Annotated[str | None, typer.Argument()] = None,
        everyone: everything = False,
        api: Api = None,
        by: By = None,
        as_json: AsJson = False,
    ) -> None:
        """Start nothing new; only a way back still runs."""
        switch("pause", model, everyone, api, by, as_json)

    @app.command()
    def resume(
        model: Annotated[str | None, typer.Argument()] = None,
        everyone: everything = False,
        api: Api = None,
        by: By = None,
        as_json: AsJson = False,
    ) -> None:
        """Undo a pause."""
        switch("resume", model, everyone, api, by, as_json)


def _register_answers(app: typer.Typer) -> None:
    @app.command()
    def accept(
        model: str, incident: str, api: Api = None, by: By = None, as_json: AsJson = False
    ) -> None:
        """Say that an incident is the new normal, from its onset on."""
        ask(model, "accept", {"incident_id": incident}, api=api, by=by, as_json=as_json)

    @app.command()
    def ignore(
        model: str,
        stream: str,
        until: Annotated[str, typer.Option(help="RFC 3339 time or a span such as 7d.")],
        api: Api = None,
        by: By = None,
        as_json: AsJson = False,
    ) -> None:
        """Let one stream alarm nobody for a while."""
        arguments = {"stream": stream, "until": moment(until)}
        ask(model, "ignore", arguments, api=api, by=by, as_json=as_json)

    @app.command("false-alarm")
    def false_alarm(
        model: str, incident: str, api: Api = None, by: By = None, as_json: AsJson = False
    ) -> None:
        """Say that an incident was none; this measures the precision of the alarms."""
        ask(model, "false_alarm", {"incident_id": incident}, api=api, by=by, as_json=as_json)
