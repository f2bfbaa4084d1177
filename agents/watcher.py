"""Panes and matured labels in; readings, alarms and incidents out."""

from collections.abc import Mapping, Sequence

import msgspec

from agents.events import OperatorAsked, PaneClosed, QualityMatured, QueryRead
from agents.watching.answers import answer, is_muted, still_muted
from agents.watching.fitted import Fitted
from agents.watching.grouping import panes_between
from agents.watching.incidents import Alarm, Journal
from agents.watching.learning import PANES_MAX as PANES_LEARNED_MAX
from agents.watching.learning import (
    PANES_MIN,
    SPAN_MAX_S,
    SPAN_MIN_S,
    budget_streams,
    learn,
    log_threshold,
)
from agents.watching.levels import levels_of, shown
from agents.watching.matured import LabelWatch, readings_of
from agents.watching.panes import PaneJudge, Seen
from agents.watching.rules import RuleBook
from agents.watching.state import FAULTS_MAX, Reading, WatchState, WatchStep
from agents.watching.streams import PaneCounts, streams_of
from agents.watching.why.asking import YOUNG_PANES, wanting, wants_past
from agents.watching.why.contract import Explained
from agents.watching.why.scene import POOLED_MAX
from detectors.baseline import DAY_S, EVENTS_MIN, EVENTS_WANTED, choose_slots
from detectors.profile import Profile
from policies.specs import ModelSpec

__all__ = ["Fitted", "Reading", "WatchState", "WatchStep", "Watcher"]

_EDGE_S = 1e-6


