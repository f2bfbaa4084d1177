"""Panes and matured labels in; readings, alarms and incidents out."""

from collections.abc import Sequence

from agents.events import OperatorAsked, PaneClosed, QualityMatured
from agents.watching.fitted import Fitted
from agents.watching.state import Reading, WatchState, WatchStep
from agents.watching.streams import layouts_of, streams_of
from detectors.profile import Profile
from policies.specs import ModelSpec

__all__ = ["Fitted", "Reading", "WatchState", "WatchStep", "Watcher"]


class Watcher:
    """Watches one model. Pure: the same events in the same order, the same steps, bit for bit.

    Buckets come in order and without gaps, empty ones included.
    """

    def __init__(self, spec: ModelSpec, profile: Profile | None) -> None:
        self._spec = spec
        self._profile = profile
        self._streams = streams_of(spec, profile)

    def wants_history(self, state: WatchState, pane: PaneClosed) -> tuple[float, float] | None:
        """The [start, end) of stored buckets that ``on_pane`` needs beside this one, or None."""
        raise NotImplementedError

    def on_pane(
        self,
        state: WatchState,
        fitted: Fitted | None,
        pane: PaneClosed,
        history: Sequence[PaneClosed] = (),
    ) -> WatchStep:
        """A bucket closed."""
        raise NotImplementedError

    def on_quality(self, state: WatchState, event: QualityMatured, champion: str) -> WatchStep:
        """The labels of a bucket are as complete as they get."""
        raise NotImplementedError

    def on_operator(self, state: WatchState, asked: OperatorAsked, now: float) -> WatchStep:
        """A person answered: accept, ignore or false_alarm."""
        raise NotImplementedError
