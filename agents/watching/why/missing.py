"""Values that are missing: from one feature, or from many at once because what delivers them is gone."""

from agents.watching.why.contract import Explained, Scene, Share, listed
from detectors.jump import find_jump

# So many features of one source, or of any, must have gone together to be one thing.
TOGETHER_OF_SOURCE, TOGETHER_MIN = 2, 3
APART_MAX = 1
# Missing from most events is a fault however slowly it came.
MOSTLY = 0.5


def missing(scene: Scene) -> list[Explained]:
    """One feature is missing: beyond what the burn-in showed, and at once or from most events.

    Some values are missing for a reason (no gust, no wind direction in calm air), and the reason
    has seasons: within what the burn-in showed, or slowly, it is drift and no fault.
    """
    return [
        Explained(
            cause_kind="missing",
            kind="data_fault",
            streams=frozenset({name}),
            cause=(
                f"{share.stream.of} is missing in {share.value:.1%} of the events "
                f"(normally {share.fit.normal:.1%})"
            ),
            sure=_sure(share),
        )
        for name, share in sorted(scene.shares.items())
        if name in scene.asked and is_broken(share)
    ]


def missing_upstream(scene: Scene) -> list[Explained]:
    """Several features went missing in the same pane: one thing upstream delivers them all."""
    gone = {name: share for name, share in scene.shares.items() if is_broken(share)}
    began = {name: _panes(share) for name, share in gone.items()}
    found = []
    groups = {frozenset(_near(began, panes)) for panes in set(began.values()) if panes}
    for group in sorted(groups, key=lambda names: (-len(names), sorted(names))):
        features = sorted(gone[name].stream.of for name in group)
        sources = {feature.partition(".")[0] for feature in features if "." in feature}
        of_source = len(sources) == 1 and all("." in feature for feature in features)
        needed = TOGETHER_OF_SOURCE if of_source else TOGETHER_MIN
        if len(group) < needed or not group & scene.asked:
            continue
        whose = f"the source {sources.pop()}" if of_source else "what delivers them"
        least = min(gone[name].value for name in group)
        found.append(
            Explained(
                cause_kind="missing_upstream",
                kind="data_fault",
                streams=group,
                cause=(
                    f"{listed(features)} went missing together, in {_much(least)}: "
                    f"{whose} gives nothing"
                ),
                # More than any of them alone: together they are one cause.
                sure=1 - (1 - max(_sure(gone[name]) for name in group)) / len(group),
            )
        )
    return found


def is_broken(share: Share) -> bool:
    """Whether a share of missing values is a fault and no season."""
    if share.stream.kind != "missing" or share.value <= share.fit.highest + share.fit.tolerance:
        return False
    return share.value >= MOSTLY or bool(_panes(share))


def _panes(share: Share) -> int:
    """How many panes ago it went missing; 0 if it crept."""
    jump = find_jump(share.track.recent, share.fit.tolerance)
    return jump.panes if jump is not None else 0


def _much(share: float) -> str:
    return "all events" if share >= 0.9995 else f"at least {share:.1%} of the events"


def _near(began: dict[str, int], panes: int) -> list[str]:
    return [name for name, mine in began.items() if mine and 0 <= mine - panes <= APART_MAX]


def _sure(share: Share) -> float:
    """Of the values that used to be there, the part that is gone."""
    there = 1 - share.fit.normal
    gone = share.value - share.fit.normal
    return max(0.5, min(gone / there, 1.0)) if there > 0 else 0.5
