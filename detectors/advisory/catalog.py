"""The shelf of second opinions: one written line a thing.

River brings pandas and scikit-learn with it, some 170 MB that a daemon without advisors does not
need: a thing is imported when somebody asks for it.
"""

from functools import cache
from importlib import import_module

from detectors.advisory.contract import Advisor

# Name in policies -> module and class under `detectors.advisory`, in the order of the alphabet.
PLACES = {
    "adwin": "adwin.Adwin",
    "ddm": "ddm.Ddm",
}


@cache
def advisor(name: str) -> Advisor:
    """The advisor of a name; KeyError if there is none."""
    module, kind = PLACES[name].split(".")
    made: Advisor = getattr(import_module(f"detectors.advisory.{module}"), kind)()
    return made
