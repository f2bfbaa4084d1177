"""YAML 1.2 with places: values, where they stand, and everything that is no YAML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.yamlfile import VALUES_MAX, parse_yaml
from policies.mistakes import Mistake

VALUES = {
    "`on` is a key and `yes` a word": ("on: yes", {"on": "yes"}),
    "a leading zero is no octal": ("n: 010", {"n": 10}),
    "octal and hexadecimal": ("{a: 0o17, b: 0x1F}", {"a": 15, "b": 31}),
    "a date stays a text": ("d: 2024-01-01", {"d": "2024-01-01"}),
    "numbers": ("[1, -2, 0.5, 1e3, -.inf]", [1, -2, 0.5, 1000.0, float("-inf")]),
    "booleans and nothing": ("[true, false, null, ~]", [True, False, None, None]),
    "keys are words": ("{1: a, true: b}", {"1": "a", "true": "b"}),
    "an anchor is read again": ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
    "merge keys are no YAML 1.2": ("a: {<<: {b: 1}}", {"a": {"<<": {"b": 1}}}),
    "a file that declares YAML 1.1": ("%YAML 1.1\n---\na: yes", {"a": True}),
}


@pytest.mark.parametrize(("text", "values"), VALUES.values(), ids=VALUES)
def test_values_are_read_by_the_core_schema(text: str, values: object) -> None:
    file = parse_yaml(text)

    assert file.values == values
    assert file.mistakes == []


BROKEN = {
    "a tab": ("a:\n\tb: 1", "f:2:1: a tab stands where YAML wants spaces; indent with spaces"),
    "a key twice": ("a: 1\nb: 2\na: 3", "f:3:1: a: is written twice; the first is on line 1"),
    "a key twice, inside": (
        "a:\n  b: 1\n  b: 2",
        "f:3:3: a.b: is written twice; the first is on line 2",
    ),
    "a bracket left open": (
        "a: [1,\n",
        "f:2:1: is no YAML: expected the node content, but found '<stream end>'",
    ),
    "a colon too many": (
        "a: b: c",
        "f:1:5: is no YAML: mapping values are not allowed here",
    ),
    "nothing": ("# a comment\n", "f:1:1: the file is empty"),
    "two documents": (
        "a: 1\n---\nb: 2",
        "f:2:1: a second document begins; one file is one document",
    ),
    "a list as a key": ("? [a]\n: 1", "f:1:3: a key must be a word, not a list or a mapping"),
    "a tag": (
        "a: !secret x",
        "f:1:4: a: the tag !secret means nothing here; write the plain value",
    ),
    "an unknown alias": ("a: *nope", "f:1:4: is no YAML: found undefined alias 'nope'"),
    "a value that holds itself": (
        "a: &x {b: *x}",
        "f:1:4: a.b: the file is too large, too deep or holds itself",
    ),
}


@pytest.mark.parametrize(("text", "line"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_yaml_is_a_mistake_with_its_place(text: str, line: str) -> None:
    assert [one.text("f") for one in parse_yaml(text).mistakes] == [line]


def test_a_file_of_aliases_of_aliases_is_bounded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]

    file = parse_yaml("\n".join(lines))

    assert len(file.value_marks) <= VALUES_MAX + 1_000
    assert [one.mistake.message for one in file.mistakes] == [
        "the file is too large, too deep or holds itself"
    ]


def test_every_duplicate_is_told_and_the_rest_is_still_read() -> None:
    file = parse_yaml("a: 1\na: 2\nb: {c: 1, c: 2}")

    assert [one.mark.line for one in file.mistakes] == [2, 3]
    assert file.values == {"a": 1, "b": {"c": 1}}


TEXT = """\
watch:
  rules:
    - {metric: brier, above: 5}
    - metric: auc
      below: 1
"""
RULE = ("watch", "rules", 1)


PLACES = {
    "a wrong value is found by the value": (Mistake((*RULE, "below"), "x"), (5, 14)),
    "a wrong key by the key": (Mistake((*RULE, "below"), "x", about="key"), (5, 7)),
    "what is missing by its section": (Mistake((*RULE, "over"), "x", about="section"), (4, 7)),
    "a missing key of a named section": (Mistake(("watch", "x"), "x", about="section"), (1, 1)),
    "a missing key of the file": (Mistake(("model",), "x", about="section"), (1, 1)),
    "a value in a list": (Mistake(("watch", "rules", 0), "x"), (3, 7)),
    "what stands nowhere by what is above it": (
        Mistake(("watch", "rules", 0, "q", "r"), "x"),
        (3, 7),
    ),
}


@pytest.mark.parametrize(("mistake", "place"), PLACES.values(), ids=PLACES)
def test_a_mistake_is_found_where_an_editor_shows_it(
    mistake: Mistake, place: tuple[int, int]
) -> None:
    mark = parse_yaml(TEXT).mark(mistake)

    assert (mark.line, mark.column) == place


@given(st.text(max_size=200))
def test_no_text_makes_it_raise(text: str) -> None:
    file = parse_yaml(text)

    assert all(one.mark.line >= 1 and one.mark.column >= 1 for one in file.mistakes)
