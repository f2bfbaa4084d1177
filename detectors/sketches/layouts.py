"""The shelf of layouts, and the bytes in which counts are stored."""

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from detectors.contract import IntArray, Layout
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout
from detectors.sketches.positive import PositiveLayout
from detectors.sketches.vector import VectorLayout

_KINDS: Mapping[str, Callable[[dict[str, Any]], Layout]] = {
    "category": CategoryLayout.from_dict,
    "numeric": NumericLayout.from_dict,
    "positive": PositiveLayout.from_dict,
    "vector": VectorLayout.from_dict,
}

SIZE_MAX = 1_000_000
_VERSION = 1
# version, cells, cells that hold something, log2 of the bytes of one count
_HEADER = struct.Struct("<BIIB")
_WIDTHS = ("<u1", "<u2", "<u4", "<i8")


def layout_from_dict(values: dict[str, Any]) -> Layout:
    """The layout that its ``to_dict`` wrote down; ValueError names an unknown kind.

    >>> layout_from_dict({"kind": "numeric", "edges": [1.0]}).size
    3
    """
    make = _KINDS.get(values.get("kind", ""))
    if make is None:
        raise ValueError(f"no layout of kind {values.get('kind')!r}; there are {sorted(_KINDS)}")
    return make(values)


def encode_counts(counts: IntArray) -> bytes:
    """Counts of shape (cells,) as versioned bytes: the cells that hold something, compressed.

    ValueError if a count is negative.

    >>> decode_counts(encode_counts(np.array([0, 7, 0, 70_000]))).tolist()
    [0, 7, 0, 70000]
    """
    counts = np.asarray(counts, np.int64)
    if counts.ndim != 1 or len(counts) > SIZE_MAX or (counts < 0).any():
        raise ValueError("counts must be one row of at most a million numbers from 0 up")
    cells = np.flatnonzero(counts)
    held = counts[cells]
    top = int(held.max(initial=0))
    width = sum(top >= limit for limit in (1 << 8, 1 << 16, 1 << 32))
    gaps = np.diff(cells, prepend=0).astype("<u4")
    head = _HEADER.pack(_VERSION, len(counts), len(cells), width)
    # Level 1: rows are small and many; what a higher level gains is not worth its time.
    return head + zlib.compress(gaps.tobytes() + held.astype(_WIDTHS[width]).tobytes(), 1)


def decode_counts(data: bytes) -> IntArray:
    """The counts that ``encode_counts`` wrote; ValueError if the bytes are not whole."""
    if len(data) < _HEADER.size:
        raise ValueError("counts are cut off")
    version, size, held, width = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise ValueError(f"counts of format {version}; this release reads format {_VERSION}")
    if size > SIZE_MAX or held > size or width >= len(_WIDTHS):
        raise ValueError("counts are damaged")
    kind = np.dtype(_WIDTHS[width])
    expected = held * (4 + kind.itemsize)
    reader = zlib.decompressobj()
    try:
        # A bound, since what is read may be damaged: never more than the header announced.
        body = reader.decompress(data[_HEADER.size :], expected + 1)
    except zlib.error as error:
        raise ValueError("counts are damaged") from error
    if len(body) != expected or not reader.eof:
        raise ValueError("counts are damaged")
    cells = np.cumsum(np.frombuffer(body[: held * 4], "<u4"), dtype=np.int64)
    if held and cells[-1] >= size:
        raise ValueError("counts are damaged")
    counts = np.zeros(size, np.int64)
    counts[cells] = np.frombuffer(body[held * 4 :], kind)
    return counts
