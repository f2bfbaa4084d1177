"""Checks a policy's values and compiles them: a spec, or every mistake at once."""

from typing import Any

from policies.clashes import Clash, Platform
from policies.combinations import clashes
from policies.compile import compile_policy
from policies.document import PolicyDocument
from policies.mistakes import Mistake, Path
from policies.specs import ModelSpec
from policies.strict import Origins, Reading, read


def check(
    values: Any, platform: Platform | None = None
) -> tuple[ModelSpec | None, tuple[Mistake, ...]]:
    """The compiled policy, or None and all its mistakes. ``platform`` gives the names that a policy
    may use; without it, names of trainers, routers, queries and encoders are not checked."""
    document, mistakes = check_document(values, platform)
    return (None if document is None else compile_policy(document)), mistakes


def check_document(
    values: Any, platform: Platform | None = None
) -> tuple[PolicyDocument | None, tuple[Mistake, ...]]:
    """The same before compiling: the document, which knows what the file said and what it left out."""
    reading = read(PolicyDocument, values, stand_in={"model": "model"})
    mistakes = list(reading.mistakes)
    if reading.document is not None:
        mistakes += _left_over(reading, platform)
    if mistakes or reading.document is None:
        return None, tuple(mistakes)
    return reading.document, ()


def _left_over(reading: Reading[PolicyDocument], platform: Platform | None) -> list[Mistake]:
    """The clashes that were concluded from values which could all be read."""
    document, origins = reading.document, reading.origins
    if document is None:
        return []
    # A misspelt key whose meaning was clear was read; nothing is uncertain about its value.
    read_anyway = {origins.of(path) for path in origins.words}
    unsure = [
        mistake.path
        for mistake in reading.mistakes
        if not (mistake.about == "key" and mistake.path in read_anyway)
    ]
    return [
        _as_written(one, origins)
        for one in clashes(document, platform)
        if not any(_concerns(bad, origins.of(touched)) for bad in unsure for touched in one.touches)
    ]


def _concerns(bad: Path, touched: Path) -> bool:
    return bad[: len(touched)] == touched or touched[: len(bad)] == bad


def _as_written(one: Clash, origins: Origins) -> Mistake:
    mistake = one.mistake
    return Mistake(
        origins.of(mistake.path), mistake.message, mistake.suggestion, about=mistake.about
    )
