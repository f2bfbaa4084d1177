"""`driftd data replay --policy P`: would this policy have fired on what was recorded?"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftd.cli import at_rest
from driftd.cli.at_rest import EXIT_FOUND, Html, Ignore, Text
from driftd.cli.recorded import (
    EVER,
    NEVER,
    Every,
    Label,
    LabelTime,
    PolicyFile,
    Prediction,
    ProfileFile,
    Score,
    Since,
    Start,
    Time,
    TimeUnit,
    Until,
    Version,
    clock_of,
    roles_of,
    span_of,
)

if TYPE_CHECKING:
    from driftd.data.replay.roles import Roles
    from driftd.data.replay.watching import Replayed
    from policies.specs import ModelSpec

Recorded = Annotated[
    Path | None,
    typer.Argument(exists=True, dir_okay=False, help="Recorded events: Parquet, CSV, JSON lines."),
]
ArchiveAt = Annotated[str | None, typer.Option(help="The archive: a folder or URL.")]
StoreAt = Annotated[str | None, typer.Option(help="A store's URL: replay its panes.")]
Model = Annotated[str | None, typer.Option(help="The model; default: the policy's.")]
ReferenceUntil = Annotated[
    str | None, typer.Option(help="Without --profile: the reference is what came before this time.")
]
Plot = Annotated[Path | None, typer.Option(dir_okay=False, help="A PNG of the timeline.")]
FailAbove = Annotated[
    float | None, typer.Option(min=0, help="End with 1 if incidents in 30 days exceed this.")
]


@dataclass(frozen=True, slots=True)
class _Asked:
    file: Path | None
    archive: str | None
    store: str | None
    profile: Path | None
    reference_until: str | None
    span: tuple[float, float]


def replay(
    policy: PolicyFile,
    file: Recorded = None,
    archive: ArchiveAt = None,
    store: StoreAt = None,
    model: Model = None,
    profile: ProfileFile = None,
    reference_until: ReferenceUntil = None,
    time: Time = None,
    time_unit: TimeUnit = None,
    start: Start = None,
    every: Every = None,
    score: Score = None,
    prediction: Prediction = None,
    label: Label = None,
    label_time: LabelTime = None,
    version: Version = None,
    since: Since = EVER,
    until: Until = NEVER,
    ignore: Ignore = None,
    text: Text = None,
    html: Html = None,
    plot: Plot = None,
    fail_above: FailAbove = None,
    as_json: at_rest.AsJson = False,
) -> None:
    """Try a policy on what was recorded before it goes live: what fires, when, how often.

    The daemon's own watcher reads the record in the order of time. Exit codes: 0 done, 1 more
    incidents than --fail-above, 2 a mistake in what was given, 3 something outside.
    """
    with at_rest.for_ci():
        spec = at_rest.read_policy(policy)
        clock = clock_of(time, time_unit, start, every)
        roles = roles_of(
            model or spec.model, clock, score, prediction, label, label_time, version, ignore, text
        )
        span = span_of(since, until)
        asked = _Asked(file, archive, store, profile, reference_until, span)
        found = _replayed(spec, roles, asked)
        _answer(found, html, plot, as_json=as_json)
    if fail_above is not None and found.per_30d() > fail_above:
        raise typer.Exit(EXIT_FOUND)


def _answer(found: "Replayed", html: Path | None, plot: Path | None, *, as_json: bool) -> None:
    if html is not None:
        from driftd.console.at_rest import replay_page

        at_rest.write_page(html, replay_page(found))
    if plot is not None:
        from driftd.console.replay_plot import replay_png

        at_rest.write_page(plot, replay_png(found), "--plot")
    if as_json:
        at_rest.print_json(_document(found))
    else:
        _tell(found)


def _replayed(spec: "ModelSpec", roles: "Roles", asked: _Asked) -> "Replayed":
    from driftd.data.profile_file import read_profile
    from driftd.data.replay.sources import (
        Span,
        archive_batches,
        column_names,
        file_batches,
        learn_reference,
        replay_rows,
    )
    from driftd.errors import MistakeError

    named = [one for one in (asked.file, asked.archive, asked.store) if one]
    if len(named) != 1:
        raise MistakeError("give one record: a FILE, --archive or --store")
    given = None if asked.profile is None else read_profile(asked.profile)
    if asked.store:
        from driftd.cli.stored_panes import replay_store

        with at_rest.progress(f"replaying the panes of {roles.model}") as bar:
            return replay_store(spec, asked.store, roles.model, given, asked.span, bar)
    span = Span(since=asked.span[0], until=asked.span[1])
    if asked.archive:
        from driftd.data.archive import Archive

        archive = Archive(asked.archive)
        if roles.model not in archive.models():
            known = ", ".join(archive.models()) or "none yet"
            raise MistakeError(f"{archive.url} has no model {roles.model!r}; there is: {known}")
        batches = archive_batches(archive, roles.model, span)
    else:
        batches = file_batches(asked.file or Path(), roles)
    roles = roles.seen_in(column_names(batches))
    skipped = {}
    if given is None:
        upto = asked.reference_until
        end = None if upto is None else at_rest.seconds("--reference-until", upto)
        given, chosen = learn_reference(batches, roles, spec, span, end)
        skipped = dict(chosen.skipped)
    with at_rest.progress("replaying") as bar:
        found = replay_rows(spec, batches, roles, given, span=span, progress=bar)
    found.skipped = skipped
    return found


def _document(found: "Replayed") -> dict[str, Any]:
    import msgspec

    kinds = sorted({one.kind for one in found.incidents.values()})
    return {
        "model": found.model,
        "since": found.since,
        "until": found.until,
        "events": found.events,
        "panes": found.panes,
        "learned": found.learned,
        "relearned": found.relearned,
        "watched_days": found.watched_s / 86_400,
        "incidents": [msgspec.to_builtins(one) for one in found.incidents.values()],
        "incidents_per_30d": found.per_30d(),
        "per_30d": {kind: found.per_30d(kind) for kind in kinds},
        "firings": [msgspec.to_builtins(one) for one in found.firings],
        "panes_needed": found.panes_needed,
        "skipped": dict(found.skipped),
    }


def _tell(found: "Replayed") -> None:
    when = at_rest.when
    days = (found.until - found.since) / 86_400
    print(
        f"{found.model}: {found.events:,} events, {when(found.since)} to {when(found.until)} ({days:.1f} days)"
    )
    for name, why in found.skipped.items():
        print(f"  {name}: not watched, {why}")
    if found.learned is None:
        print(found.why_not_learned())
    else:
        learned = (found.learned - found.since) / 86_400
        print(
            f"learned what is normal until {when(found.learned)} ({learned:.1f} days), then watched {found.watched_s / 86_400:.1f} days"
        )
        print(_decisions(found))
    if found.incidents:
        at_rest.print_table(
            ("kind", "severity", "onset", "opened", "ended", "what happened"),
            [
                [
                    one.kind.replace("_", " "),
                    one.severity,
                    when(one.onset),
                    when(one.opened),
                    when(one.closed) if one.closed else one.state,
                    one.summary,
                ]
                for one in found.incidents.values()
            ],
        )
    else:
        print("no incident")
    if found.firings:
        at_rest.print_table(
            ("rule", "stream", "from", "to"),
            [
                [one.rule, one.stream, when(one.start), when(one.end) if one.end else "still"]
                for one in found.firings
            ],
        )
    print(f"{len(found.incidents)} incidents, {found.per_30d():.2g} in 30 days")


def _decisions(found: "Replayed") -> str:
    """How long a decision takes on the slowest streams."""
    from policies.units import duration_text

    needed = sorted(found.panes_needed.items(), key=lambda one: (-one[1], one[0]))
    told = [f"{name} {duration_text(panes * found.pane_s)}" for name, panes in needed[:6]]
    more = f" and no longer on {len(needed) - 6} more" if len(needed) > 6 else ""
    return f"a decision takes {', '.join(told)}{more}"
