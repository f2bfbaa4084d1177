"""One simulated model of a regime: its false alarms, and how soon it finds what really moved."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from agents.watching.learning import mean_effect
from benchmarks.panes.missing import Watched, watch_shares
from benchmarks.panes.naive import RULES, p_values
from benchmarks.panes.regimes import FEATURES, REGIMES, Simulation, simulate
from benchmarks.panes.watch import Learned, alarms, delay_all, delays, incidents, learned, month
from detectors.contract import FloatArray, IntArray

WEEK_DAYS = 7.0
MOVED, MOVED_SLOWLY = 10, 4
"""Features that are moved in a trial, one at a time; fewer of what takes long to be found."""
QUICK = ("half_sd", "one_sd")
CHANGES: Mapping[str, Mapping[str, float]] = {
    "quarter_sd": {"shift": 0.25},
    "half_sd": {"shift": 0.5},
    "one_sd": {"shift": 1.0},
    "spread": {"spread": 1.5},
    "ramp": {"shift": 0.5, "ramp": 432},
}
ALL_SHIFT = 0.1
SENSITIVE, DEFAULT = 0.05, 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """All that one simulated model showed. ``first_week``: incidents of the second week, watched
    with the baseline of the first; None where the burn-in is no fortnight."""

    regime: str
    watched: Mapping[float, Watched]
    naive: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Rule -> alarms and incidents in 30 days."""
    first_week: int | None = None


def run(regime: str, seed: int, *, power: bool = True, all_features: bool = True) -> Trial:
    """Simulate a model and watch it at both tolerances."""
    simulation = simulate(REGIMES[regime], seed)
    if simulation.regime.kind == "missing":
        return Trial(regime=regime, watched={DEFAULT: watch_shares(simulation, power=power)})
    counts = [simulation.counts(feature, slice(None)) for feature in range(FEATURES)]
    watched, effects = {}, None
    for tolerance in (DEFAULT, SENSITIVE):
        model = learned(simulation, counts, tolerance)
        effects = month(model, counts) if effects is None else effects
        watched[tolerance] = _watch(model, effects, power=power, all_features=all_features)
    return Trial(
        regime=regime,
        watched=watched,
        naive=_naive(simulation, counts),
        first_week=_first_week(simulation, counts),
    )


def _watch(model: Learned, effects: FloatArray, *, power: bool, all_features: bool) -> Watched:
    streams = len(model.fitted.streams)
    # Score and predicted label share the budget but are not simulated.
    gaps = np.full((len(effects), streams - FEATURES), np.nan)
    drift, fast = alarms(model.fitted.scalar, np.hstack([effects, gaps]))
    whole, _ = alarms(model.fitted.whole, mean_effect(effects)[:, None])
    panes = model.fitted.scalar.panes[:FEATURES]
    return Watched(
        incidents=incidents(drift) + incidents(whole),
        model=incidents(whole),
        transients=incidents(fast & ~drift),
        panes_median=float(np.median(panes)),
        panes_high=float(np.quantile(panes, 0.95)),
        delays=_delays(model, all_features=all_features) if power else {},
    )


def _delays(model: Learned, *, all_features: bool) -> dict[str, tuple[float, ...]]:
    simulation = model.simulation
    regime = simulation.regime
    # Any hour of the week after the burn-in, or the first pane where panes are days.
    last = max(round(WEEK_DAYS * 86_400 / regime.pane_s), 1)
    onset = regime.burn_in + int(simulation.rng.integers(0, last))
    features = [int(f) for f in simulation.rng.choice(FEATURES, MOVED, replace=False)]
    found: dict[str, tuple[float, ...]] = {}
    for name, change in CHANGES.items():
        how = dict(change)
        if "spread" in how and regime.kind != "numeric":
            continue
        if model.spec.drift.tolerate_ks != DEFAULT and name in QUICK:
            continue
        # 432 panes of ten minutes are three days; a fortnight of longer ones.
        ramp = int(how.pop("ramp", 0))
        if ramp and regime.pane_s > 600:
            ramp = round(14 * 86_400 / regime.pane_s)
        moved = features if name in QUICK else features[:MOVED_SLOWLY]
        found[name] = tuple(delays(model, moved, onset, ramp=ramp, **how).tolist())
    if all_features:
        found["all_tenth_sd"] = (delay_all(model, onset, ALL_SHIFT),)
    return found


def _naive(simulation: Simulation, counts: list[IntArray]) -> dict[str, tuple[int, int]]:
    first = simulation.regime.burn_in
    p: FloatArray = np.column_stack([p_values(simulation, cells[first:]) for cells in counts])
    fired = {name: rule(p) for name, rule in RULES.items()}
    return {name: (int(hit.sum()), incidents(hit)) for name, hit in fired.items()}


def _first_week(simulation: Simulation, counts: list[IntArray]) -> int | None:
    """A model is watched from its first week on, until a second one teaches the hours."""
    regime = simulation.regime
    # Outages of the second week are true alarms; only of the others is nothing wrong.
    if regime.burn_in_days != 2 * WEEK_DAYS or regime.outages:
        return None
    half = replace(
        simulation,
        regime=replace(regime, burn_in_days=WEEK_DAYS),
        levels=simulation.levels[: regime.burn_in],
        events=simulation.events[: regime.burn_in],
    )
    weeks = [cells[: regime.burn_in] for cells in counts]
    model = learned(half, weeks, DEFAULT)
    return _watch(model, month(model, weeks), power=False, all_features=False).incidents
