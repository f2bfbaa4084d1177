"""The shelf of distances: one written line a thing."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from detectors.contract import Distance

# Name in policies -> module and class under `detectors.distances`, in the order of the alphabet.
PLACES = {
    "chi_square": "chi_square.ChiSquare",
    "jensen_shannon": "jensen_shannon.JensenShannon",
    "ks": "ks.KS",
    "mmd": "mmd.MMD",
    "psi": "psi.PSI",
    "total_variation": "total_variation.TotalVariation",
    "wasserstein": "wasserstein.Wasserstein",
}


def _made(place: str) -> Distance:
    module, name = place.split(".")
    made: Distance = getattr(import_module(f"detectors.distances.{module}"), name)()
    return made


DISTANCES: Mapping[str, Distance] = MappingProxyType(
    {name: _made(place) for name, place in PLACES.items()}
)
