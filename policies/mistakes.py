"""A person's mistake: where it is, what is wrong, and the nearest right word."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Path = tuple[str | int, ...]
# Which line of the file the reader must look at: the key itself, its value, or, when something is
# missing, the section that lacks it.
About = Literal["key", "value", "section"]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake. ``path`` is where, e.g. ``("watch", "rules", 0, "above")``.

    >>> print(Mistake(("retrain", "limts"), "no such key", "limits"))
    retrain.limts: no such key; did you mean 'limits'?
    """

    path: Path
    message: str
    suggestion: str = ""
    about: About = "value"

    def __str__(self) -> str:
        where = path_text(self.path)
        return f"{where}: {self.text}" if where else self.text

    @property
    def text(self) -> str:
        """The message with the nearest right word, without the path."""
        hint = f"; did you mean {self.suggestion!r}?" if self.suggestion else ""
        return f"{self.message}{hint}"


def path_text(path: Path) -> str:
    """A path as people write it.

    >>> path_text(("watch", "rules", 0, "above"))
    'watch.rules[0].above'
    """
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def nearest(word: object, known: Iterable[str]) -> str:
    """The known word that ``word`` was most probably meant to be, or nothing.

    >>> nearest("worst_by", ["above", "worse_by"])
    'worse_by'
    """
    matches = get_close_matches(str(word).lower(), sorted(known), n=1, cutoff=0.6)
    return matches[0] if matches else ""


def listed(words: Sequence[str], last: str = "or") -> str:
    """Words as a sentence lists them.

    >>> listed(["above", "below", "worse_by"])
    'above, below or worse_by'
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
