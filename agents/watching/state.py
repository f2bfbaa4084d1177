"""What the watcher remembers between two events, and what it answers: small, plain, storable."""

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from agents.contract import Step
from agents.incidents import Incident
from agents.watching.fitted import Fitted, ShareFit

ReadingState = Literal["learning", "quiet", "transient", "drift", "gap", "advisory"]
# The ring of effects by which a jump is told from a ramp, in panes.
RECENT_MAX = 48
# The newest spans of broken inputs that a later burn-in has to leave out.
FAULTS_MAX = 50


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One stream at one pane, for people. ``effect`` is measured above what is normal for the
    stream, in the unit of ``distance``, and NaN where nothing could be measured; ``panes`` is how
    many panes a decision needs (0 while learning); ``at`` is the pane's end in event time."""

    stream: str
    distance: str
    effect: float
    tolerance: float
    evidence: float
    state: ReadingState
    panes: int
    at: float


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """One stream's recent past: where its present evidence began, its newest effects above normal,
    and the newest of them in tolerances (NaN: the last pane was a gap)."""

    since: float | None = None
    recent: tuple[float, ...] = ()
    ratio: float = float("nan")


class Mute(msgspec.Struct, frozen=True, kw_only=True):
    """Why a stream may not alarm: ``ignored`` until a time; ``accepted`` until the baseline is
    learned anew; ``refuted`` (a false alarm) until it has once been quiet, or ``until``."""

    why: Literal["ignored", "accepted", "refuted"]
    until: float


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch [start, end) of a rule's window. ``bad`` of ``n`` events, or mergeable bytes."""

    start: float
    end: float
    n: int = 0
    bad: float = 0.0
    blob: bytes = b""


class RuleTrack(msgspec.Struct, frozen=True, kw_only=True):
    """One rule's window, its verdict and, where it compares with the past, its own normal.
    ``stream`` and ``rule`` name it as incidents do.

    ``slots``: slot of the week -> (mean, how many values); ``log_m``: the state of a sequential
    rule's engine; ``panes``: (bad, n) of the newest panes, from which its noise is learned.
    """

    stream: str = ""
    rule: str = ""
    parts: tuple[Part, ...] = ()
    breached: bool = False
    value: float = float("nan")
    limit: float = float("nan")
    evidence: float = 0.0
    slots: dict[int, tuple[float, int]] = {}
    engine: dict[str, Any] = {}
    panes: tuple[tuple[float, int], ...] = ()
    since: float | None = None


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """Label arrival: matured panes as (labelled, predictions) while learning, the pane being
    filled, and what was learned. It lives here because maturity runs behind the panes."""

    learning: tuple[tuple[int, int], ...] = ()
    first: float | None = None
    seen: float = float("-inf")
    open: Part | None = None
    fit: ShareFit | None = None
    engine: dict[str, Any] = {}
    track: Track = Track()
    reading: Reading | None = None


class LabelTrack(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence that labels are turned round. ``open``: the labels since ``start`` that are too few
    yet; ``log_m``: log of the e-detector; ``since``: event time at which its run began; ``level``:
    how far the AUC lies below one half, in units of .05 (NaN: not known)."""

    open: bytes = b""
    start: float | None = None
    log_m: float = float("-inf")
    run: float = 0.0
    since: float | None = None
    level: float = float("nan")


class Concept(msgspec.Struct, frozen=True, kw_only=True):
    """What the answers of ``champion`` meant. ``open``: labels that are too few yet; ``learning``: panes
    of the burn-in since ``first`` as (labels, positives, false negatives, false positives, excess
    loss, calibration effect, expected share of wrong answers); ``base`` and ``usual``: the burn-in's
    base rate and its expected share; ``fit``: of both scalar streams; ``advice`` and ``opinions``: states and readings of second opinions, which decide nothing."""

    champion: str = ""
    seen: float = float("-inf")
    open: Part | None = None
    first: float | None = None
    learning: tuple[tuple[int, int, int, int, float, float, float], ...] = ()
    base: float = 0.0
    usual: float = float("nan")
    fit: dict[str, Any] = {}
    wrong: ShareFit | None = None
    engine: dict[str, Any] = {}
    wrong_engine: dict[str, Any] = {}
    tracks: dict[str, Track] = {}
    readings: tuple[Reading, ...] = ()
    advice: dict[str, dict[str, Any]] = {}
    opinions: tuple[Reading, ...] = ()


class WatchState(msgspec.Struct, frozen=True, kw_only=True):
    """All that the watcher keeps. Times are event time; ``incidents`` holds the open ones only."""

    format: int = 1
    learning_since: float | None = None
    panes: int = 0
    closed: float = 0.0
    matured: float = float("-inf")
    learned: bool = False
    """True once a baseline was fitted: ``learning_since`` then runs for the next one, if any."""
    relearning: bool = False
    slots: int = 0
    scalar: dict[str, Any] = {}
    whole: dict[str, Any] = {}
    shares: dict[str, dict[str, Any]] = {}
    silent: dict[str, int] = {}
    stuck: dict[str, tuple[int, int]] = {}
    tracks: dict[str, Track] = {}
    arrival: Arrival = Arrival()
    labels: LabelTrack = LabelTrack()
    concept: Concept = Concept()
    champion: str = ""
    rules: dict[str, RuleTrack] = {}
    mutes: dict[str, Mute] = {}
    incidents: tuple[Incident, ...] = ()
    faults: tuple[tuple[float, float], ...] = ()
    """Spans in which the inputs were broken: no baseline is learned from them."""
    readings: tuple[Reading, ...] = ()

    def begun(self, slots: int) -> "WatchState":
        """With a new baseline of so many slots: the engines start behind what was learned from."""
        return msgspec.structs.replace(
            self,
            learned=True,
            relearning=False,
            slots=slots,
            scalar={},
            whole={},
            shares={},
            silent={},
            stuck={},
            tracks={},
        )

    @classmethod
    def new(cls) -> "WatchState":
        """Nothing seen yet."""
        return cls()

    def to_bytes(self) -> bytes:
        """As msgpack, with the format's number in it."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "WatchState":
        """The same state again; raises ``msgspec.ValidationError`` on anything else."""
        return msgspec.msgpack.decode(data, type=cls)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchStep(Step[WatchState]):
    """The watcher's answer. ``fitted`` is a newly learned baseline, which the caller stores."""

    fitted: Fitted | None = None
    readings: tuple[Reading, ...] = ()
