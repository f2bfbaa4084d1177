"""What a policy may say and this daemon does not act on: told by every check, never passed over."""

from policies.clashes import Platform
from policies.document import TolerateDocument
from policies.specs import ModelSpec


def notices_of(spec: ModelSpec, platform: Platform | None = None) -> tuple[str, ...]:
    """One sentence for each part of the policy that has no effect in this version, or on this
    ``platform``."""
    found: list[str] = []
    if platform is not None and platform.event_clock:
        found += [
            f"{rule.name}: Prometheus knows wall time only; with `clock: event` it is not asked"
            for rule in spec.rules
            if rule.query
        ]
    if spec.drift.tolerate_mmd != TolerateDocument().mmd:
        found.append("watch.drift.tolerate.mmd: vectors are not watched in this version")
    return tuple(found)
