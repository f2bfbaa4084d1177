"""One model at a glance, as plain values: the API, the terminal view and the report show these."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from agents.commands import SIDE_KINDS
from agents.lifecycle import rollout_open, stage_view
from agents.snapshot import Snapshot
from driftd.store.rows import DecisionRow, Pulse
from driftd.store.store import Store
from policies.specs import ModelSpec

DECISIONS_SHOWN = 50


def model_pulse(store: Store, spec: ModelSpec) -> dict[str, Any]:
    """What a replayer or a pipeline polls: ``closed``, ``busy``, ``rollout``, ``epoch``, ``stage``
    and whether the reference ``profile`` is there, cheaper than the whole status."""
    pulse = store.views.pulse(spec.model)
    row = store.control.model_row(spec.model)
    lifecycle = Snapshot.from_bytes(row.snapshot, row.snapshot_format).lifecycle
    return {
        "closed": pulse.closed,
        "busy": _busy(pulse),
        "rollout": rollout_open(lifecycle),
        "epoch": lifecycle.epoch,
        "stage": lifecycle.stage.value,
        "champion": lifecycle.champion,
        "profile": bool(lifecycle.profile),
    }


def _busy(pulse: Pulse) -> bool:
    return pulse.inbox > 0 or bool(set(pulse.commands) - SIDE_KINDS)


def model_status(store: Store, spec: ModelSpec, decisions: int = DECISIONS_SHOWN) -> dict[str, Any]:
    """Everything about one model, from one read transaction of the store.

    ``closed``: event time up to which every bucket is closed. ``busy``: a command is in flight or
    waits in the inbox. ``rollout``: a second version answers requests or is about to.
    """
    # The pulse comes first and from one moment: who waits for `busy` to end must never see an old
    # "nothing to do" beside a newer "all is closed".
    pulse = store.views.pulse(spec.model)
    status = store.views.status(spec.model, decisions)
    row = status.model
    snapshot = Snapshot.from_bytes(row.snapshot, row.snapshot_format)
    return {
        "model": spec.model,
        "owner": spec.owner,
        "mode": spec.mode,
        "policy_revision": row.policy_revision,
        "published_revision": status.policy.revision if status.policy else 0,
        "closed": pulse.closed,
        "closed_text": when(pulse.closed),
        "busy": _busy(pulse),
        "paused_all": store.flags.paused_all(),
        "rollout": rollout_open(snapshot.lifecycle),
        **stage_view(snapshot.lifecycle, spec),
        "panes": snapshot.watch.panes,
        "readings": msgspec.json.decode(row.readings or b"[]"),
        "incidents": [msgspec.json.decode(incident.body) for incident in status.incidents],
        "decisions": [decision_view(decision) for decision in status.decisions],
        "commands": [
            {"op_id": c.op_id, "kind": c.kind, "state": c.state, "attempt": c.attempt,
             "reason": c.reason}
            for c in status.outbox
            if c.kind not in SIDE_KINDS
        ],
    }  # fmt: skip


def decision_view(row: DecisionRow) -> dict[str, Any]:
    """One line of the journal."""
    return {
        "id": row.id,
        "at": row.at,
        "at_text": when(row.at),
        "wall_at": row.wall_at,
        "what": row.what,
        "why": row.why,
        "by": row.by,
        "incident_id": row.incident_id,
        "op_id": row.op_id,
        "evidence": msgspec.json.decode(row.evidence),
        "policy_revision": row.policy_revision,
    }


def when(ts: float | None) -> str:
    """A time for people, in UTC; a dash where there is none."""
    if not ts:
        return "–"
    return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d %H:%M")
