"""Turns what pydantic says of a value into what a person can act on."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from policies.mistakes import Mistake, Path, listed, nearest
from policies.units import said

# What each of pydantic's type errors asks for; `{said}` is what somebody wrote.
_WANTED: Mapping[str, str] = {
    "bool_type": "must be true or false, not {said}",
    "dict_type": "must be a mapping of names, not {said}",
    "float_type": "must be a number, not {said}",
    "int_type": "must be a whole number, not {said}",
    "list_type": "must be a list, not {said}",
    "model_type": "must be a section of keys, not {said}; write {{}} to take every default",
    "string_too_short": "must not be empty",
    "string_type": "must be a text, not {said}; put it in quotes",
    "too_short": "must not be empty",
}
_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def plain_path(loc: tuple[int | str, ...]) -> Path:
    """A location without what pydantic adds of its own: the names of union members, ``[key]``."""
    return tuple(
        step for step in loc if isinstance(step, int) or not step.startswith(("<", "[key]"))
    )


def mistake_of(detail: ErrorDetails, origin: Callable[[Path], Path]) -> Mistake:
    """One error of pydantic's as a mistake at the place where the file has it."""
    path = plain_path(detail["loc"])
    kind, value = detail["type"], detail["input"]
    if kind == "missing":
        return Mistake(origin(path), "is missing", about="section")
    about: Any = "key" if "[key]" in detail["loc"] else "value"
    message, suggestion = _message(detail, kind, value)
    return Mistake(origin(path), message, suggestion, about=about)


def _message(detail: ErrorDetails, kind: str, value: Any) -> tuple[str, str]:
    context = detail.get("ctx", {})
    if kind in ("literal_error", "union_tag_invalid"):
        return _no_such_word(str(context.get("expected", context.get("expected_tags"))), value)
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"must be {words} {context[key]}, not {said(value)}", ""
    if kind in _WANTED:
        return _WANTED[kind].format(said=said(value)), ""
    # Our own parsers say it in full.
    return str(context["error"]) if kind == "value_error" else detail["msg"], ""


def _no_such_word(expected: str, value: Any) -> tuple[str, str]:
    words = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    meant = nearest(value, words) if isinstance(value, str) else ""
    return f"must be {listed(words)}, not {said(value)}", meant
