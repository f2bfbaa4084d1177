"""Checks plain values against a document model and tells every mistake at once.

Pydantic stops at a wrong key before it looks at what stands below it, so the keys are walked first:
an unknown one is told and then read as the word it was meant to be. What is wrong after that is
told and cut out, and what is left is given back for the checks of combinations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from policies.mistakes import Mistake, Path, listed, nearest
from policies.translate import mistake_of, plain_path
from policies.units import said

M = TypeVar("M", bound=BaseModel)
# Cutting out one wrong value can bring the next to light (a section that now lacks a key); no
# document has more levels than this.
_ROUNDS_MAX = 10


@dataclass(slots=True)
class Origins:
    """Where a thing stands in the file: a misspelt key is read as the word that was meant, and
    items that could not be read are cut out of their lists, so that paths differ from the file's."""

    words: dict[Path, str] = field(default_factory=dict)
    places: dict[Path, list[int]] = field(default_factory=dict)

    def of(self, path: Path) -> Path:
        """The path as the file writes it."""
        return tuple(self._step(path[:i], step) for i, step in enumerate(path))

    def _step(self, parent: Path, step: str | int) -> str | int:
        if isinstance(step, str):
            return self.words.get((*parent, step), step)
        places = self.places.get(parent, [])
        return places[step] if step < len(places) else step


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Generic[M]):
    """``document`` is what could be read; it is the whole file only if ``mistakes`` is empty."""

    document: M | None
    mistakes: tuple[Mistake, ...]
    origins: Origins = field(default_factory=Origins)


def read(model: type[M], values: Any, stand_in: Mapping[str, Any] | None = None) -> Reading[M]:
    """Check ``values`` against ``model``. ``stand_in`` gives values for required keys of the first
    level, so that a file without them is still checked to its end."""
    if not isinstance(values, dict):
        mistake = Mistake((), f"a file is a mapping of keys, not {said(values)}")
        return Reading(document=None, mistakes=(mistake,))
    found: list[Mistake] = []
    origins, stand_ins = Origins(), dict(stand_in or {})
    left = _section(model, values, (), found, origins)
    for rounds in range(_ROUNDS_MAX):
        try:
            document = model.model_validate(left)
        except ValidationError as error:
            details = error.errors(include_url=False)
            found += _news(details, found, origins, first=rounds == 0)
            wrong = {plain_path(d["loc"]): d["type"] == "missing" for d in details}
            if not _cut(left, wrong, stand_ins, origins):
                break
        else:
            return Reading(document=document, mistakes=tuple(found), origins=origins)
    return Reading(document=None, mistakes=tuple(found), origins=origins)


def _news(
    details: list[ErrorDetails], found: list[Mistake], origins: Origins, *, first: bool
) -> list[Mistake]:
    """What was not told yet: a thing that is missing or empty because it was cut out has been."""
    told = {one.path for one in found}
    within = set() if first else {path[:end] for path in told for end in range(len(path))}
    news = []
    for detail in details:
        mistake = mistake_of(detail, origins.of)
        if mistake.path in within or (detail["type"] == "missing" and mistake.path in told):
            continue
        news.append(mistake)
    return news


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys that a section takes, as files write them."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds: itself, optional, in a list or under names."""
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _parts(annotation: Any) -> list[Any]:
    """The annotation and every type within it, e.g. of ``list[Rule | str] | None``."""
    if get_origin(annotation) is Annotated:
        return _parts(get_args(annotation)[0])
    if get_origin(annotation) not in (Union, UnionType, list, dict):
        return [annotation]
    return [annotation, *(part for inner in get_args(annotation) for part in _parts(inner))]


def _section(
    model: type[BaseModel],
    values: dict[Any, Any],
    path: Path,
    found: list[Mistake],
    origins: Origins,
) -> dict[str, Any]:
    """A copy of one section with its keys as they were meant; unknown ones are told and left out."""
    fields = keys_of(model)
    left: dict[str, Any] = {}
    for key, value in values.items():
        word = str(key)
        if word not in fields:
            meant = nearest(word, fields)
            message = (
                "no such key"
                if meant
                else f"no such key; there are {listed(sorted(fields), 'and')}"
            )
            found.append(Mistake((*origins.of(path), word), message, meant, about="key"))
            if not meant or meant in values or meant in left:
                continue
            origins.words[(*path, meant)] = word
            word = meant
        if value is None:
            section = model_in(fields[word].annotation) is not None
            why = "{} takes every default" if section else "give it one, or leave the key out"
            found.append(
                Mistake((*origins.of(path), str(key)), f"has no value; {why}", about="key")
            )
            continue
        left[word] = _value(fields[word].annotation, value, (*path, word), found, origins)
    return left


def _value(annotation: Any, value: Any, path: Path, found: list[Mistake], origins: Origins) -> Any:
    model = model_in(annotation)
    if isinstance(value, list):
        return [
            _value(annotation, item, (*path, place), found, origins)
            for place, item in enumerate(value)
        ]
    if not isinstance(value, dict):
        return value
    if model is None:
        return dict(value)
    # A mapping of names to sections: its keys are the user's own.
    if any(get_origin(part) is dict for part in _parts(annotation)):
        return {
            name: _section(model, item, (*path, name), found, origins)
            if isinstance(item, dict)
            else item
            for name, item in value.items()
        }
    return _section(model, value, path, found, origins)


def _cut(
    values: dict[str, Any],
    wrong: dict[Path, bool],
    stand_in: dict[str, Any],
    origins: Origins,
) -> bool:
    """Remove what is wrong, and sections that lack a key; False when nothing could be removed."""
    cut = False
    paths = {path[:-1] if missing and len(path) > 1 else path for path, missing in wrong.items()}
    # The last items of a list go first, or the places of the others would move.
    for path in sorted(paths, key=lambda p: [str(step).zfill(9) for step in p], reverse=True):
        parent: Any = values
        for step in path[:-1]:
            parent = parent[step] if _holds(parent, step) else None
        if path and _holds(parent, path[-1]):
            if isinstance(parent, list):
                places = origins.places.setdefault(path[:-1], list(range(len(parent))))
                places.pop(int(path[-1]))
            del parent[path[-1]]
            cut = True
        if len(path) == 1 and path[0] in stand_in:
            values[str(path[0])] = stand_in.pop(str(path[0]))
            cut = True
    return cut


def _holds(values: Any, step: Any) -> bool:
    if isinstance(values, dict):
        return step in values
    return isinstance(values, list) and isinstance(step, int) and step < len(values)
