"""The shelf of distances: one written line a thing."""

from collections.abc import Mapping
from types import MappingProxyType

from detectors.contract import Distance
from detectors.distances.ks import KS
from detectors.distances.psi import PSI

DISTANCES: Mapping[str, Distance] = MappingProxyType(
    {
        "ks": KS(),
        "psi": PSI(),
    }
)
