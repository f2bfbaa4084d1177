"""The streams of concept drift: what changed between the answers and what came true."""

from policies.specs import ModelSpec

LOSS, CALIBRATION, WRONG = "@loss", "@calibration", "@wrong"
CONCEPT = (LOSS, CALIBRATION, WRONG)


def concept_streams(spec: ModelSpec) -> tuple[str, ...]:
    """Those that are watched."""
    if not spec.drift.enabled:
        return ()
    return tuple(name for name in CONCEPT if name not in spec.drift.ignore)
