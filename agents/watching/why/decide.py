"""Which cause a stream has, where several would explain it: the surest, and of all each once."""

from dataclasses import replace

from agents.watching.streams import WHOLE
from agents.watching.why.catalog import CAUSES
from agents.watching.why.contract import Explained, Scene

# Less sure than this is a guess, and a guess about broken input would bar a training.
SURE_MIN = 0.5
# The whole-model stream may say that something moved before any single one does: what is half-way to
# an alarm of its own may then be named.
EVIDENCE_OF_WHOLE = 0.5


def decide(scene: Scene) -> dict[str, Explained]:
    """Stream -> the cause that explains it, for the streams that were asked about; where the whole
    model was and nothing else has a cause, also for those that are half-way to an alarm.

    A data fault goes before drift: broken input explains drift, and not the other way round. Then
    the surest, then what explains more streams, then the alphabet; a stream has one cause.
    """
    whole = WHOLE in scene.asked
    near = {name for name, one in scene.moved.items() if one.evidence >= EVIDENCE_OF_WHOLE}
    wider = replace(scene, asked=scene.asked | near) if whole else scene
    found = [one for known in CAUSES.values() if known.test for one in known.test(wider)]
    sure = [one for one in found if one.sure >= SURE_MIN]
    ranked = sorted(
        sure, key=lambda one: (one.kind, -one.sure, -len(one.streams), one.cause_kind, one.cause)
    )
    causes: dict[str, Explained] = {}
    taken: set[str] = set()
    for one in ranked:
        if taken & one.streams & wider.asked and one.cause_kind != "mixture":
            continue
        for name in one.streams - taken:
            causes[name] = one
        taken |= one.streams
    told = {name: one for name, one in causes.items() if name in scene.asked}
    if whole and not told:
        told = {name: one for name, one in causes.items() if name in near}
    return {
        name: replace(one, not_before=scene.moved[name].since) if name in scene.moved else one
        for name, one in told.items()
    }
