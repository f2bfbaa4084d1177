"""Effects of many panes at once: what a burn-in of thousands of them is learned from."""

from typing import Protocol, runtime_checkable

import numpy as np

from detectors.contract import Distance, FloatArray, IntArray, Layout


@runtime_checkable
class ManyPanes(Protocol):
    """A distance that measures all panes of a stream in one pass of arrays."""

    def measure_rows(self, normal: FloatArray, present: IntArray, m: IntArray) -> FloatArray:
        """The values of T panes, shape (T,): ``normal`` and ``present`` (T, K), ``m`` (T,)."""
        ...


def effects_of(
    distance: Distance, layout: Layout, normal: FloatArray, counts: IntArray, m: IntArray
) -> FloatArray:
    """``distance.measure(...).value`` of each of T panes, shape (T,); NaN is a gap.

    ``normal``: (T, layout.size - 1) shares; ``counts``: (T, layout.size); ``m``: (T,) events behind
    each normal. The same numbers as pane by pane, up to rounding; only quicker.

    >>> from detectors.distances.ks import KS
    >>> from detectors.sketches.numeric import NumericLayout
    >>> normal, counts = np.full((2, 2), 0.5), np.array([[50, 50, 0], [90, 10, 3]])
    >>> effects_of(KS(), NumericLayout((1.0,)), normal, counts, np.zeros(2, np.int64)).round(3)
    array([-0.087,  0.313])
    """
    if isinstance(distance, ManyPanes):
        return distance.measure_rows(normal, counts[:, :-1], m)
    rows = zip(normal, counts, m.tolist(), strict=True)
    return np.array([distance.measure(layout, p, q, m=behind).value for p, q, behind in rows])
