"""`driftd data compare REF CUR`: has a table drifted from its reference?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftd.cli import at_rest
from driftd.cli.at_rest import EXIT_FOUND, Html, Ignore, Label, Policy, Positive, Score, Text
from driftd.errors import MistakeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detectors.profile import Profile
    from driftd.data.compare import StreamCompared
    from driftd.data.profile import Columns
    from driftd.data.tolerances import Tolerances

Reference = Annotated[
    Path,
    typer.Argument(
        exists=True,
        dir_okay=False,
        readable=True,
        help="A profile of `driftd data profile`, or a table.",
    ),
]
Current = Annotated[
    Path,
    typer.Argument(
        exists=True,
        dir_okay=False,
        readable=True,
        help="A table, or a profile made with --layouts REF (so texts are compared, see --encode).",
    ),
]


def compare(
    ref: Reference,
    cur: Current,
    tolerate: Annotated[
        list[str] | None,
        typer.Option(help="Such as ks=0.1,psi=0.1,missing=5%,unseen=1%; may be repeated."),
    ] = None,
    policy: Policy = None,
    label: Label = None,
    score: Score = None,
    ignore: Ignore = None,
    text: Text = None,
    positive: Positive = None,
    negative: Annotated[str, typer.Option(help="The negative label.")] = "0",
    html: Html = None,
    as_json: at_rest.AsJson = False,
) -> None:
    """Compare a table or its profile with a profile or another table, stream by stream.

    Effects decide (KS for numbers, PSI for names, and what --tolerate names); p-values are only
    shown. Exit codes: 0 no drift, 1 drift, 2 a mistake in what was given, 3 something outside.
    """
    from driftd.data.compare import compare_profiles, drifted
    from driftd.data.profile import RESERVED, Columns

    with at_rest.for_ci():
        limits = _limits(policy, tolerate or [])
        columns = Columns(
            label=label,
            score=score,
            ignore=RESERVED | frozenset(ignore or ()),
            text=frozenset(text or ()),
        )
        before, after = _sides(ref, cur, columns, positive, negative)
        try:
            streams = compare_profiles(before, after, limits)
        except ValueError as error:
            raise MistakeError(f"{error}; profile {cur.name} with --layouts {ref.name}") from error
        if html is not None:
            from driftd.console.at_rest import compare_page

            at_rest.write_page(html, compare_page(ref.name, cur.name, before, after, streams))
        if as_json:
            at_rest.print_json(_document(before, after, streams))
        else:
            _tell(ref, cur, before, after, streams)
    if drifted(streams):
        raise typer.Exit(EXIT_FOUND)


def _limits(policy: Path | None, words: "Sequence[str]") -> "Tolerances":
    from driftd.data.tolerances import Tolerances, of_policy, with_words

    limits = of_policy(at_rest.read_policy(policy).drift) if policy is not None else Tolerances()
    return with_words(limits, words) if words else limits


def _sides(
    ref: Path, cur: Path, columns: "Columns", positive: str | None, negative: str
) -> "tuple[Profile, Profile]":
    """Both sides, counted in the reference's cells."""
    from driftd.data.profile_file import count_file, profile_file, read_profile
    from driftd.data.tables import is_table

    if is_table(ref):
        with at_rest.progress(f"reading {ref.name}") as bar:
            before = profile_file(
                ref, columns, positive=positive, negative=negative, progress=bar
            ).profile
    else:
        before = read_profile(ref)
    if not is_table(cur):
        return before, read_profile(cur)
    with at_rest.progress(f"reading {cur.name}") as bar:
        after = count_file(
            cur, columns, before.layouts, positive=positive, negative=negative, progress=bar
        )
    return before, after


def _document(
    before: "Profile", after: "Profile", streams: "Sequence[StreamCompared]"
) -> dict[str, Any]:
    from driftd.data.compare import drifted

    return {
        "drift": bool(drifted(streams)),
        "rows": {"reference": before.n, "current": after.n},
        "streams": [
            {
                "stream": one.stream,
                "kind": one.before.layout.kind,
                "drift": bool(one.moved),
                "measures": [
                    {
                        "measure": m.measure,
                        "effect": m.effect,
                        "tolerance": m.tolerance,
                        "where": m.where,
                    }
                    for m in one.measures
                ],
                "effects": {name: effect.value for name, effect in one.effects.items()},
                "missing": [one.before.missing_share, one.after.missing_share],
                "unseen": one.unseen_share,
                "p_value": one.p_value,
                "note": one.note,
            }
            for one in streams
        ],
    }


def _tell(
    ref: Path, cur: Path, before: "Profile", after: "Profile", streams: "Sequence[StreamCompared]"
) -> None:
    from driftd.data.compare import drifted

    print(f"{cur.name} ({after.n:,} rows) against {ref.name} ({before.n:,} rows)")
    at_rest.print_table(
        ("stream", "", "measure", "#effect", "#tolerated", "most at", "#missing", "#p", "note"),
        [_row(one) for one in streams],
    )
    moved = drifted(streams)
    if moved:
        names = ", ".join(one.stream for one in moved[:10])
        more = f" and {len(moved) - 10} more" if len(moved) > 10 else ""
        print(f"drift: {len(moved)} of {len(streams)} streams moved: {names}{more}")
    else:
        print(f"no drift: {len(streams)} streams are within their tolerances")


def _row(one: "StreamCompared") -> list[str]:
    worst = one.measures[0]
    missing = f"{one.before.missing_share:.1%} → {one.after.missing_share:.1%}"
    same = one.before.missing_share == one.after.missing_share or not one.after.counts.any()
    return [
        one.stream,
        "moved" if one.moved else "",
        worst.measure,
        f"{worst.effect:.3f}",
        f"{worst.tolerance:g}",
        worst.where,
        "" if same else missing,
        "" if one.p_value != one.p_value else f"{one.p_value:.2g}",
        one.note,
    ]
