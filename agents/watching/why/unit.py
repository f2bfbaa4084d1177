"""A unit that changed: kilometres for miles, Celsius for Fahrenheit, cents for units."""

import numpy as np

from agents.watching.why.contract import Explained, Moved, Scene
from agents.watching.why.conversions import Conversion, conversions, dimension
from detectors.catalog import DISTANCES
from detectors.contract import Layout
from detectors.recount import recounted
from detectors.shift import find_shift
from detectors.sketches.numeric import NumericLayout

# With more of the panes in the open outer cells every large enough change explains them.
OUTSIDE_MAX = 0.5
# Of what moved so much may be left when the conversion is taken back.
LEFT_MAX, LEFT_MAX_UNHINTED = 0.35, 0.2
# Without a hint in its name a feature may be anything: the best factor of all must be the known one.
BLUR = 0.02
EVENTS_MIN = 50
# A feature of few values: most of its mass lies on them, and a new unit leaves them for others.
ATOMS_MIN, ATOMS_KEPT, SAME = 0.9, 0.25, 1e-6
ALIKE, SHOWN_MAX = 0.05, 2


def unit(scene: Scene) -> list[Explained]:
    """A known conversion, that fits what the feature's name says, explains the stream.

    A factor that no unit has is none, and neither is a constant shift: weather that is 10 degrees
    warmer is explained by one too. Scores have no unit: what the model answers is no feed.
    """
    found = []
    for name in sorted(scene.asked & scene.moved.keys()):
        moved = scene.moved[name]
        if name.startswith("@") or not _can_tell(moved):
            continue
        fitting = _fitting(moved)
        if not fitting:
            continue
        left = fitting[0][0]
        # Where the weather of the same days blurs them, two units may explain it about as well.
        alike = [known for other, known in fitting if other <= left + ALIKE][:SHOWN_MAX]
        found.append(
            Explained(
                cause_kind="unit",
                kind="data_fault",
                streams=frozenset({name}),
                cause=f"{name} is {', or '.join(f'{_said(one)}: {one.what}' for one in alike)}",
                sure=1 - left,
            )
        )
    return found


def _can_tell(moved: Moved) -> bool:
    layout, n = moved.stream.layout, int(moved.counts[:-1].sum())
    if not isinstance(layout, NumericLayout) or layout.size < 4 or n < EVENTS_MIN:
        return False
    return int(moved.counts[0] + moved.counts[-2]) <= OUTSIDE_MAX * n


def _fitting(moved: Moved) -> list[tuple[float, Conversion]]:
    """(what it leaves, conversion) of all that explain the stream, the best one first."""
    hinted = dimension(moved.name)
    free = None if hinted else _free_factor(moved)
    layout = moved.stream.layout
    fitting: list[tuple[float, Conversion]] = []
    for known in conversions():
        # A name that says what is measured admits its units; one that says nothing only powers of
        # ten, and then the best factor of all must be one: among all units some fits any change.
        if known.of not in (hinted, "") if hinted else (known.of or not _is(known, free)):
            continue
        if _stays_on_atoms(layout, moved, known):
            continue
        shares = recounted(layout, moved.normal, layout, scale=known.scale, offset=known.offset)
        if shares is None or moved.distance(shares) > moved.allowed:
            continue
        left = moved.left(shares)
        if left <= (LEFT_MAX if hinted else LEFT_MAX_UNHINTED):
            fitting.append((left, known))
    return sorted(fitting, key=lambda one: one[0])


def _stays_on_atoms(layout: Layout, moved: Moved, known: Conversion) -> bool:
    """Whether the values are still those that the feature always had, where a new unit would have
    other ones: less wind is still told in whole knots."""
    if not isinstance(layout, NumericLayout):
        return False
    edges = layout.bounds
    atoms = np.flatnonzero(np.nextafter(edges[1:], -np.inf) == edges[:-1]) + 1
    atoms = atoms[moved.normal[atoms] > 0]
    usual = moved.normal[atoms]
    if usual.sum() < ATOMS_MIN:
        return False
    values = edges[atoms]
    images = values * known.scale + known.offset
    nearest = np.abs(images[:, None] - values).min(axis=1)
    expected = float(usual[nearest <= SAME * np.maximum(np.abs(images), 1.0)].sum())
    present = moved.counts[:-1]
    return float(present[atoms].sum() / present.sum()) > expected + ATOMS_KEPT


def _is(known: Conversion, free: float | None) -> bool:
    return free is not None and not known.offset and abs(free / known.scale - 1) <= BLUR


def _free_factor(moved: Moved) -> float | None:
    """The factor that explains the stream best, whatever it is; None if a factor does not."""
    shift = find_shift(
        moved.stream.layout,
        moved.normal,
        moved.counts,
        DISTANCES[moved.stream.distance],
        tolerance=moved.allowed,
    )
    return shift.amount if shift is not None and shift.kind == "factor" else None


def _said(known: Conversion) -> str:
    if not known.offset:
        return f"multiplied by {known.scale:.4g}"
    scaled = f"multiplied by {known.scale:.4g} and " if known.scale != 1 else ""
    return f"{scaled}shifted by {known.offset:+.4g}"
