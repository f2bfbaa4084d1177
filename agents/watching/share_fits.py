"""What a burn-in teaches about shares of events: normal by the hour, noise, how long jumps last."""

from collections.abc import Sequence

import numpy as np

from agents.watching.fitted import LIMIT_MIN, ShareFit
from agents.watching.streams import ERRORS, PaneCounts, ShareStream, share_of
from detectors.baseline import Baseline
from detectors.contract import FloatArray, IntArray
from detectors.sequential import scalar
from detectors.sequential.scalar_fit import PANES_MIN, long_run_variance

_TINY = 1e-12


def fit_shares(
    streams: Sequence[ShareStream],
    panes: Sequence[PaneCounts],
    slots: IntArray,
    days: IntArray,
    slot_count: int,
    log_threshold: float,
) -> dict[str, ShareFit]:
    """The nulls of all share streams from T burn-in panes; ``slots`` and ``days`` have shape (T,).

    Normal is the share at this hour of the week; noise is what is left of a pane's share when the
    other days' share is taken away, so that a daily cycle is no noise. How long a jump of that rest
    lasts is learned as for distances: one shock of a heavy-tailed stream must not page.
    """
    fits: dict[str, ShareFit] = {}
    rests = np.full((len(panes), len(streams)), np.nan)
    for column, stream in enumerate(streams):
        counted = np.array([share_of(stream, pane) for pane in panes], np.int64).reshape(-1, 2)
        fits[stream.name], rest = _fit(
            stream, counted[:, 0], counted[:, 1], slots, days, slot_count
        )
        rests[:, column] = rest
    if not streams or len(panes) < PANES_MIN:
        return fits
    tolerances = np.array([fits[stream.name].tolerance for stream in streams])
    lasting = scalar.fit(rests, tolerances, log_threshold).panes
    return {
        stream.name: fits[stream.name].with_panes(int(panes_needed))
        for stream, panes_needed in zip(streams, lasting, strict=True)
    }


def fit_share(
    counted: Sequence[tuple[float, int]],
    tolerance: float,
    log_threshold: float,
    *,
    below: bool = False,
) -> ShareFit:
    """The null of one share from its burn-in panes ``(k, n)``, at any hour."""
    k = np.array([bad for bad, _ in counted], np.float64)
    n = np.array([total for _, total in counted], np.float64)
    share, normal, highest = _usual(k, n)
    binomial = normal * (1 - normal) * float(np.mean(1 / n))
    fitted = _null(normal, tolerance, share - normal, binomial, highest, below=below)
    rest = (k / n - normal) * (-1 if below else 1)
    if len(rest) < PANES_MIN:
        return fitted
    lasting = scalar.fit(rest[:, None], tolerance, log_threshold).panes
    return fitted.with_panes(int(lasting[0]))


def _fit(
    stream: ShareStream,
    k: IntArray,
    n: IntArray,
    slots: IntArray,
    days: IntArray,
    slot_count: int,
) -> tuple[ShareFit, FloatArray]:
    """One stream's null without its panes, and the rest of each pane's share, NaN for a gap."""
    rest, seen = np.full(len(k), np.nan), n > 0
    tolerance = stream.tolerance
    if not seen.any():
        empty = ShareFit(normal=0.0, tolerance=tolerance, limit=tolerance, excess=0.0)
        return empty, rest
    share, normal, highest = _usual(k[seen].astype(np.float64), n[seen].astype(np.float64))
    bad = np.rint(share * n[seen]).astype(np.int64)
    counts = np.stack([bad, n[seen] - bad], axis=1)
    baseline, others = Baseline.fit(counts, slots[seen], days[seen], slot_count=slot_count)
    usual = np.where(np.isfinite(others[:, 0]), others[:, 0], normal)
    rest[seen] = k[seen] / n[seen] - usual
    if stream.name == ERRORS:
        tolerance = max(tolerance, normal / 2)
    binomial = float(np.mean(usual * (1 - usual) / n[seen]))
    fitted = _null(normal, tolerance, share - usual, binomial, highest)
    by_slot = [float(baseline.normal(slot)[0]) for slot in range(slot_count)]
    return fitted.with_slots(by_slot if slot_count > 1 else ()), rest


def _usual(k: FloatArray, n: FloatArray) -> tuple[FloatArray, float, float]:
    """Shares winsorised at median ± 6 MAD, their mean, and the third highest share as it was.

    Outages of the burn-in are not noise, and two of them do not make outages usual.
    """
    share = k / n
    highest = float(np.sort(share)[-min(3, len(share))])
    median = float(np.median(share))
    spread = 6 * max(1.4826 * float(np.median(np.abs(share - median))), 1 / float(np.median(n)))
    share = np.clip(share, median - spread, median + spread)
    return share, float(share.mean()), highest


def _null(
    normal: float,
    tolerance: float,
    rest: FloatArray,
    binomial: float,
    highest: float,
    *,
    below: bool = False,
) -> ShareFit:
    """``excess``: long-run variance of the rest beyond the binomial, over p (1 - p)."""
    limit = normal - tolerance if below else normal + tolerance
    limit = min(max(limit, LIMIT_MIN), 1 - LIMIT_MIN)
    variance = float(long_run_variance(rest[:, None])[0])
    excess = max(variance - binomial, 0.0) / max(limit * (1 - limit), _TINY)
    return ShareFit(normal=normal, tolerance=tolerance, limit=limit, excess=excess, highest=highest)
