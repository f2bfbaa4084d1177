"""What the lifecycle remembers of what others tell: incidents, faults, and how many labels came."""

from msgspec.structs import replace

from agents.contract import Step
from agents.events import QualityMatured
from agents.incidents import Incident, IncidentChanged
from agents.stages.attempts import abandon
from agents.stages.moves import changed, decided, step
from agents.stages.state import (
    FAULTS_KEPT_MAX,
    INCIDENTS_KEPT_MAX,
    LABEL_MARKS_MAX,
    LIVE,
    PREPARING,
    LabelMark,
    LifecycleState,
    OpenIncident,
    Span,
)
from policies.metrics import METRICS
from policies.specs import ModelSpec

# People said that nothing was wrong with this input after all.
FORGIVEN = frozenset({"accepted", "false_alarm"})


def on_incident(
    _spec: ModelSpec, state: LifecycleState, event: IncidentChanged, now: float
) -> Step[LifecycleState]:
    """Keep the open ones. A data fault stops the clock of a rollout, and spoils a training whose
    data it reaches into."""
    incident = event.incident
    others = tuple(one for one in state.incidents if one.incident_id != incident.incident_id)
    if event.change != "closed":
        others = (*others, _kept(incident))[-INCIDENTS_KEPT_MAX:]
    state = changed(state, incidents=others)
    if incident.kind != "data_fault":
        return step(state)
    return _on_fault(changed(state, faults=_faults(state, event)), event, now)


def on_labels(
    _spec: ModelSpec, state: LifecycleState, event: QualityMatured, _now: float
) -> Step[LifecycleState]:
    """Count the labels of live answers; a shadow's answer has the same label as the live one."""
    labels = sum(quality.sketch.n for arm, quality in event.arms.items() if arm.variant != "shadow")
    if labels == 0:
        return step(state)
    marks = (*state.labels, LabelMark(start=event.start, before=state.labels_total))
    if len(marks) > LABEL_MARKS_MAX:
        # Thin out the older half: their counts stay right, their onsets become coarser.
        half = LABEL_MARKS_MAX // 2
        marks = (*marks[:half:2], *marks[half:])
    return step(changed(state, labels=marks, labels_total=state.labels_total + labels))


def labels_since(state: LifecycleState, onset: float) -> int:
    """Labels of predictions at or after ``onset``, never too many."""
    before = (mark.before for mark in state.labels if mark.start >= onset)
    return state.labels_total - min(before, default=state.labels_total)


def faults_within(
    state: LifecycleState, since: float, until: float
) -> tuple[tuple[float, float], ...]:
    """The spans of faulty input inside [since, until), cut to it."""
    spans = (
        (max(f.start, since), min(until if f.end is None else f.end, until)) for f in state.faults
    )
    return tuple(sorted(span for span in spans if span[0] < span[1]))


def metric_that_fell(state: LifecycleState, incident_id: str) -> str:
    """The first metric of an incident that an evaluation can measure; it must improve."""
    incident = next((one for one in state.incidents if one.incident_id == incident_id), None)
    for name in incident.metrics if incident is not None else ():
        metric = METRICS.get(name)
        if metric is not None and metric.needs_labels and metric.offline:
            return name
    return ""


def _kept(incident: Incident) -> OpenIncident:
    return OpenIncident(
        incident_id=incident.incident_id,
        kind=incident.kind,
        onset=incident.onset,
        metrics=tuple(dict.fromkeys(moved.distance for moved in incident.streams)),
    )


def _faults(state: LifecycleState, event: IncidentChanged) -> tuple[Span, ...]:
    incident = event.incident
    others = tuple(one for one in state.faults if one.incident_id != incident.incident_id)
    if incident.state in FORGIVEN:
        return others
    end = None
    if event.change == "closed":
        end = event.at if incident.closed is None else incident.closed
    span = Span(start=incident.onset, end=end, incident_id=incident.incident_id)
    return (*others, span)[-FAULTS_KEPT_MAX:]


def _on_fault(state: LifecycleState, event: IncidentChanged, now: float) -> Step[LifecycleState]:
    incident, attempt = event.incident, state.attempt
    is_open = any(one.kind == "data_fault" for one in state.incidents)
    live = state.stage in LIVE
    if is_open and state.fault_from is None:
        state = changed(state, fault_from=event.at)
        if live:
            why = f"{incident.summary}: broken input decides nothing, so the clock stands still"
            note = decided(now, "wait", why, incident_id=incident.incident_id)
            return step(state, note)
    elif not is_open and state.fault_from is not None:
        state = _clock_goes_on(state, event.at)
        if live:
            why = "the input is whole again, so the clock goes on"
            return step(state, decided(now, "go on", why, incident_id=incident.incident_id))
    spoilt = attempt is not None and is_open and incident.onset < attempt.until
    if spoilt and state.stage in PREPARING:
        return abandon(state, now, f"{incident.summary} reaches into the data of the training")
    return step(state)


def _clock_goes_on(state: LifecycleState, at: float) -> LifecycleState:
    rollout, stopped = state.rollout, state.fault_from
    state = changed(state, fault_from=None)
    if rollout is None or stopped is None:
        return state

    def moved(began: float | None) -> float | None:
        return None if began is None else began + max(0.0, at - max(stopped, began))

    return changed(
        state,
        rollout=replace(rollout, began=moved(rollout.began), step_began=moved(rollout.step_began)),
    )
