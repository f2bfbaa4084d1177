"""A baseline that was learned elsewhere enters the store: one step, all of it or nothing."""

import msgspec

from agents.codec import layout_marks
from agents.snapshot import FORMAT, Snapshot
from agents.watching.streams import layouts_of
from detectors.profile import Profile
from driftd.data.replay.history import History
from driftd.errors import MistakeError, RefusedError
from driftd.store.rows import DecisionRow, ModelRow, ProfileWrite, StepWrite
from driftd.store.store import Store
from policies.specs import ModelSpec
from policies.units import duration_text

TRIES = 20


def import_baseline(store: Store, spec: ModelSpec, history: History, by: str) -> None:
    """Give a model that has no baseline one from history: its next pane is judged, not learned.

    It is written as a step of the control loop is, by compare-and-set on the model's revision, so
    it may be done beside a running daemon: who writes second reads again. Where the store has no
    profile yet, that of the history comes with it. Raises ``MistakeError`` where the policy or the
    cells differ, ``RefusedError`` where the model has learned its own baseline.
    """
    if history.model != spec.model:
        raise MistakeError(f"the baseline is one of {history.model!r}, not of {spec.model!r}")
    if history.pane_s != spec.clock.pane_s:
        raise MistakeError(
            f"the baseline was learned from panes of {duration_text(history.pane_s)}, the policy in "
            f"force has panes of {duration_text(spec.clock.pane_s)}; learn it with that policy"
        )
    for _ in range(TRIES):
        row = store.control.model_row(spec.model)
        if store.control.commit(_write(store, spec, history, row, by)):
            return
    raise RefusedError(f"{spec.model}: others wrote {TRIES} times in a row; try again")


def _write(store: Store, spec: ModelSpec, history: History, row: ModelRow, by: str) -> StepWrite:
    snapshot = Snapshot.from_bytes(row.snapshot, row.snapshot_format)
    if snapshot.watch.learned or store.control.baseline(spec.model) is not None:
        raise RefusedError(
            f"{spec.model} has a baseline already; a new one is learned by: driftd accept"
        )
    current = store.profiles.current(spec.model)
    profile = history.profile if current is None else Profile.from_bytes(current.blob)
    _compare_cells(spec, history, profile)
    fitted = history.fitted
    watch = snapshot.watch.begun(fitted.slots)
    told = DecisionRow(
        at=row.closed or fitted.until,
        what="baseline imported",
        why=f"{len(fitted.streams)} streams, learned from "
        f"{(fitted.until - fitted.since) / 86_400:.1f} days of recorded history",
        by=by,
        evidence=msgspec.json.encode({"since": fitted.since, "until": fitted.until}),
        policy_revision=row.policy_revision,
    )
    return StepWrite(
        model=spec.model,
        revision=row.revision,
        snapshot=msgspec.structs.replace(snapshot, watch=watch).to_bytes(),
        snapshot_format=FORMAT,
        closed=row.closed,
        policy_revision=row.policy_revision,
        rollout_open=row.rollout_open,
        decisions=(told,),
        baseline=fitted.to_bytes(),
        profile=None
        if current is not None
        else ProfileWrite(version=history.profile.version, blob=history.profile.to_bytes()),
    )


def _compare_cells(spec: ModelSpec, history: History, profile: Profile) -> None:
    marks = layout_marks(layouts_of(spec, profile))
    other = [name for name, mark in history.marks.items() if marks.get(name) != mark]
    if other:
        raise MistakeError(
            f"{', '.join(other[:5])} were counted in other cells than the model counts in now; learn "
            "the baseline with --profile of the version that serves"
        )
