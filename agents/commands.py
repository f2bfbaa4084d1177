"""What shall be done in the world: values that the control loop journals in the outbox and then
executes. ``op_id`` names the one effect; executing a command twice must not cause it twice."""

import msgspec

from policies.specs import GateSpec


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A share of live traffic for one version; the weights of a routing sum to 1."""

    version: str
    variant: str
    weight: float


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """``share`` of the requests whose live answer came from another version are answered by
    ``version`` too. Two entries (champion and challenger) make every request a pair."""

    version: str
    share: float


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """The whole desired traffic of a model; published in full, the highest ``epoch`` wins.

    ``loaded`` versions stay in memory even without traffic: the way back is always loaded.
    """

    model: str
    epoch: int
    routes: tuple[Route, ...]
    shadows: tuple[Shadow, ...] = ()
    loaded: tuple[str, ...] = ()
    barred: tuple[str, ...] = ()


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=str.lower):
    """One effect. ``model`` owns it."""

    op_id: str
    model: str


class Train(Command, frozen=True, kw_only=True, tag="train"):
    """Run the named trainer on archived labels with event time in [since, until).

    ``phase`` ``gate``: the newest ``holdout`` share is withheld for the evaluation. ``refit``:
    everything is used; the result is the candidate. Result: ``version``, ``run_id``.
    """

    trainer: str
    phase: str
    attempt: int
    since: float
    until: float
    holdout: float
    incident_id: str = ""
    reason: str = ""
    ref: str = ""
    without: tuple[tuple[float, float], ...] = ()
    """Spans of event time whose input was faulty: broken input never trains a model."""


class Evaluate(Command, frozen=True, kw_only=True, tag="evaluate"):
    """Score the withheld block with ``candidate`` and ``champion`` and compare.

    Result: ``verdict`` pass | fail | not_evaluable, ``reasons`` (a list of sentences), ``metrics``
    {name: {candidate, champion}}, ``n``.
    """

    candidate: str
    champion: str
    since: float
    until: float
    holdout: float
    onset: float
    must_improve: str
    gate: tuple[GateSpec, ...] = ()
    without: tuple[tuple[float, float], ...] = ()


class SetTraffic(Command, frozen=True, kw_only=True, tag="traffic"):
    """Make the router's traffic equal ``routing``. Result: ``epoch``."""

    router: str
    routing: Routing


class MoveAlias(Command, frozen=True, kw_only=True, tag="alias"):
    """Move ``champion`` to ``to`` if it is still ``expect`` (journal, read, previous, champion,
    read back, tag). Result: ``champion``, ``previous``. Refused when a foreign hand moved it."""

    registry: str
    champion_alias: str
    previous_alias: str
    expect: str
    to: str
    previous: str
    tags: dict[str, dict[str, str]] = {}
    """version -> tags to set on it."""
    fills: bool = False
    """An alias that names nothing, because its version was deleted, is nobody's and may be set."""


class MarkChallenger(Command, frozen=True, kw_only=True, tag="challenger"):
    """Point the challenger alias at ``version`` and tag it; refused if it does not exist."""

    registry: str
    challenger_alias: str
    version: str
    tags: dict[str, str] = {}


class TagVersion(Command, frozen=True, kw_only=True, tag="tag"):
    """Set tags on a version, e.g. that it is barred."""

    registry: str
    version: str
    tags: dict[str, str] = {}


class LoadProfile(Command, frozen=True, kw_only=True, tag="profile"):
    """Fetch the reference profile that is logged with a model version into the store. ``version``
    empty: whatever the champion alias names. Result: ``version``, ``profile_id``."""

    registry: str
    version: str
    champion_alias: str


AnyCommand = Train | Evaluate | SetTraffic | MoveAlias | MarkChallenger | TagVersion | LoadProfile


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the append-only journal of decisions: what, when, why, by whom."""

    at: float
    what: str
    why: str
    by: str
    incident_id: str = ""
    op_id: str = ""
    evidence: dict[str, object] = {}


class PublishDecisions(Command, frozen=True, kw_only=True, tag="decisions"):
    """Tell the world what was decided: one record a decision. Written by the control loop itself,
    so that a decision that was committed is published whatever is killed when."""

    decisions: tuple[Decided, ...]


# Kinds of commands on whose end no decision depends: they make no model busy, and it is not told.
SIDE_KINDS = frozenset({"decisions"})
