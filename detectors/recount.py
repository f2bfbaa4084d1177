"""What shares on one layout would be on another, or after a change of their unit."""

import numpy as np

from detectors.contract import FloatArray, Layout
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout


class Mass:
    """Cumulative shares between edges, straight within a cell, ready to be moved."""

    def __init__(self, edges: FloatArray, cumulative: FloatArray, period: float | None) -> None:
        """``edges`` (E,), ``cumulative`` (E + 1,): the outer cells' mass lies one cell wide beside."""
        low, high = 2 * edges[0] - edges[1], 2 * edges[-1] - edges[-2]
        if period is not None:
            low, high = max(low, 0.0), min(high, period)
        self._edges, self._period = edges, period or 0.0
        self.span = float(edges[-1] - edges[0])
        self._x = np.concatenate([[min(low, edges[0])], edges, [max(high, edges[-1])]])
        self._share = np.concatenate([[0.0], cumulative[:-1], [1.0]])

    def below(self, x: FloatArray) -> FloatArray:
        """The share up to each place."""
        below: FloatArray = np.interp(x, self._x, self._share, left=0.0, right=1.0)
        return below

    def shifted(self, amounts: FloatArray) -> FloatArray:
        """Cumulative shares at the edges after adding each amount, shape (amounts, E)."""
        places = self._edges - amounts[:, None]
        if not self._period:
            return self.below(places)
        # On the circle [0, period): what lies between the moved zero and the moved edge.
        zero = -amounts[:, None] - 1e-9 * self._period
        return np.clip(self._circle(places) - self._circle(zero), 0.0, 1.0)

    def _circle(self, x: FloatArray) -> FloatArray:
        turns = np.floor(x / self._period)
        below: FloatArray = turns + self.below(x - turns * self._period)
        return below

    def scaled(self, amounts: FloatArray) -> FloatArray:
        """Cumulative shares at the edges after multiplying by each amount, shape (amounts, E)."""
        return self.below(self._edges / amounts[:, None])


def recounted(
    layout: Layout, shares: FloatArray, onto: Layout, *, scale: float = 1.0, offset: float = 0.0
) -> FloatArray | None:
    """Shares of ``onto``'s present cells, shape (onto.size - 1,), if what ``shares`` counts on
    ``layout`` were counted there, every number x as ``scale`` x + ``offset`` (scale > 0).

    Numbers are taken as spread evenly within their cell; names keep their names, and one that
    ``onto`` does not know is unseen there. None between numbers and names, for other kinds, and
    where there is nothing or too little to count.

    >>> fahrenheit = NumericLayout((32.0, 50.0, 68.0))
    >>> celsius = NumericLayout((0.0, 10.0, 20.0))
    >>> shares = np.array([0.0, 0.5, 0.5, 0.0])
    >>> recounted(fahrenheit, shares, celsius, scale=5 / 9, offset=-160 / 9).round(3).tolist()
    [0.0, 0.5, 0.5, 0.0]
    """
    if not shares.sum() > 0:
        return None
    if isinstance(layout, CategoryLayout) and isinstance(onto, CategoryLayout):
        return _by_name(layout, shares, onto)
    if not (isinstance(layout, NumericLayout) and isinstance(onto, NumericLayout)):
        return None
    if min(layout.size, onto.size) < 4:
        return None
    mass = Mass(layout.bounds, np.cumsum(shares), None)
    below = mass.below((onto.bounds - offset) / scale)
    counted: FloatArray = np.maximum(np.diff(below, prepend=0.0, append=1.0), 0.0)
    return counted


def _by_name(layout: CategoryLayout, shares: FloatArray, onto: CategoryLayout) -> FloatArray:
    counted = np.zeros(onto.size - 1)
    np.add.at(counted, onto.cells(layout.vocabulary), shares[: layout.other])
    # Nobody knows the names behind "other" and "unseen"; they are hardly names of this stream.
    counted[onto.unseen] += shares[layout.other :].sum()
    return counted
