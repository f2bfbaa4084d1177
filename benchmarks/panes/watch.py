"""Simulated panes through the product's own learning, distances and engines, array by array."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from agents.watching.fitted import Fitted
from agents.watching.learning import learn, mean_effect
from agents.watching.streams import PREDICTIONS_FEED, PaneCounts, Streams, streams_of
from benchmarks.panes.naive import BoolArray
from benchmarks.panes.regimes import START_S, Regime, Simulation
from detectors.baseline import slot_of
from detectors.catalog import DISTANCES
from detectors.contract import FloatArray, IntArray
from detectors.distances.rows import effects_of
from detectors.profile import Profile, StreamProfile
from detectors.sequential import scalar
from policies.specs import ClockSpec, DriftSpec, ModelSpec, RegistrySpec

# Alarms of a stream closer than this are one incident: an incident needs 6 quiet panes to end.
GAP_PANES = 6
CHUNK = 144


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A model after its burn-in. ``streams``: all that a real model of these features has (missing
    shares, score, label, errors): they share the budget, although only features are simulated."""

    simulation: Simulation
    spec: ModelSpec
    streams: Streams
    fitted: Fitted

    def effects(self, feature: int, counts: IntArray, first: int) -> FloatArray:
        """Effects of a feature's panes from pane ``first`` on; ``counts`` (panes, K)."""
        regime, stream = self.simulation.regime, self.streams.distances[feature]
        starts = START_S + regime.pane_s * np.arange(first, first + len(counts))
        slots = np.array([slot_of(start, self.fitted.slots) for start in starts])
        baseline = self.fitted.baselines[stream.name]
        normal = np.array([baseline.normal(slot) for slot in range(baseline.slots)])
        behind = np.array([baseline.events(slot) for slot in range(baseline.slots)])
        whole = np.hstack([counts, np.zeros((len(counts), 1), np.int64)])
        distance = DISTANCES[stream.distance]
        return effects_of(distance, stream.layout, normal[slots], whole, behind[slots])


def name_of(feature: int) -> str:
    """Features in the order of their names."""
    return f"f{feature:02}"


def spec_of(regime: Regime, tolerance: float) -> ModelSpec:
    """The policy's defaults, but for the pane's length and the tolerance."""
    return ModelSpec(
        model="simulated",
        registry=RegistrySpec(name="simulated"),
        clock=ClockSpec(pane_s=regime.pane_s, bucket_s=regime.pane_s),
        drift=DriftSpec(tolerate_ks=tolerance, tolerate_psi=tolerance),
    )


def profile_of(simulation: Simulation) -> Profile:
    """The training sample's profile."""
    stream = StreamProfile(layout=simulation.layout, counts=simulation.reference)
    names = [name_of(feature) for feature in range(simulation.levels.shape[1])]
    events = int(simulation.reference.sum())
    return Profile(
        version="1", n=events, since=0.0, until=0.0, streams=dict.fromkeys(names, stream)
    )


def panes_of(simulation: Simulation, counts: Sequence[IntArray]) -> list[PaneCounts]:
    """Counts (panes, K) of every feature, from the first pane on, as the watcher's panes."""
    pane_s = simulation.regime.pane_s
    whole = [np.hstack([cells, np.zeros((len(cells), 1), np.int64)]) for cells in counts]
    return [
        PaneCounts(
            start=START_S + pane_s * pane,
            end=START_S + pane_s * (pane + 1),
            n=int(whole[0][pane].sum()),
            errors=0,
            counts={name_of(feature): cells[pane] for feature, cells in enumerate(whole)},
            feeds={PREDICTIONS_FEED: int(whole[0][pane].sum())},
            complete=True,
        )
        for pane in range(len(whole[0]))
    ]


