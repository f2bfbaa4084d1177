"""What a policy may say and this version does not act on: told by every check, never passed over."""

from policies.document import TolerateDocument
from policies.specs import ModelSpec


def notices_of(spec: ModelSpec) -> tuple[str, ...]:
    """One sentence for each part of the policy that has no effect in this version."""
    found = [
        f"{rule.name}: rules with a query are not evaluated in this version; it will never fire"
        for rule in spec.rules
        if rule.query
    ]
    if spec.drift.tolerate_mmd != TolerateDocument().mmd:
        found.append("watch.drift.tolerate.mmd: vectors are not watched in this version")
    return tuple(found)
