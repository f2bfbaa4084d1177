"""Names are counted by a vocabulary that the reference froze."""

import pytest

from detectors.sketches.category import NAME_CHARACTERS_MAX, RARE_MAX, CategoryLayout


def test_common_rare_unknown_and_missing_names_are_told_apart() -> None:
    layout = CategoryLayout.from_reference(["JFK"] * 60 + ["EWR"] * 50 + ["SWF"] * 49 + [None] * 9)

    assert layout.vocabulary == ("EWR", "JFK")
    assert layout.rare == ("SWF",)
    assert layout.fold(["JFK", "SWF", "ZZZ", None]).tolist() == [0, 1, 1, 1, 1]
    assert [layout.label(cell) for cell in range(layout.size)] == [
        "EWR",
        "JFK",
        "other",
        "unseen",
        "missing",
    ]


def test_the_vocabulary_keeps_the_commonest_and_ties_by_name() -> None:
    layout = CategoryLayout.from_reference(list("aabbbccd"), min_count=2, max=2)

    assert layout.vocabulary == ("a", "b")
    assert layout.rare == ("c", "d")


def test_a_huge_number_of_names_stays_bounded() -> None:
    names = [f"user-{i}" for i in range(RARE_MAX + 5_000)] + ["x"] * 50
    layout = CategoryLayout.from_reference(names)

    assert layout.vocabulary == ("x",)
    assert len(layout.rare) == RARE_MAX
    assert layout.fold(names)[layout.unseen] == 5_000


def test_a_number_is_one_name_however_it_is_written() -> None:
    layout = CategoryLayout.from_reference([1] * 50)

    assert layout.vocabulary == ("1",)
    assert layout.fold([1, 1.0, True, "1"])[0] == 4
    assert layout.fold([1.5, 0, "True"])[layout.unseen] == 3


def test_a_list_where_a_name_should_stand_is_unseen() -> None:
    layout = CategoryLayout(("a",))

    assert layout.fold(["a", ["a"], {"a": 1}]).tolist() == [1, 0, 2, 0]


def test_long_names_are_cut_alike_on_both_sides() -> None:
    long = "x" * (NAME_CHARACTERS_MAX + 50)
    layout = CategoryLayout.from_reference([long] * 50)

    assert len(layout.vocabulary[0]) == NAME_CHARACTERS_MAX
    assert layout.fold([long])[0] == 1


def test_names_that_look_like_special_cells_are_still_names() -> None:
    layout = CategoryLayout(("missing", "unseen"))

    assert layout.fold(["missing", "unseen", None]).tolist() == [1, 1, 0, 0, 1]


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        CategoryLayout(("a", "b"), rare=("b",))
