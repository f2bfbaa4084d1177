"""Shares of missing values through the product's own learning and engine of proportions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.watching.fitted import ShareFit
from agents.watching.learning import log_threshold
from agents.watching.share_fits import fit_shares
from agents.watching.shares import step_share
from agents.watching.streams import PREDICTIONS_FEED, PaneCounts, ShareStream
from benchmarks.panes.naive import BoolArray
from benchmarks.panes.regimes import FEATURES, START_S, Simulation
from benchmarks.panes.watch import incidents, spec_of
from detectors.baseline import choose_slots, day_of, slot_of
from detectors.contract import IntArray

TOLERANCE = 0.05
MORE: Mapping[str, float] = {"half_sd": 0.10, "one_sd": 0.20}
"""What stands for the shifts of the other regimes: points more that are missing."""
MOVED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """At one tolerance: incidents and transients in 30 days, ``model`` of which are the whole-model
    stream's; panes until each change was found (NaN: not in 30 days); panes a decision needs."""

    incidents: int
    model: int
    transients: int
    panes_median: float
    panes_high: float
    delays: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shares:
    simulation: Simulation
    fits: Mapping[str, ShareFit]
    slots: IntArray
    log_a: float

    def watch(
        self, feature: int, first: int, k: IntArray, n: IntArray
    ) -> tuple[BoolArray, BoolArray]:
        """Alarms and transients of a feature's panes from ``first`` on."""
        stream = _stream(feature)
        engine: dict[str, Any] = {}
        fired, fast = np.zeros(len(k), bool), np.zeros(len(k), bool)
        for pane, counted in enumerate(zip(k.tolist(), n.tolist(), strict=True)):
            engine, found = step_share(
                stream.name,
                self.fits[stream.name],
                engine,
                counted,
                self.log_a,
                at=float(pane),
                slot=int(self.slots[first + pane]),
            )
            fired[pane], fast[pane] = found.fired, found.fast
        return fired, fast


def watch_shares(simulation: Simulation, *, power: bool) -> Watched:
    """Learn 50 missing shares, watch them for 30 days, and move some."""
    regime = simulation.regime
    counted = [simulation.missing(feature, slice(None)) for feature in range(FEATURES)]
    model = _learned(simulation, counted)
    first = regime.burn_in
    seen = [
        model.watch(feature, first, k[first:], n[first:]) for feature, (k, n) in enumerate(counted)
    ]
    fired = np.column_stack([alarmed for alarmed, _ in seen])
    fast = np.column_stack([quick for _, quick in seen])
    panes = [fit.panes for fit in model.fits.values()]
    return Watched(
        incidents=incidents(fired),
        model=0,
        transients=incidents(fast & ~fired),
        panes_median=float(np.median(panes)),
        panes_high=float(np.quantile(panes, 0.95)),
        delays=_delays(model) if power else {},
    )


def _learned(simulation: Simulation, counted: list[tuple[IntArray, IntArray]]) -> _Shares:
    regime = simulation.regime
    starts = START_S + regime.pane_s * np.arange(len(simulation.levels))
    slots = choose_slots(regime.pane_s, regime.burn_in)
    places = np.array([slot_of(start, slots) for start in starts])
    days = np.array([day_of(start) for start in starts])
    panes = [
        PaneCounts(
            start=starts[pane],
            end=starts[pane] + regime.pane_s,
            n=int(simulation.events[pane]),
            errors=0,
            counts={
                _stream(feature).of: np.array([n[pane] - k[pane], k[pane]])
                for feature, (k, n) in enumerate(counted)
            },
            feeds={PREDICTIONS_FEED: int(simulation.events[pane])},
            complete=True,
        )
        for pane in range(regime.burn_in)
    ]
    spec = spec_of(regime, TOLERANCE)
    log_a = log_threshold(spec, 2 * FEATURES + 4)
    streams = [_stream(feature) for feature in range(FEATURES)]
    learnt = slice(0, regime.burn_in)
    fits = fit_shares(streams, panes, places[learnt], days[learnt], slots, log_a)
    return _Shares(simulation=simulation, fits=fits, slots=places, log_a=log_a)


def _delays(model: _Shares) -> dict[str, tuple[float, ...]]:
    simulation = model.simulation
    onset = simulation.regime.burn_in + int(simulation.rng.integers(0, 1_008))
    features = simulation.rng.choice(FEATURES, MOVED, replace=False).tolist()
    found: dict[str, tuple[float, ...]] = {}
    for name, more in MORE.items():
        delays = []
        for feature in features:
            k, n = simulation.missing(feature, slice(onset, None), more)
            fired, _ = model.watch(feature, onset, k, n)
            delays.append(float(fired.argmax() + 1) if fired.any() else float("nan"))
        found[name] = tuple(delays)
    return found


def _stream(feature: int) -> ShareStream:
    return ShareStream(
        name=f"f{feature:02}?", kind="missing", of=f"f{feature:02}", tolerance=TOLERANCE
    )
