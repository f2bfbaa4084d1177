"""A policy over the closed buckets of a store: what the daemon counted, judged once more."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from math import floor

import msgspec

from agents.codec import layout_marks, merge_arms
from agents.events import Arm, ArmCounts, ArmQuality, PaneClosed, QualityMatured
from agents.watching.streams import layouts_of
from detectors.profile import Profile
from detectors.quality import QualitySketch
from driftd.control.reading import panes_of
from driftd.data.replay.watching import Replay, Replayed
from driftd.errors import MistakeError
from driftd.store.rows import QualityRow
from driftd.store.store import Store, open_store
from policies.specs import ModelSpec
from policies.units import duration_text

DAY_S = 86_400.0
_EDGE_S = 1e-6


def replay_store(
    spec: ModelSpec,
    url: str,
    model: str,
    profile: Profile | None,
    span: tuple[float, float],
    progress: Callable[[float], None] = lambda _: None,
) -> Replayed:
    """Run a policy over the stored panes of ``model``, a day of them in memory at a time.

    ``profile``: instead of the store's own; panes that were counted in other cells are left out.
    Raises ``MistakeError`` where the store has no panes, or buckets longer than the policy's.
    """
    store = open_store(url)
    try:
        if profile is None:
            row = store.profiles.current(model)
            profile = Profile.from_bytes(row.blob) if row is not None else None
        first, last = _span(store, model, span)
        replay = Replay(spec, profile)
        quality = _matured(store, model, spec)
        for pane in _rebucketed(_panes(store, spec, model, profile, first, last), spec):
            due = [quality.pop(start) for start in sorted(quality) if _is_due(start, pane, spec)]
            replay.close(pane, due)
            progress(min(1.0, (pane.end - first) / max(last - first, 1.0)))
        return replay.end()
    finally:
        store.close()


def _span(store: Store, model: str, span: tuple[float, float]) -> tuple[float, float]:
    counted = [row for row in store.views.counts().panes if row[0] == model]
    starts = [row[3] for row in counted if span[0] <= row[3] < span[1]]
    if not starts:
        known = ", ".join(sorted({row[0] for row in store.views.counts().panes})) or "none"
        raise MistakeError(
            f"the store has no panes of {model!r} in this time; it has those of: {known}"
        )
    return min(starts), max(starts) + 1.0


def _panes(
    store: Store, spec: ModelSpec, model: str, profile: Profile | None, first: float, last: float
) -> Iterator[PaneClosed]:
    marks = layout_marks(layouts_of(spec, profile))
    day = first
    while day < last:
        yield from panes_of(store.control.panes(model, day, min(day + DAY_S, last)), marks)
        day += DAY_S


def _rebucketed(panes: Iterator[PaneClosed], spec: ModelSpec) -> Iterator[PaneClosed]:
    """Panes in buckets of the policy's length, without holes."""
    bucket_s = spec.clock.bucket_s
    held: list[PaneClosed] = []
    at = -1
    for pane in panes:
        if pane.end - pane.start > bucket_s + _EDGE_S:
            raise MistakeError(
                f"the store counted in buckets of {duration_text(pane.end - pane.start)}, which cannot "
                f"be cut into the {duration_text(bucket_s)} of this policy; make clock.pane longer"
            )
        place = floor((pane.start + _EDGE_S) / bucket_s)
        if held and place != at:
            yield _merged(held, at, bucket_s)
            for empty in range(at + 1, place):
                yield PaneClosed(start=empty * bucket_s, end=(empty + 1) * bucket_s)
            held = []
        at = place
        held.append(pane)
    if held:
        yield _merged(held, at, bucket_s)


def _merged(panes: list[PaneClosed], at: int, bucket_s: float) -> PaneClosed:
    arms: dict[Arm, ArmCounts] = {}
    sources: dict[str, ArmCounts] = {}
    for pane in panes:
        for arm, counts in pane.arms.items():
            arms[arm] = merge_arms(arms[arm], counts) if arm in arms else counts
        for name, counts in pane.sources.items():
            sources[name] = merge_arms(sources[name], counts) if name in sources else counts
    return PaneClosed(
        start=at * bucket_s,
        end=(at + 1) * bucket_s,
        arms=arms,
        sources=sources,
        complete=all(pane.complete for pane in panes),
    )


def _matured(store: Store, model: str, spec: ModelSpec) -> dict[float, QualityMatured]:
    """Start of a bucket of the policy -> its joined labels, as they were counted at maturity."""
    bucket_s = spec.clock.bucket_s
    rows: dict[float, list[QualityRow]] = defaultdict(list)
    for row in store.control.quality(model, float("-inf"), float("inf")):
        rows[floor((row.bucket + _EDGE_S) / bucket_s) * bucket_s].append(row)
    found = {}
    for start, mine in rows.items():
        arms: dict[Arm, ArmQuality] = {}
        for row in mine:
            arm = Arm(row.version, row.variant)  # type: ignore[arg-type]
            sketch = QualitySketch.from_dict(msgspec.msgpack.decode(row.blob))
            before = arms.get(arm)
            arms[arm] = ArmQuality(
                predictions=row.predictions + (before.predictions if before else 0),
                sketch=before.sketch.merge(sketch) if before else sketch,
            )
        found[start] = QualityMatured(start=start, end=start + bucket_s, arms=arms)
    return found


def _is_due(start: float, pane: PaneClosed, spec: ModelSpec) -> bool:
    return start + spec.clock.bucket_s + spec.labels.maturity_s <= pane.end + _EDGE_S