def learned(simulation: Simulation, counts: Sequence[IntArray], tolerance: float) -> Learned:
    """The end of the burn-in; ``counts`` as in ``panes_of``, at least the burn-in's panes."""
    burn_in = simulation.regime.burn_in
    spec = spec_of(simulation.regime, tolerance)
    streams = streams_of(spec, profile_of(simulation))
    fitted = learn(spec, streams, panes_of(simulation, [cells[:burn_in] for cells in counts]))
    if fitted is None:
        raise ValueError("the burn-in is too short to learn from")
    return Learned(simulation=simulation, spec=spec, streams=streams, fitted=fitted)


def month(model: Learned, counts: Sequence[IntArray]) -> FloatArray:
    """Effects of all features in the panes behind the burn-in, shape (panes, S)."""
    first = model.simulation.regime.burn_in
    columns = [model.effects(feature, cells[first:], first) for feature, cells in enumerate(counts)]
    return np.column_stack(columns)


def alarms(fit: scalar.ScalarFit, effects: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Which panes alarm, drift tier and fast tier, shape (panes, S) each."""
    state = scalar.ScalarState.start(effects.shape[1])
    drift, fast = np.zeros(effects.shape, bool), np.zeros(effects.shape, bool)
    for pane, row in enumerate(effects):
        state, drift[pane], _, fast[pane] = scalar.step(fit, state, row, at=float(pane))
    return drift, fast


def incidents(alarmed: BoolArray) -> int:
    """Alarms of each stream, those closer than six panes taken as one; ``alarmed`` (panes, S)."""
    total = 0
    for column in alarmed.T:
        at = np.flatnonzero(column)
        total += int(len(at) > 0) + int((np.diff(at) > GAP_PANES).sum())
    return total


def part(fit: scalar.ScalarFit, features: Sequence[int]) -> scalar.ScalarFit:
    """The fit of some streams only."""
    arrays = {
        item.name: getattr(fit, item.name)[list(features)]
        for item in fields(fit)
        if item.name != "log_threshold"
    }
    return replace(fit, **arrays)


def delays(
    model: Learned,
    features: Sequence[int],
    onset: int,
    *,
    shift: float = 0.0,
    spread: float = 1.0,
    ramp: int = 0,
) -> FloatArray:
    """Panes from ``onset`` until each feature's alarm, NaN if none within 30 days, shape (features,).

    Every feature moves alone. ``ramp``: panes in which the shift is reached.
    """
    simulation = model.simulation
    fit = part(model.fitted.scalar, features)
    state = scalar.ScalarState.start(len(features))
    found = np.full(len(features), np.nan)
    end = len(simulation.levels)
    for first in range(onset, end, CHUNK):
        last = min(first + CHUNK, end)
        moved = shift * np.minimum((np.arange(first, last) - onset) / ramp, 1.0) if ramp else shift
        effects = np.column_stack(
            [
                model.effects(f, simulation.counts(f, slice(first, last), moved, spread), first)
                for f in features
            ]
        )
        for pane, row in enumerate(effects, first):
            state, fired, _, _ = scalar.step(fit, state, row, at=float(pane))
            found = np.where(fired & np.isnan(found), pane - onset + 1, found)
        if not np.isnan(found).any():
            break
    return found


def delay_all(model: Learned, onset: int, shift: float) -> float:
    """Panes until the model alarms when all of its features move by ``shift``; NaN if never."""
    simulation = model.simulation
    features = range(simulation.levels.shape[1])
    fit = part(model.fitted.scalar, features)
    state, whole = scalar.ScalarState.start(len(features)), scalar.ScalarState.start(1)
    end = len(simulation.levels)
    for first in range(onset, end, CHUNK):
        last = min(first + CHUNK, end)
        effects = np.column_stack(
            [
                model.effects(f, simulation.counts(f, slice(first, last), shift), first)
                for f in features
            ]
        )
        means = mean_effect(effects)
        for pane, (row, mean) in enumerate(zip(effects, means, strict=True), first):
            state, fired, _, _ = scalar.step(fit, state, row, at=float(pane))
            whole, together, _, _ = scalar.step(
                model.fitted.whole, whole, np.array([mean]), at=float(pane)
            )
            if fired.any() or together.any():
                return float(pane - onset + 1)
    return float("nan")
