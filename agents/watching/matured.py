"""What follows when labels have matured: rules on quality, arrival, turned labels, concept drift."""

from math import inf

import msgspec

from agents.events import QualityMatured
from agents.watching.arrival import arrival_part, step_arrival
from agents.watching.concept import ConceptWatch
from agents.watching.incidents import Alarm, Journal
from agents.watching.rules import RuleBook
from agents.watching.state import LabelTrack, Reading, WatchState
from agents.watching.streams import ARRIVAL
from agents.watching.turned_labels import TurnedLabels, broken_inputs
from detectors.profile import Profile
from policies.specs import ModelSpec


class LabelWatch:
    """All that is known of one model by its labels. Pure."""

    def __init__(
        self, spec: ModelSpec, profile: Profile | None, rules: RuleBook, log_threshold: float
    ) -> None:
        self._pane_s = spec.clock.pane_s
        self._log_threshold = log_threshold
        self._rules = rules
        self._watches_arrival = spec.drift.enabled and ARRIVAL not in spec.drift.ignore
        self._turned = TurnedLabels(spec, profile, log_threshold)
        self._concept = ConceptWatch(spec, log_threshold)

    def step(
        self, state: WatchState, event: QualityMatured, champion: str, journal: Journal
    ) -> tuple[WatchState, list[Alarm]]:
        """Take a matured bucket. ``champion``: the version that holds the alias now."""
        if champion != state.champion:
            rules = self._rules.without_quality(state.rules)
            state = msgspec.structs.replace(state, rules=rules, labels=LabelTrack())
            incident = journal.of("quality")
            if incident is not None and state.champion:
                why = f"version {state.champion}, whose quality it was, is no longer the champion"
                journal.close(incident, "resolved", why)
        after, alarms = self._rules.on_labels(state.rules, event, champion)
        arrival, fired = step_arrival(
            state.arrival, arrival_part(event), self._pane_s, self._log_threshold
        )
        if self._watches_arrival:
            alarms = [*alarms, *fired]
        labels = state.labels
        if not broken_inputs(state.incidents):
            labels, turned = self._turned.step(labels, event, champion)
            alarms = [*alarms, *turned]
        faults = _faults(state, alarms)
        concept, changed = self._concept.step(state.concept, event, champion, faults)
        return (
            msgspec.structs.replace(
                state,
                rules=after,
                champion=champion,
                arrival=arrival,
                labels=labels,
                concept=concept,
                matured=event.end,
            ),
            [*alarms, *changed],
        )


def readings_of(state: WatchState) -> tuple[Reading, ...]:
    """What labels tell, as of their newest pane; maturity runs behind the panes."""
    arrival = state.arrival.reading
    told = (arrival,) if arrival is not None else ()
    return (*told, *state.concept.readings)


def _faults(state: WatchState, alarms: list[Alarm]) -> tuple[tuple[float, float], ...]:
    """Spans of broken input, and of labels that are late or turned, those that are seen now too."""
    open_now = [(one.onset, inf) for one in state.incidents if one.kind == "data_fault"]
    seen_now = [(alarm.moved.since, inf) for alarm in alarms if alarm.kind == "data_fault"]
    return (*state.faults, *open_now, *seen_now)
