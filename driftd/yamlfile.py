"""Reads YAML 1.2 into plain values and remembers where each of them stands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from policies.mistakes import Mistake, Path

# A file of aliases of aliases must not become gigabytes of values.
VALUES_MAX = 20_000
DEPTH_MAX = 50
_CORE = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file, counted from 1 as editors do."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Located:
    """A mistake with its place in a file."""

    mark: Mark
    mistake: Mistake

    def text(self, file: str) -> str:
        """``file:line:column: path: message``, as compilers write it and editors find it."""
        return f"{file}:{self.mark.line}:{self.mark.column}: {self.mistake}"

    def to_dict(self, file: str) -> dict[str, Any]:
        """The same for programs."""
        return {
            "file": file,
            "line": self.mark.line,
            "column": self.mark.column,
            "path": list(self.mistake.path),
            "message": self.mistake.message,
            "suggestion": self.mistake.suggestion,
        }


@dataclass(slots=True)
class YamlFile:
    """``values`` holds mappings, lists, texts, numbers, booleans and None; ``values`` and ``keys``
    of one path stand at two places."""

    values: Any = None
    value_marks: dict[Path, Mark] = field(default_factory=dict)
    key_marks: dict[Path, Mark] = field(default_factory=dict)
    mistakes: list[Located] = field(default_factory=list)

    def locate(self, mistakes: Iterable[Mistake]) -> tuple[Located, ...]:
        """The file's own mistakes and these, in the order of the file."""
        located = [Located(self.mark(mistake), mistake) for mistake in mistakes]
        return tuple(sorted([*self.mistakes, *located], key=lambda one: one.mark))

    def mark(self, mistake: Mistake) -> Mark:
        """Where to look. What is missing stands nowhere: its section does."""
        path = mistake.path[:-1] if mistake.about == "section" else mistake.path
        first: tuple[Mapping[Path, Mark], ...] = (self.value_marks, self.key_marks)
        # A section is found by its name, a wrong value by the value.
        if mistake.about in ("key", "section"):
            first = (self.key_marks, self.value_marks)
        while path:
            for marks in first:
                if path in marks:
                    return marks[path]
            path, first = path[:-1], (self.key_marks, self.value_marks)
        return self.value_marks.get((), Mark(1, 1))


def parse_yaml(text: str) -> YamlFile:
    """Read one document. What cannot be read stands in ``mistakes``; it raises nothing."""
    file = YamlFile()
    yaml = YAML(typ="rt", pure=True)
    yaml.version = (1, 2)
    try:
        node = yaml.compose(text)
    except MarkedYAMLError as error:
        file.mistakes.append(_syntax(error))
        return file
    except (YAMLError, UnicodeError, ValueError) as error:
        file.mistakes.append(Located(Mark(1, 1), Mistake((), f"is no YAML: {_line(error)}")))
        return file
    if node is None:
        file.mistakes.append(Located(Mark(1, 1), Mistake((), "the file is empty")))
        return file
    file.values = _Reader(file).value(node, ())
    return file


class _Reader:
    """Makes plain values of nodes; ruamel's own would stop at the first duplicate key."""

    def __init__(self, file: YamlFile) -> None:
        self._file = file
        self._count = 0
        self._open: set[int] = set()

    def value(self, node: Node, path: Path) -> Any:
        self._file.value_marks[path] = _mark(node)
        self._count += 1
        if self._count > VALUES_MAX or len(path) > DEPTH_MAX or id(node) in self._open:
            if self._count <= VALUES_MAX + 1:
                self._tell(_mark(node), path, "the file is too large, too deep or holds itself")
            return None
        self._open.add(id(node))
        try:
            return self._plain(node, path)
        finally:
            self._open.discard(id(node))

    def _plain(self, node: Node, path: Path) -> Any:
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, place)) for place, item in enumerate(node.value)]
        tag = str(node.tag)
        if not tag.startswith(_CORE):
            self._tell(
                _mark(node), path, f"the tag {tag} means nothing here; write the plain value"
            )
            return None
        return _scalar(tag.removeprefix(_CORE), node.value)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._tell(_mark(key_node), path, "a key must be a word, not a list or a mapping")
                continue
            # Whatever YAML might take the key for (a number, a boolean), it is a name here.
            key = str(key_node.value)
            inner = (*path, key)
            if key in values:
                line = self._file.key_marks[inner].line
                self._tell(_mark(key_node), inner, f"is written twice; the first is on line {line}")
                continue
            self._file.key_marks[inner] = _mark(key_node)
            values[key] = self.value(value_node, inner)
        return values

    def _tell(self, mark: Mark, path: Path, message: str) -> None:
        self._file.mistakes.append(Located(mark, Mistake(path, message)))


def _scalar(kind: str, text: str) -> Any:
    """The value of a plain word by YAML 1.2's core schema; dates stay texts."""
    if kind == "null":
        return None
    if kind == "bool":
        # A file that declares YAML 1.1 means its words for true.
        return text.lower() in ("true", "yes", "on", "y")
    try:
        if kind == "int":
            sign = -1 if text.startswith("-") else 1
            digits = text.lstrip("+-").replace("_", "")
            # A leading zero is no octal in YAML 1.2.
            base = 0 if digits[:2].lower() in ("0x", "0o", "0b") else 10
            return sign * int(digits, base)
        if kind == "float":
            return float(
                text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan")
            )
    except ValueError:
        return text
    return text


def _mark(node: Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _syntax(error: MarkedYAMLError) -> Located:
    place = error.problem_mark or error.context_mark
    mark = Mark(place.line + 1, place.column + 1) if place else Mark(1, 1)
    problem = " ".join(str(error.problem or error.context or "cannot be read").split())
    if r"'\t'" in problem or "\t" in str(error.problem):
        return Located(
            mark, Mistake((), "a tab stands where YAML wants spaces; indent with spaces")
        )
    if "expected a single document" in f"{error.context} {problem}":
        return Located(mark, Mistake((), "a second document begins; one file is one document"))
    return Located(mark, Mistake((), f"is no YAML: {problem}"))
