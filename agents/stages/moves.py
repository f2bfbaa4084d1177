"""The few moves that every stage is made of: enter, ask for an effect, hear its end, try again."""

from collections.abc import Iterable
from typing import Any

import msgspec

from agents.commands import AnyCommand, Decided
from agents.contract import Step
from agents.events import CommandDone, OperatorAsked
from agents.stages.state import SETTLED_KEPT_MAX, LifecycleState, Op, OpKind, Retry, Rollout, Stage

BACKOFF_FIRST_S = 60.0
BACKOFF_MAX_S = 3_600.0
# An executor waits for unreachable systems by itself; what it gives up on is tried this often.
TRIES_MAX = 5


def changed(state: LifecycleState, **values: Any) -> LifecycleState:
    """The state with some fields replaced."""
    return msgspec.structs.replace(state, **values)


def enter(state: LifecycleState, stage: Stage, now: float, **values: Any) -> LifecycleState:
    """The state in another stage. Ends of commands of the old one are no longer waited for,
    except of those that belong to the model rather than to a stage."""
    ops = tuple(op for op in state.ops if op.kind in {"profile", "traffic"})
    retries = tuple(retry for retry in state.retries if retry.kind in {"profile", "traffic"})
    values = {"ops": ops, "retries": retries, **values}
    return changed(state, stage=stage, since=now, **values)


def step(
    state: LifecycleState,
    *decisions: Decided,
    commands: Iterable[AnyCommand] = (),
) -> Step[LifecycleState]:
    """A step of the lifecycle."""
    return Step(state=state, commands=tuple(commands), decisions=decisions)


def rollout_of(state: LifecycleState) -> Rollout:
    """The candidate on its way, in a stage that has one."""
    if state.rollout is None:
        raise ValueError(f"{state.stage} without a rollout")
    return state.rollout


def awaiting(
    state: LifecycleState, command: AnyCommand, kind: OpKind, attempt: int = 1
) -> LifecycleState:
    """The state that waits for the end of ``command``; an older one of its kind is forgotten."""
    others = tuple(op for op in state.ops if op.kind != kind)
    retries = tuple(retry for retry in state.retries if retry.kind != kind)
    op = Op(op_id=command.op_id, kind=kind, attempt=attempt)
    return changed(state, ops=(*others, op), retries=retries)


def op_of(state: LifecycleState, done: CommandDone) -> Op | None:
    """The command whose end this is, if it is waited for."""
    return next((op for op in state.ops if op.op_id == done.op_id), None)


def in_flight(state: LifecycleState, kind: OpKind) -> bool:
    """Whether a command of this kind was sent and has not ended."""
    return any(op.kind == kind for op in state.ops)


def heard(state: LifecycleState, done: CommandDone) -> tuple[LifecycleState, Op]:
    """The state without the command that ended, and that command."""
    op = op_of(state, done)
    if op is None:
        raise ValueError(f"nobody waits for {done.kind} {done.op_id}")
    return changed(state, ops=tuple(other for other in state.ops if other != op)), op


def later(state: LifecycleState, op: Op, now: float) -> LifecycleState:
    """The state in which ``op`` is tried again, the pauses doubling from a minute to an hour."""
    pause = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(op.attempt - 1, 16))
    retry = Retry(kind=op.kind, attempt=op.attempt + 1, at=now + pause)
    others = tuple(other for other in state.retries if other.kind != op.kind)
    return changed(state, retries=(*others, retry))


def due(state: LifecycleState, kind: OpKind, now: float) -> int:
    """The attempt that is due of a failed command; 0 if none is."""
    return next((r.attempt for r in state.retries if r.kind == kind and r.at <= now), 0)


def settle(state: LifecycleState, cause: str) -> tuple[str, ...]:
    """The causes that need no other training, ``cause`` among them."""
    others = tuple(other for other in state.settled if other != cause)
    return (*others, cause)[-SETTLED_KEPT_MAX:]


def decided(now: float, what: str, why: str, *, by: str = "policy", **about: Any) -> Decided:
    """A line of the journal. ``about``: incident_id, op_id, evidence."""
    return Decided(at=now, what=what, why=why, by=by, **about)


def ignored(
    state: LifecycleState, now: float, what: str, why: str, by: str = "driftd"
) -> Step[LifecycleState]:
    """Nothing happens, and the journal says why."""
    return step(state, decided(now, "ignore", f"{what} was ignored because {why}", by=by))


def refused(
    state: LifecycleState, asked: OperatorAsked, now: float, why: str
) -> Step[LifecycleState]:
    """A person's wish is not granted, and the journal says why."""
    return step(state, decided(now, "decline", f"{asked.verb} was declined: {why}", by=asked.by))
