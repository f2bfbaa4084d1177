"""River's detectors beside ours: shown as readings, and nothing else ever follows from them."""

from collections.abc import Mapping, Sequence
from typing import Any

from agents.watching.concept_streams import WRONG
from agents.watching.state import Reading
from detectors.advisory.catalog import advisor
from detectors.quality import QualitySketch

# For so many panes a drift is shown after it was said.
SHOWN_PANES = 6


def ask_advisors(
    names: Sequence[str], advice: Mapping[str, dict[str, Any]], sketch: QualitySketch, end: float
) -> tuple[tuple[Reading, ...], dict[str, dict[str, Any]]]:
    """What each says of the pane that ends at ``end``, and their next states.

    ``effect``: the share of wrong answers above the one that the advisor takes for usual.
    """
    readings, after = [], {}
    wrong = sketch.fp + sketch.fn
    for name in names:
        before = advice.get(name, {})
        state, said = advisor(name).step(before.get("state", {}), wrong, sketch.n)
        shown = SHOWN_PANES if said.drift else max(int(before.get("shown", 0)) - 1, 0)
        after[name] = {"state": state, "shown": shown}
        readings.append(
            Reading(
                stream=f"{WRONG}.{name}",
                distance=name,
                effect=wrong / sketch.n - said.usual,
                tolerance=0.0,
                evidence=float(shown > 0),
                state="advisory",
                panes=1,
                at=end,
            )
        )
    return tuple(readings), after
