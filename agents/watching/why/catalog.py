"""The shelf of causes: what may be wrong, the test for it, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agents.watching.why.category import new_category
from agents.watching.why.clock import clock
from agents.watching.why.contract import Cause
from agents.watching.why.missing import missing, missing_upstream
from agents.watching.why.mixture import mixture
from agents.watching.why.stuck import stuck
from agents.watching.why.swapped import swapped
from agents.watching.why.unit import unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What people read about a cause: its ``title``, and ``then``, what to do next in one line.

    ``test`` is None for what is told where it is seen: a feed that is silent, labels that are late
    or turned round.
    """

    title: str
    then: str
    test: Cause | None = None


# In the order of the alphabet.
CAUSES: Mapping[str, Known] = MappingProxyType(
    {
        "clock": Known(
            title="clock shift",
            then="Ask whoever sends the feature which time zone it is in; send local time again, or send UTC to a version trained on it.",
            test=clock,
        ),
        "flipped_labels": Known(
            title="labels turned round",
            then="Look at what the label job calls positive since the onset; send the right labels again. Nothing is trained until then.",
        ),
        "late_labels": Known(
            title="labels stay away",
            then="Look at the job that sends labels; quality and canaries wait for it, the model itself may be well.",
        ),
        "missing": Known(
            title="missing values",
            then="Ask whoever fills the feature what changed at the onset: a renamed field, a failing join, a type that is no number.",
            test=missing,
        ),
        "missing_upstream": Known(
            title="missing upstream",
            then="Repair the one source that delivers these features; if an older version does without them: driftd rollback.",
            test=missing_upstream,
        ),
        "mixture": Known(
            title="mixture shift",
            then="Ask who sends the new traffic. If it is to stay, accept the incident and train on it once its labels are there.",
            test=mixture,
        ),
        "new_category": Known(
            title="new category",
            then="If it was renamed, map it back; if it is new for good, accept the incident and train a version that knows it.",
            test=new_category,
        ),
        "outage": Known(
            title="outage",
            then="Look at the producer and its topic: nothing has come since the onset.",
        ),
        "stuck": Known(
            title="stuck value",
            then="Look at the sensor, cache or default behind the feature: it has not changed since the onset.",
            test=stuck,
        ),
        "swapped": Known(
            title="swapped columns",
            then="Look for a changed order of columns where the features are filled, and turn it back.",
            test=swapped,
        ),
        "unit": Known(
            title="unit change",
            then="Convert it back where the feature is filled; if the unit is to stay, train a version on it and accept the incident.",
            test=unit,
        ),
    }
)
