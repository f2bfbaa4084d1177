"""Panes of simulated models: how their features move when nothing is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import pi, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr

from detectors.contract import FloatArray, IntArray
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout

Shock = Literal["normal", "t3", "t2"]
Kind = Literal["numeric", "category", "missing"]
DAY_S = 86_400.0
# 1970-01-05 was a Monday.
START_S = 4 * DAY_S
FEATURES, CELLS, REFERENCE_EVENTS = 50, 64, 100_000
NAMES = 20
# Quartile of a t3 value of unit variance; t2 has no variance and is scaled to the same quartile.
_T3_SCALE, _T2_SCALE = 1 / sqrt(3), 0.4416 / 0.8165


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """How the panes of a model come about; levels in standard deviations of a feature.

    ``events``: of a usual pane. ``season``: whether levels follow the day (amplitude .1 to .4, a
    second harmonic of half of it) and traffic by ± 80 %. ``ar_sd``, ``ar_rho``, ``shock``: an AR(1)
    of the panes' levels. ``heavy``: only so many features have it (None: all). ``bursts``: share of
    panes with a level of its own. ``weekend``, ``day_sd``: a level of Saturdays and Sundays, and a
    random one of each day. ``users``: events of one user in a row, half of whose variance they
    share. ``outages``: a few panes of 1 sd in the burn-in of every feature. ``kind``: what moves:
    numbers; 20 names, whose log odds follow the level so that PSI = level² as for numbers; or the
    share of missing values, whose log odds are moved by the level.
    """

    says: str
    kind: Kind = "numeric"
    pane_s: float = 600.0
    events: int = 10_000
    burn_in_days: float = 14.0
    season: bool = False
    ar_sd: float = 0.0
    ar_rho: float = 0.9
    shock: Shock = "normal"
    heavy: int | None = None
    bursts: float = 0.0
    weekend: float = 0.0
    day_sd: float = 0.0
    users: int = 1
    outages: bool = False

    @property
    def burn_in(self) -> int:
        """Panes of the burn-in."""
        return round(self.burn_in_days * DAY_S / self.pane_s)

    @property
    def month(self) -> int:
        """Panes in 30 days."""
        return round(30 * DAY_S / self.pane_s)


def _seasonal(says: str, **more: object) -> Regime:
    return Regime(says=says, season=True, **more)  # type: ignore[arg-type]


REGIMES: Mapping[str, Regime] = {
    "iid_10k": Regime(says="independent, 10,000 events a pane"),
    "iid_200": Regime(says="independent, 200 events a pane", events=200),
    "few_events": Regime(
        says="500 events a day, panes of 6 hours", events=125, pane_s=DAY_S / 4, burn_in_days=15
    ),
    "daily_ar": Regime(
        says="panes of a day, AR(.9) sd .1", pane_s=DAY_S, ar_sd=0.1, burn_in_days=60
    ),
    "seasonal": _seasonal("daily cycle"),
    "seasonal_ar": _seasonal("daily cycle, AR(.9) sd .05", ar_sd=0.05),
    "seasonal_ar_wide": _seasonal("daily cycle, AR(.9) sd .1", ar_sd=0.1),
    "t3": _seasonal("daily cycle, AR(.9) sd .1, t3 shocks", ar_sd=0.1, shock="t3"),
    "t2": _seasonal("daily cycle, AR(.9), t2 shocks (no variance)", ar_sd=0.1, shock="t2"),
    "t3_narrow": _seasonal("daily cycle, AR(.9) sd .05, t3 shocks", ar_sd=0.05, shock="t3"),
    "t3_slow": _seasonal(
        "daily cycle, AR(.97) sd .1, t3 shocks", ar_sd=0.1, ar_rho=0.97, shock="t3"
    ),
    "bursts": _seasonal("daily cycle, bursts of one pane", bursts=1 / 150),
    "weekend": _seasonal(
        "daily cycle, AR(.9) sd .05, weekends of .15 sd, days of .05 sd",
        ar_sd=0.05,
        weekend=0.15,
        day_sd=0.05,
    ),
    "users": Regime(says="2,000 events a pane, 20 of each user, ICC .5", events=2_000, users=20),
    "week_burn_in": _seasonal(
        "daily cycle, AR(.9) sd .05, 7 days learned", ar_sd=0.05, burn_in_days=7
    ),
    "outages": _seasonal("daily cycle, outages in the burn-in", outages=True),
    "few_events_heavy": _seasonal(
        "200 events a pane, daily cycle, AR(.9) sd .1, t3 shocks", events=200, ar_sd=0.1, shock="t3"
    ),
    "names": _seasonal("names: daily cycle, AR(.9) sd .05", kind="category", ar_sd=0.05),
    "names_t3": _seasonal(
        "names: daily cycle, AR(.9) sd .1, t3 shocks", kind="category", ar_sd=0.1, shock="t3"
    ),
    "missing": _seasonal("missing shares: daily cycle, AR(.9) sd .05", kind="missing", ar_sd=0.05),
    "missing_t3": _seasonal(
        "missing shares: daily cycle, AR(.9) sd .3, t3 shocks",
        kind="missing",
        ar_sd=0.3,
        shock="t3",
    ),
    "five_heavy": _seasonal("daily cycle, 5 of 50 features as t3", ar_sd=0.1, shock="t3", heavy=5),
}


@dataclass(slots=True, kw_only=True)
class Simulation:
    """One model of a regime: its layout, and the level of every feature in every pane (T, S)."""

    regime: Regime
    layout: NumericLayout | CategoryLayout
    reference: IntArray
    levels: FloatArray
    events: IntArray
    rng: np.random.Generator = field(repr=False)

    def counts(
        self, feature: int, panes: slice, shift: FloatArray | float = 0.0, spread: float = 1.0
    ) -> IntArray:
        """Counts of one feature's present cells, shape (panes, K), as if its values had moved by
        ``shift`` and were ``spread`` times as wide."""
        level, n = self.levels[panes, feature] + shift, self.events[panes]
        if isinstance(self.layout, CategoryLayout):
            return self._names(level, n, feature)
        if self.regime.users > 1:
            return self._clustered(self.layout, level, n, spread)
        below = ndtr((self.layout.bounds - level[:, None]) / spread)
        edge = np.zeros((len(level), 1))
        p = np.clip(np.diff(np.hstack([edge, below, edge + 1]), axis=1), 0.0, None)
        return self.rng.multinomial(n, p / p.sum(axis=1, keepdims=True)).astype(np.int64)

    def missing(self, feature: int, panes: slice, more: float = 0.0) -> tuple[IntArray, IntArray]:
        """``(k, n)`` of one feature's panes: how many values of how many are missing, ``more`` (a
        share) above what is usual."""
        usual = np.exp(np.random.default_rng(feature).uniform(np.log(0.005), np.log(0.3)))
        share = expit(logit(usual) + self.levels[panes, feature]) + more
        n = self.events[panes]
        return self.rng.binomial(n, np.minimum(share, 1.0)), n

    def _names(self, level: FloatArray, n: IntArray, feature: int) -> IntArray:
        base = _zipf()
        # The direction in which a feature's names move is its own, and has unit variance.
        way = np.random.default_rng(feature).standard_normal(NAMES)
        way -= base @ way
        way /= np.sqrt(base @ way**2)
        p = base * np.exp(level[:, None] * way)
        counts = np.zeros((len(level), NAMES + 2), np.int64)
        counts[:, :NAMES] = self.rng.multinomial(n, p / p.sum(axis=1, keepdims=True))
        return counts

    def _clustered(
        self, layout: NumericLayout, level: FloatArray, n: IntArray, spread: float
    ) -> IntArray:
        size, cells = self.regime.users, len(layout.bounds) + 1
        counts = np.empty((len(level), cells), np.int64)
        for row, (mean, events) in enumerate(zip(level, n, strict=True)):
            users = self.rng.standard_normal((events // size, 1), np.float32) * np.float32(
                sqrt(0.5)
            )
            own = self.rng.standard_normal((events // size, size), np.float32)
            values = (users + own * np.float32(sqrt(0.5))) * np.float32(spread) + np.float32(mean)
            ranks = np.searchsorted(np.sort(values, axis=None), layout.bounds, side="right")
            counts[row] = np.diff(ranks, prepend=0, append=values.size)
        return counts


def simulate(regime: Regime, seed: int, features: int = FEATURES) -> Simulation:
    """One model: its burn-in and 30 days more."""
    rng = np.random.default_rng(seed)
    panes = regime.burn_in + regime.month
    layout, reference = _reference(rng, regime.kind)
    at = START_S + regime.pane_s * np.arange(panes, dtype=np.float64)
    levels = np.zeros((panes, features))
    if regime.season:
        levels += _season(rng, at, features)
    if regime.ar_sd:
        moving = features if regime.heavy is None else regime.heavy
        levels[:, :moving] += _ar(rng, regime, panes, moving)
    if regime.bursts:
        hit = rng.random(levels.shape) < regime.bursts
        levels += hit * rng.choice([-1.0, 1.0], levels.shape)
    if regime.weekend or regime.day_sd:
        day = (at // DAY_S).astype(np.int64)
        levels += regime.weekend * np.isin((day + 3) % 7, (5, 6))[:, None]
        levels += rng.normal(0, regime.day_sd, (day.max() + 1, features))[day]
    if regime.outages:
        _break(rng, levels[: regime.burn_in])
    traffic = 1 + 0.8 * np.sin(2 * pi * at / DAY_S) if regime.season else np.ones(panes)
    return Simulation(
        regime=regime,
        layout=layout,
        reference=reference,
        levels=levels,
        events=np.maximum(regime.events * traffic, 1).astype(np.int64),
        rng=rng,
    )


def _reference(
    rng: np.random.Generator, kind: Kind
) -> tuple[NumericLayout | CategoryLayout, IntArray]:
    """The cells that a training sample of 100,000 gives, and its counts."""
    if kind == "category":
        names = CategoryLayout(tuple(f"n{i:02}" for i in range(NAMES)))
        counts = np.zeros(names.size, np.int64)
        counts[:NAMES] = rng.multinomial(REFERENCE_EVENTS, _zipf())
        return names, counts
    values = rng.standard_normal(REFERENCE_EVENTS)
    layout = NumericLayout.from_reference(values, bins=CELLS)
    return layout, layout.fold(values)


def _zipf() -> FloatArray:
    weights = 1 / np.arange(1, NAMES + 1)
    return np.asarray(weights / weights.sum())


def _season(rng: np.random.Generator, at: FloatArray, features: int) -> FloatArray:
    size = rng.uniform(0.1, 0.4, features) / np.sqrt(2)
    first, second = rng.uniform(0, 2 * pi, (2, features))
    turn = 2 * pi * at[:, None] / DAY_S
    moved = size * (np.sin(turn + first) + 0.5 * np.sin(2 * turn + second))
    return np.asarray(moved * np.sqrt(2))


def _ar(rng: np.random.Generator, regime: Regime, panes: int, features: int) -> FloatArray:
    """AR(1) levels of standard deviation ``ar_sd``, started long before the first pane."""
    warm = 400
    shocks = _shocks(rng, regime.shock, (panes + warm, features))
    shocks *= sqrt(1 - regime.ar_rho**2) * regime.ar_sd
    level = np.zeros(features)
    levels = np.empty_like(shocks)
    for pane, shock in enumerate(shocks):
        level = regime.ar_rho * level + shock
        levels[pane] = level
    return levels[warm:]


def _shocks(rng: np.random.Generator, shock: Shock, shape: tuple[int, int]) -> NDArray[np.float64]:
    if shock == "t3":
        return np.asarray(rng.standard_t(3, shape) * _T3_SCALE)
    if shock == "t2":
        return np.asarray(rng.standard_t(2, shape) * _T2_SCALE)
    return np.asarray(rng.standard_normal(shape))


def _break(rng: np.random.Generator, levels: FloatArray) -> None:
    """One outage of 3 to 6 panes at 1 sd in every feature."""
    for feature in range(levels.shape[1]):
        start = int(rng.integers(0, len(levels) - 6))
        levels[start : start + int(rng.integers(3, 7)), feature] += 1.0
