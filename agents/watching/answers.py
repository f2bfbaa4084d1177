"""What people answer to an incident, and how long the watcher then keeps quiet about a stream."""

from collections.abc import Mapping
from math import inf

import msgspec

from agents.events import OperatorAsked
from agents.incidents import Incident
from agents.watching.concept import accepted
from agents.watching.concept_streams import CONCEPT
from agents.watching.incidents import QUIET_BELOW, Journal
from agents.watching.state import Arrival, Mute, WatchState
from agents.watching.streams import ARRIVAL
from policies.specs import ModelSpec


def answer(
    spec: ModelSpec, state: WatchState, asked: OperatorAsked, journal: Journal
) -> WatchState:
    """Take an operator's answer; verbs that are not the watcher's change nothing."""
    if asked.verb == "ignore":
        return _ignore(state, asked, journal)
    if asked.verb not in ("accept", "false_alarm"):
        return state
    wanted = str(asked.arguments.get("incident_id", ""))
    incident = next((i for i in journal.open if i.incident_id == wanted), None)
    if incident is None:
        open_ids = ", ".join(i.incident_id for i in journal.open) or "none"
        return _refuse(state, asked, journal, f"no open incident {wanted!r}; open: {open_ids}")
    if asked.verb == "accept":
        journal.close(incident, "accepted", "its streams are the new normal", by=asked.by)
        return _accept(spec, state, incident)
    journal.close(incident, "false_alarm", "it was no real change", by=asked.by)
    # One budget period at most: a stream must not be blind for ever because it never came back.
    until = journal.at + spec.drift.budget_s
    return _mute(state, incident, Mute(why="refuted", until=until))


def _refuse(state: WatchState, asked: OperatorAsked, journal: Journal, why: str) -> WatchState:
    journal.note(f"refused: {asked.verb}", why, dict(asked.arguments), by=asked.by)
    return state


def is_muted(state: WatchState, stream: str, rule: str) -> bool:
    """Whether alarms of a stream, or of a rule by its name, are kept back."""
    return (rule or stream) in state.mutes


def still_muted(state: WatchState, levels: Mapping[tuple[str, str], float]) -> dict[str, Mute]:
    """The mutes that hold on: a refuted stream may alarm again once it has been quiet."""
    return {
        name: mute
        for name, mute in state.mutes.items()
        if mute.until > state.closed
        and not (mute.why == "refuted" and _level(name, levels) < QUIET_BELOW)
    }


def _level(name: str, levels: Mapping[tuple[str, str], float]) -> float:
    """The level of a stream or rule by its name; infinite where it is not known."""
    known = [level for (stream, rule), level in levels.items() if (rule or stream) == name]
    return next((level for level in known if level == level), inf)  # noqa: PLR0124 - NaN


def _ignore(state: WatchState, asked: OperatorAsked, journal: Journal) -> WatchState:
    stream, until = str(asked.arguments.get("stream", "")), asked.arguments.get("until")
    if not stream or not isinstance(until, int | float):
        return _refuse(state, asked, journal, "ignore needs a stream and until when, in seconds")
    why = f"{stream} may not alarm until {until:.0f}"
    journal.note("ignore", why, {"stream": stream, "until": float(until)}, by=asked.by)
    for incident in tuple(journal.open):
        names = [moved.rule or moved.stream for moved in incident.streams]
        if set(names) == {stream}:
            journal.close(incident, "resolved", f"{stream} is ignored", by=asked.by)
    mute = Mute(why="ignored", until=float(until))
    return msgspec.structs.replace(state, mutes={**state.mutes, stream: mute})


def _accept(spec: ModelSpec, state: WatchState, incident: Incident) -> WatchState:
    """Learn a new baseline from the incident's onset on; until then its streams keep quiet.

    A rule has no baseline: it keeps quiet until it was met once.
    """
    learned = [moved.stream for moved in incident.streams if not moved.rule]
    ruled = [moved.rule for moved in incident.streams if moved.rule]
    mutes = {
        **state.mutes,
        **dict.fromkeys(learned, Mute(why="accepted", until=inf)),
        **dict.fromkeys(ruled, Mute(why="refuted", until=inf)),
    }
    state = msgspec.structs.replace(state, mutes=mutes)
    if ARRIVAL in learned:
        mutes = {name: mute for name, mute in mutes.items() if name != ARRIVAL}
        fresh = Arrival(seen=state.arrival.seen, first=state.arrival.first)
        state = msgspec.structs.replace(state, mutes=mutes, arrival=fresh)
        learned.remove(ARRIVAL)
    if set(learned) & set(CONCEPT):
        # All three are learned from the same labels: they start together.
        mutes = {name: mute for name, mute in state.mutes.items() if name not in CONCEPT}
        state = msgspec.structs.replace(state, mutes=mutes, concept=accepted(state.concept))
        learned = [name for name in learned if name not in CONCEPT]
    if not learned or not state.learned:
        return state
    panes = max(int((state.closed - incident.onset) / spec.clock.pane_s), 0)
    return msgspec.structs.replace(
        state, relearning=True, learning_since=incident.onset, panes=panes
    )


def _mute(state: WatchState, incident: Incident, mute: Mute) -> WatchState:
    names = [moved.rule or moved.stream for moved in incident.streams]
    return msgspec.structs.replace(state, mutes={**state.mutes, **dict.fromkeys(names, mute)})
