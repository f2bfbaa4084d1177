"""A mixture shift: the traffic is what it was, and some of another kind has come to it."""

from agents.watching.why.contract import Explained, Moved, Scene, listed
from detectors.mixture import Mixture, find_mixture

KINDS = frozenset({"category", "numeric"})
# One stream can look like a mixture by chance; two that jumped together hardly do.
STREAMS_MIN = 2
APART_MAX = 1


def mixture(scene: Scene) -> list[Explained]:
    """Several features jumped together, each diluted by something concentrated."""
    found: dict[str, tuple[Moved, Mixture]] = {}
    for name, moved in sorted(scene.moved.items()):
        if name.startswith("@") or moved.stream.layout.kind not in KINDS:
            continue
        mixed = find_mixture(moved.stream.layout, moved.normal, moved.counts)
        if mixed is not None:
            found[name] = moved, mixed
    together = _together(found)
    if len(together) < STREAMS_MIN or not together & scene.asked:
        return []
    share = max(found[name][1].share for name in together)
    rest = max(found[name][1].rest / found[name][1].moved for name in together)
    # What came at the same time and is no clean mixture by itself belongs to it all the same: what
    # was mixed in need not be concentrated on every feature.
    panes = max(found[name][0].jump.panes for name in together)
    beside = frozenset(
        name
        for name, moved in scene.moved.items()
        if abs(moved.jump.panes - panes) <= APART_MAX and not name.startswith("@")
    )
    clearest = sorted(together, key=lambda name: -found[name][1].share)
    what = [_where(*found[name]) for name in clearest]
    return [
        Explained(
            cause_kind="mixture",
            kind="input_drift",
            streams=together | beside,
            cause=(
                f"about {share:.0%} of the traffic is of another kind than before, mostly "
                f"{listed(what)}; the rest is as it was"
            ),
            sure=(1 - rest) * (1 - 0.5 ** (len(together) - 1)),
        )
    ]


def _together(found: dict[str, tuple[Moved, Mixture]]) -> frozenset[str]:
    """The largest set of streams that jumped at the same time."""
    best: frozenset[str] = frozenset()
    for moved, _ in found.values():
        near = frozenset(
            name
            for name, (other, _) in found.items()
            if 0 <= other.jump.panes - moved.jump.panes <= APART_MAX
        )
        best = max(best, near, key=len)
    return best


def _where(moved: Moved, mixed: Mixture) -> str:
    labels = [moved.stream.layout.label(cell) for cell in mixed.cells[:2]]
    return f"{moved.name} {' or '.join(labels)}"
