"""A watched directory: good changes are published once, bad ones told once, nothing is lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from driftd.control.policy_watch import FILE_BYTES_MAX, PolicyWatch, file_changes
from driftd.errors import UnreachableError
from driftd.yamlfile import Located
from policies.clashes import Platform
from policies.specs import ModelSpec


class Book:
    """Records what it is told, and is away when asked to be."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str]] = []
        self.specs: list[ModelSpec] = []
        self.refused: list[tuple[str, list[str]]] = []
        self.gone: list[tuple[str, str]] = []
        self.away = False

    def publish(self, *, model: str, text: str, digest: str, by: str, spec: ModelSpec) -> int:
        if self.away:
            raise UnreachableError("the store is away")
        self.published.append((model, by))
        self.specs.append(spec)
        return len(self.published)

    def on_refused(self, file: str, mistakes: tuple[Located, ...]) -> None:
        if self.away:
            raise UnreachableError("the store is away")
        self.refused.append((file, [one.text(file) for one in mistakes]))

    def on_gone(self, file: str, model: str) -> None:
        self.gone.append((file, model))


def watch(folder: Path, book: Book, **more: Any) -> PolicyWatch:
    return PolicyWatch(
        folder, publish=book.publish, on_refused=book.on_refused, on_gone=book.on_gone, **more
    )


def test_what_is_there_at_the_start_is_published_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("model: churn")
    (tmp_path / "a.yaml").write_text("model: fraud")
    (tmp_path / "notes.txt").write_text("no policy")
    book = Book()

    watch(tmp_path, book).look()

    assert book.published == [("fraud", "file a.yaml"), ("churn", "file b.yaml")]
    assert book.refused == []


def test_the_same_content_is_never_published_twice(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("model: fraud")
    book = Book()
    watching = watch(tmp_path, book)

    watching.look()
    watching.look()
    file.write_text("model: fraud")
    watching.look()
    file.write_text("model: fraud\nmode: observe")
    watching.look()

    assert [spec.mode for spec in book.specs] == ["alert", "observe"]


def test_a_bad_change_is_told_once_with_its_lines_and_publishes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("model: fraud")
    book = Book()
    watching = watch(tmp_path, book)
    watching.look()

    file.write_text("model: fraud\nmode: atuo\n")
    watching.look()
    watching.look()

    assert len(book.published) == 1
    assert book.refused == [
        (
            "a.yaml",
            [
                (
                    "a.yaml:2:7: mode: must be observe, alert, retrain or auto, not 'atuo'; "
                    "did you mean 'auto'?"
                )
            ],
        )
    ]


def test_a_mended_file_is_published_again(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    book = Book()
    watching = watch(tmp_path, book)

    for text in ("model: fraud", "model: [", "model: fraud"):
        file.write_text(text)
        watching.look()

    # The store knows that it is the same content and keeps its revision.
    assert [model for model, _ in book.published] == ["fraud", "fraud"]
    assert len(book.refused) == 1


def test_a_deleted_file_is_told_and_its_policy_stays(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("model: fraud")
    book = Book()
    watching = watch(tmp_path, book)
    watching.look()

    file.unlink()
    watching.look()
    watching.look()

    assert book.gone == [("a.yaml", "fraud")]
    assert len(book.published) == 1


def test_a_refused_file_still_stands_for_the_model_that_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("model: fraud")
    book = Book()
    watching = watch(tmp_path, book)
    watching.look()
    file.write_text("model: fraud\nmode: atuo")
    watching.look()

    file.unlink()
    watching.look()

    assert book.gone == [("a.yaml", "fraud")]


def test_two_files_of_one_model_are_told_and_the_first_stays(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("model: fraud")
    (tmp_path / "b.yaml").write_text("model: fraud\nmode: observe")
    book = Book()

    watch(tmp_path, book).look()

    assert [spec.mode for spec in book.specs] == ["alert"]
    assert book.refused == [
        (
            "b.yaml",
            ["b.yaml:1:8: model: fraud has its policy in a.yaml already; one file a model"],
        )
    ]


def test_a_file_that_turns_to_another_model_leaves_the_first_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("model: fraud")
    book = Book()
    watching = watch(tmp_path, book)
    watching.look()

    file.write_text("model: churn")
    watching.look()

    assert [model for model, _ in book.published] == ["fraud", "churn"]
    assert book.gone == [("a.yaml", "fraud")]


def test_a_publication_that_failed_is_tried_again_at_the_next_look(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("model: fraud")
    book = Book()
    book.away = True
    watching = watch(tmp_path, book)

    watching.look()
    assert book.published == []
    book.away = False
    watching.look()

    assert book.published == [("fraud", "file a.yaml")]


def test_names_are_checked_against_the_platforms(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("model: fraud\nretrain: {trainer: tabula}\n")
    book = Book()
    platform = Platform(
        trainers=frozenset({"tabular"}), routers=frozenset({"driftd"}), queries=frozenset()
    )

    watch(tmp_path, book, platform=platform).look()

    assert book.published == []
    assert book.refused[0][1] == [
        (
            "a.yaml:2:20: retrain.trainer: the settings name no trainer 'tabula'; "
            "did you mean 'tabular'?"
        )
    ]


def test_a_refusal_that_could_not_be_told_is_told_at_the_next_look(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("mode: atuo")
    book = Book()
    watching = watch(tmp_path, book)
    book.away = True
    watching.look()
    assert book.refused == []

    book.away = False
    watching.look()
    watching.look()

    assert [file for file, _ in book.refused] == ["a.yaml"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"\xff\xfe", "a.yaml:1:1: the file is not UTF-8: invalid start byte at byte 0"),
        (b"#" * (FILE_BYTES_MAX + 1), "a.yaml:1:1: the file is larger than 1048576 bytes"),
        (b"", "a.yaml:1:1: the file is empty"),
    ],
    ids=["not UTF-8", "too large", "empty"],
)
def test_what_is_no_text_is_refused_like_any_mistake(
    tmp_path: Path, content: bytes, line: str
) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    book = Book()

    watch(tmp_path, book).look()

    assert book.refused == [("a.yaml", [line])]


def test_it_looks_at_the_start_and_after_every_change(tmp_path: Path) -> None:
    folder, book = tmp_path / "policies", Book()

    async def changes(watched: Path) -> AsyncIterator[object]:
        assert watched == folder
        assert book.published == []
        (folder / "a.yaml").write_text("model: fraud")
        yield {"added"}
        assert len(book.published) == 1
        (folder / "a.yaml").write_text("model: fraud\nowner: me")
        yield {"modified"}

    # The directory does not exist yet: the watch makes it.
    asyncio.run(watch(folder, book, changes=changes).run())

    assert [spec.owner for spec in book.specs] == ["", "me"]


def test_the_real_watcher_reports_a_change(tmp_path: Path) -> None:
    async def first() -> object:
        stream = file_changes(tmp_path)
        waiting = asyncio.ensure_future(anext(stream))
        while not waiting.done():
            # Written until it is seen: the watcher starts at a moment of its own.
            (tmp_path / "a.yaml").write_text("model: fraud")
            await asyncio.wait({waiting}, timeout=0.05)
        await stream.aclose()  # type: ignore[attr-defined]
        return waiting.result()

    assert str(tmp_path / "a.yaml") in str(asyncio.run(first()))
