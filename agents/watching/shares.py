"""Streams that are shares of events, and feeds that fall silent."""

from collections.abc import Mapping
from math import ceil, nan
from typing import Any

import msgspec

from agents.incidents import StreamMoved
from agents.watching.fitted import Fitted, ShareFit
from agents.watching.incidents import Alarm
from agents.watching.readings import Found, Telling, moved_of
from agents.watching.state import Track
from agents.watching.streams import PREDICTIONS_FEED, PaneCounts, ShareStream, share_of
from detectors.sequential import proportion
from detectors.sequential.scalar import FAST_PANES

# A feed has stopped when it was silent for an hour and for two panes, and was never so before.
SILENT_S, SILENT_PANES, SILENT_LEAST = 3_600.0, 2, 20


def step_share(
    name: str,
    fit: ShareFit,
    engine: Mapping[str, Any],
    counted: tuple[int, int],
    log_threshold: float,
    *,
    at: float,
    slot: int = 0,
    below: bool = False,
) -> tuple[dict[str, Any], Found]:
    """One pane that starts ``at`` through the proportion engine: ``counted`` = (k, n)."""
    k, n = counted

    def step(
        before: Mapping[str, Any], panes_min: int
    ) -> tuple[proportion.ProportionState, bool, float]:
        known = proportion.ProportionState.from_dict(dict(before)) if before else None
        return proportion.step(
            known or proportion.ProportionState(),
            k,
            n,
            fit.limit_in(slot),
            log_threshold,
            at=at,
            direction="below" if below else "above",
            excess_variance=fit.excess,
            panes_min=panes_min,
        )

    after, fired, evidence = step(engine, fit.panes)
    # A stream that needs more panes is looked at as if its jumps were over after three: transients.
    quick, fast = after, fired
    if fit.panes > FAST_PANES:
        quick, fast, _ = step(engine.get("fast", {}), FAST_PANES)
    excess = (k / n - fit.normal_in(slot)) * (-1 if below else 1) if n else nan
    # One pane is enough where it lies beyond everything that the burn-in showed.
    unheard = n > 0 and excess >= fit.tolerance and (below or k / n > fit.highest + fit.tolerance)
    found = Found(
        stream=name,
        distance="share",
        tolerance=fit.tolerance,
        excess=excess,
        evidence=evidence,
        fired=fired,
        fast=fast or unheard,
        since=after.since,
        panes=fit.panes,
    )
    if quick is not after:
        return {**after.to_dict(), "fast": quick.to_dict()}, found
    return after.to_dict(), found


def judge_shares(
    streams: tuple[ShareStream, ...],
    engines: Mapping[str, Mapping[str, Any]],
    fitted: Fitted,
    pane: PaneCounts,
    *,
    log_threshold: float,
    slot: int,
    telling: Telling,
) -> dict[str, dict[str, Any]]:
    """Every share stream of a pane; gives the engines' next states."""
    after: dict[str, dict[str, Any]] = {}
    for stream in streams:
        fit = fitted.shares.get(stream.name)
        if fit is None:
            continue
        k, n = share_of(stream, pane) if pane.complete else (0, 0)
        engine = engines.get(stream.name, {})
        after[stream.name], found = step_share(
            stream.name, fit, engine, (k, n), log_threshold, at=pane.start, slot=slot
        )
        reading, track = telling.take(found)
        if found.fired:
            how = f"{stream.name}: {k} of {n} events ({k / n:.1%}), normally {fit.normal:.1%}"
            moved = moved_of(reading, track, how)
            if stream.kind == "errors":
                cause = f"{k / n:.1%} of the requests fail (normally {fit.normal:.1%})"
                moved = msgspec.structs.replace(moved, cause=cause)
                alarm = Alarm(moved=moved, kind="operational", severity="warning")
            else:
                # Drift, unless a cause is found that makes it a fault.
                alarm = Alarm(moved=moved, kind="input_drift", severity="info")
            telling.alarms.append(alarm)
    return after


def judge_feeds(
    silent: Mapping[str, int],
    fitted: Fitted,
    pane: PaneCounts,
    slot: int,
    telling: Telling,
) -> dict[str, int]:
    """Count the panes in which a feed that always spoke in this slot was silent."""
    pane_s = pane.end - pane.start
    needed = max(SILENT_PANES, ceil(SILENT_S / pane_s))
    after: dict[str, int] = {}
    for feed, least in sorted(fitted.least.items()):
        name = feed if feed == PREDICTIONS_FEED else f"@feed.{feed}"
        stopped = pane.complete and pane.feeds.get(feed, 0) == 0 and least[slot] >= SILENT_LEAST
        after[feed] = silent.get(feed, 0) + 1 if stopped else 0
        telling.tracks[name] = Track(ratio=float(stopped))
        if after[feed] == needed:
            what = "predictions" if feed == PREDICTIONS_FEED else feed
            moved = StreamMoved(
                stream=name,
                distance="count",
                effect=0.0,
                tolerance=float(least[slot]),
                evidence=1.0,
                since=pane.end - needed * pane_s,
                how=f"{name}: nothing for {needed} panes, normally at least {least[slot]} events",
                cause=f"the feed {what} has stopped",
                cause_kind="outage",
                sure=1.0,
            )
            telling.alarms.append(Alarm(moved=moved, kind="data_fault", severity="warning"))
    return after
