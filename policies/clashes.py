"""What a check of combinations is given and what it tells."""

from dataclasses import dataclass

from policies.mistakes import About, Mistake, Path, listed, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What the platform offers by name; a policy may name nothing else. ``event_clock``: its time
    is that of the events, at which no server outside can be asked."""

    trainers: frozenset[str]
    routers: frozenset[str]
    queries: frozenset[str]
    encoders: frozenset[str] = frozenset()
    event_clock: bool = False


@dataclass(frozen=True, slots=True)
class Clash:
    """Values that are right by themselves and cannot be together.

    ``touches``: the values that it was concluded from. If one of them could not be read, nothing is
    concluded, so that one mistake is not told twice.
    """

    mistake: Mistake
    touches: tuple[Path, ...]


def clash(
    path: Path,
    message: str,
    *more: Path,
    suggestion: str = "",
    about: About = "value",
) -> Clash:
    """A clash at ``path`` that was concluded from it and from ``more``."""
    return Clash(Mistake(path, message, suggestion, about=about), (path, *more))


def unnamed(what: str, name: str, known: frozenset[str], path: Path) -> Clash:
    """A trainer, router, query or encoder that the platform does not offer."""
    meant = nearest(name, known)
    why = f"the settings name no {what} {name!r}"
    if not meant:
        why += f"; they name {listed(sorted(known), 'and')}" if known else "; they name none"
    return clash(path, why, suggestion=meant)
