"""How far a table may lie from its reference before somebody is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from detectors.catalog import DISTANCES
from driftd.errors import MistakeError
from policies.mistakes import listed, nearest
from policies.specs import DriftSpec
from policies.units import parse_share

MISSING, UNSEEN = "missing", "unseen"
# The distance that decides on a stream of each kind, as it does in the daemon.
DECIDING: Mapping[str, str] = MappingProxyType(
    {"category": "psi", "numeric": "ks", "positive": "ks", "vector": "mmd"}
)
_USUAL = DriftSpec()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """``usual``: what the deciding distance of a stream's kind may reach; ``asked``: distances that
    decide on every stream that they can measure, because somebody named them. ``missing`` and
    ``unseen`` are differences of shares, 0..1; streams in ``ignore`` are not looked at."""

    usual: Mapping[str, float] = field(
        default_factory=lambda: {
            "ks": _USUAL.tolerate_ks,
            "psi": _USUAL.tolerate_psi,
            "mmd": _USUAL.tolerate_mmd,
        }
    )
    asked: Mapping[str, float] = field(default_factory=dict)
    missing: float = _USUAL.tolerate_share
    unseen: float = 0.01
    ignore: frozenset[str] = frozenset()

    def of(self, kind: str) -> dict[str, float]:
        """Distance -> tolerance for a stream of this kind; several may decide."""
        mine = {
            n: t for n, t in self.asked.items() if n in DISTANCES and kind in DISTANCES[n].kinds
        }
        deciding = DECIDING.get(kind, "")
        if deciding in self.usual and deciding in DISTANCES:
            mine.setdefault(deciding, self.usual[deciding])
        return mine


def of_policy(drift: DriftSpec) -> Tolerances:
    """What a policy tolerates and ignores."""
    return Tolerances(
        usual={"ks": drift.tolerate_ks, "psi": drift.tolerate_psi, "mmd": drift.tolerate_mmd},
        missing=drift.tolerate_share,
        ignore=drift.ignore,
    )


def with_words(tolerances: Tolerances, words: Sequence[str]) -> Tolerances:
    """``tolerances`` with those of ``--tolerate ks=0.1,missing=5%`` in place of the usual ones.

    >>> with_words(Tolerances(), ["ks=0.2,missing=1%"]).missing
    0.01
    """
    known = (*DISTANCES, MISSING, UNSEEN)
    for word in ",".join(words).split(","):
        name, sign, amount = (part.strip() for part in word.partition("="))
        if not sign:
            raise MistakeError(f"--tolerate {word!r}: write name=amount, such as ks=0.1,missing=5%")
        if name not in known:
            meant = nearest(name, known)
            hint = f"did you mean {meant!r}?" if meant else f"there are {listed(known)}"
            raise MistakeError(f"--tolerate {name}: no such distance; {hint}")
        value = _amount(word, amount)
        if name == MISSING:
            tolerances = replace(tolerances, missing=value)
        elif name == UNSEEN:
            tolerances = replace(tolerances, unseen=value)
        else:
            tolerances = replace(tolerances, asked={**tolerances.asked, name: value})
    return tolerances


def _amount(word: str, amount: str) -> float:
    try:
        value = parse_share(amount) if amount.endswith("%") else float(amount)
    except ValueError as error:
        raise MistakeError(f"--tolerate {word}: {error}") from error
    if not 0 < value < float("inf"):
        raise MistakeError(f"--tolerate {word}: a tolerance is a number above 0")
    return value
