"""How concept drift is told to people, one sentence a stream."""

from math import isnan, nan

from agents.watching.concept_streams import CALIBRATION, LOSS, WRONG
from agents.watching.state import Concept
from detectors.calibration import Calibration
from detectors.quality import QualitySketch


def how_loss(sketch: QualitySketch, seen: Calibration, normal: float) -> str:
    """Of the loss; ``normal`` is its mean in the burn-in."""
    return (
        f"{LOSS}: Brier score {sketch.brier:.3f} over {sketch.n} labels, "
        f"{seen.excess_loss:+.3f} beyond what its scores expect at this base rate, "
        f"normally {normal:+.3f}"
    )


def how_calibration(seen: Calibration, normal: float) -> str:
    """Of the calibration; ``normal`` is its mean in the burn-in."""
    return (
        f"{CALIBRATION}: up to the score {seen.where:.2f} labels and scores differ by "
        f"{seen.gap:.1%} of all answers, {seen.gap_effect:.3f} beyond chance, normally {normal:.3f}"
    )


def how_wrong(sketch: QualitySketch, seen: Calibration, share: float, concept: Concept) -> str:
    """Of the wrong answers; ``share`` as it was compared."""
    normal = concept.wrong.normal if concept.wrong is not None else nan
    if isnan(concept.usual):
        at = f"at the usual base rate of {concept.base:.1%}"
        return f"{WRONG}: {share:.1%} of the answers are wrong, {at}; normally {normal:.1%}"
    return (
        f"{WRONG}: {1 - sketch.accuracy:.1%} of the answers are wrong, where its scores expect "
        f"{seen.expected_wrong:.1%}; normally {normal - concept.usual:+.1%} beyond that"
    )