class Watcher:
    """Watches one model. Pure: the same events in the same order, the same steps, bit for bit.

    Buckets come in order and without gaps, empty ones included. One that came before changes
    nothing: its evidence would count twice.
    """

    def __init__(self, spec: ModelSpec, profile: Profile | None) -> None:
        self._spec = spec
        self._pane_s = spec.clock.pane_s
        self._streams = streams_of(spec, profile)
        threshold = log_threshold(spec, budget_streams(spec, self._streams))
        self._log_threshold = threshold
        self._judge = PaneJudge(profile, self._streams, threshold)
        self._rules = RuleBook(spec, self._streams.layouts, profile, threshold)
        self._labels = LabelWatch(spec, profile, self._rules, threshold)

    def wants_history(self, state: WatchState, pane: PaneClosed) -> tuple[float, float] | None:
        """The [start, end) of stored buckets that ``on_pane`` needs beside this one, or None.

        Three reasons: a burn-in is over and its panes are to be learned from; the bucket ends a
        pane that consists of several; or something moves, and what it is shows in several panes.
        """
        if not self._ends_pane(pane):
            return None
        starts = [pane.end - self._pane_s]
        if self._is_learning_over(state, pane):
            starts.append(self._learns_from(state, pane))
        elif wants_past(state, pane.end, self._pane_s):
            starts.append(pane.end - POOLED_MAX * self._pane_s)
        start = min(starts)
        return (start, pane.start) if start < pane.start - _EDGE_S else None

    def on_pane(
        self,
        state: WatchState,
        fitted: Fitted | None,
        pane: PaneClosed,
        history: Sequence[PaneClosed] = (),
    ) -> WatchStep:
        """A bucket closed. ``history``: what ``wants_history`` asked for, in any order."""
        if pane.end <= state.closed:
            return WatchStep(state=state)
        journal = self._journal(state, pane.end)
        rules, alarms = self._rules.on_bucket(state.rules, pane, fitted)
        since = state.learning_since
        if since is None and any(counts.n for counts in pane.arms.values()):
            since = pane.start
        state = msgspec.structs.replace(state, rules=rules, closed=pane.end, learning_since=since)
        learned: Fitted | None = None
        readings: tuple[Reading, ...] = ()
        causes: Mapping[str, Explained] = {}
        if self._ends_pane(pane):
            buckets = [*(old for old in history if old.end <= pane.start + _EDGE_S), pane]
            state, learned, seen = self._on_whole_pane(state, fitted, buckets, journal)
            readings, causes = seen.readings, seen.causes
            alarms = [*alarms, *seen.alarms]
        ended = self._ends_pane(pane)
        return self._close(
            state,
            journal,
            alarms,
            pane_ended=ended,
            learned=learned,
            readings=readings,
            causes=causes,
        )

    def on_quality(self, state: WatchState, event: QualityMatured, champion: str) -> WatchStep:
        """The labels of a bucket are as complete as they get. ``champion``: the version that holds
        the alias now; a rule's window never mixes versions."""
        if event.end <= state.matured:
            return WatchStep(state=state)
        # An unknown champion (the registry has not answered yet) is no change of champion.
        champion = champion or state.champion
        journal = self._journal(state, max(state.closed, event.end))
        state, alarms = self._labels.step(state, event, champion, journal)
        return self._close(state, journal, alarms)

    def on_query(self, state: WatchState, read: QueryRead) -> WatchStep:
        """A bucket's values of a query are known; its rules are judged apart from the panes, which
        only age the incidents. A model that has had no event yet has no panes: there the buckets
        of its first query do."""
        journal = self._journal(state, max(state.closed, read.end))
        rules, alarms = self._rules.on_query(state.rules, read)
        state = msgspec.structs.replace(state, rules=rules)
        first = next((rule.query for rule in self._spec.rules if rule.query), "")
        ages = state.closed == 0 and read.query == first and self._ends_pane(read)
        return self._close(state, journal, alarms, pane_ended=ages)

    def on_operator(self, state: WatchState, asked: OperatorAsked, now: float) -> WatchStep:
        """A person answered: ``accept`` and ``false_alarm`` with ``incident_id``, ``ignore`` with
        ``stream`` and ``until`` (seconds). A request that makes no sense is answered by a decision
        that says so. Other verbs are not the watcher's and change nothing."""
        journal = self._journal(state, max(state.closed, now))
        state = answer(self._spec, state, asked, journal)
        return self._close(state, journal, [])

    def _on_whole_pane(
        self,
        state: WatchState,
        fitted: Fitted | None,
        buckets: Sequence[PaneClosed],
        journal: Journal,
    ) -> tuple[WatchState, Fitted | None, Seen]:
        """Judge the pane that just ended, or learn from all of them."""
        end = buckets[-1].end
        since = end - POOLED_MAX * self._pane_s
        panes = panes_between(buckets, since, end, self._pane_s, self._streams.layouts)
        whole = panes[-1]
        counted = int(whole.complete and whole.n >= EVENTS_MIN)
        learned: Fitted | None = None
        if self._is_learning_over(state, buckets[-1]):
            learned = learn(self._spec, self._streams, self._panes(state, buckets))
        state = msgspec.structs.replace(state, panes=state.panes + counted)
        finer = learned is not None and learned.slots > state.slots
        if learned is not None and (finer or state.relearning or not state.learned):
            # A pane that was learned from is no evidence; the engines start behind it.
            state = self._begin_watching(state, learned, journal)
            return state, learned, self._judge.learning(state, whole)
        if fitted is None or not state.learned:
            self._note_small_panes(state, end, journal)
            state = msgspec.structs.replace(state, learned=False)
            return state, None, self._judge.learning(state, whole)
        held = journal.members("data_fault") | {
            stream for stream in sorted(state.mutes) if is_muted(state, stream, "")
        }
        asked = wanting(state, end, self._pane_s)
        seen = self._judge.judge(state, fitted, panes, held=held, asked=asked)
        return seen.state, None, seen

    def _note_small_panes(self, state: WatchState, end: float, journal: Journal) -> None:
        """Once, after a week: a model that is asked rarely would be learned from for ever."""
        if state.learning_since is None:
            return
        week_end = state.learning_since + SPAN_MIN_S
        if not end - self._pane_s < week_end <= end:
            return
        seen = round(SPAN_MIN_S / self._pane_s)
        if 2 * state.panes < seen:
            journal.note(
                "panes too small",
                f"in a week only {state.panes} of {seen} panes had {EVENTS_MIN} events or more, so that "
                "a baseline is learned slowly or never; set clock.pane to a length that holds about "
                f"{EVENTS_WANTED} events, a day at most",
                {"panes": state.panes, "of": seen},
            )

    def _begin_watching(self, state: WatchState, learned: Fitted, journal: Journal) -> WatchState:
        slots = learned.slots
        journal.note(
            "baseline learned",
            f"{len(learned.streams)} streams over {slots} slots of the week, "
            f"from {(learned.until - learned.since) / 86_400:.1f} days",
            {
                "panes_a_decision_needs": {
                    name: int(panes)
                    for name, panes in zip(learned.streams, learned.scalar.panes, strict=True)
                }
            },
        )
        mutes = {name: mute for name, mute in state.mutes.items() if mute.why != "accepted"}
        return msgspec.structs.replace(state.begun(slots), mutes=mutes)

    def _close(
        self,
        state: WatchState,
        journal: Journal,
        alarms: Sequence[Alarm],
        *,
        pane_ended: bool = False,
        learned: Fitted | None = None,
        readings: tuple[Reading, ...] = (),
        causes: Mapping[str, Explained] | None = None,
    ) -> WatchStep:
        """Group the alarms, age the incidents by whole panes, and answer."""
        causes = causes or {}
        journal.take(
            [a for a in alarms if not is_muted(state, a.moved.stream, a.moved.rule)], causes
        )
        journal.revise(causes, YOUNG_PANES * self._pane_s)
        if journal.of("quality") is not None:
            journal.raise_severity("input_drift", "warning", "quality fell while inputs drifted")
        levels = levels_of(state)
        if pane_ended:
            # Also where no stream is read, for want of a profile: rules have incidents as well.
            journal.age(levels)
            state = msgspec.structs.replace(state, mutes=still_muted(state, levels))
        if readings:
            every = (*readings, *readings_of(state))
            readings = tuple(shown(reading, journal) for reading in every)
            state = msgspec.structs.replace(state, readings=readings)
            # Kept apart: a version before this one would not know their state.
            readings = (*readings, *state.concept.opinions)
        faults = (*state.faults, *journal.broken_inputs())[-FAULTS_MAX:]
        state = msgspec.structs.replace(state, incidents=tuple(journal.open), faults=faults)
        return WatchStep(
            state=state,
            decisions=tuple(journal.decisions),
            incidents=tuple(journal.changes),
            fitted=learned,
            readings=readings,
        )

    def _journal(self, state: WatchState, at: float) -> Journal:
        return Journal(model=self._spec.model, at=at, open=list(state.incidents))

    def _ends_pane(self, pane: PaneClosed | QueryRead) -> bool:
        return (pane.end + _EDGE_S) % self._pane_s <= 2 * _EDGE_S

    def _is_learning_over(self, state: WatchState, pane: PaneClosed) -> bool:
        """Whether a first, a new or a finer baseline can be learned with this pane."""
        if state.learning_since is None:
            return False
        span, panes = pane.end - state.learning_since, state.panes + 1
        if not state.learned:
            return span >= SPAN_MIN_S and panes >= PANES_MIN
        if state.relearning:
            # What people accepted may become normal, a fault that came meanwhile may not.
            broken = any(incident.kind == "data_fault" for incident in state.incidents)
            return span >= SPAN_MIN_S and panes >= PANES_MIN and not broken
        # A week teaches no hours of the week. From two weeks on each midnight is a chance to learn
        # them, as long as nothing is wrong that would become normal.
        finer = choose_slots(self._pane_s, int(SPAN_MAX_S / self._pane_s)) > state.slots
        midnight = (pane.end + _EDGE_S) % DAY_S <= 2 * _EDGE_S
        return finer and midnight and not state.incidents and span >= SPAN_MAX_S

    def _learns_from(self, state: WatchState, pane: PaneClosed) -> float:
        longest = max(SPAN_MAX_S, PANES_LEARNED_MAX * self._pane_s)
        since = state.learning_since or 0.0
        return max(since // self._pane_s * self._pane_s, pane.end - longest)

    def _panes(self, state: WatchState, buckets: Sequence[PaneClosed]) -> list[PaneCounts]:
        whole = [
            bucket
            for bucket in buckets
            if not any(begin < bucket.end and bucket.start < end for begin, end in state.faults)
        ]
        since = self._learns_from(state, buckets[-1])
        return panes_between(whole, since, buckets[-1].end, self._pane_s, self._streams.layouts)
