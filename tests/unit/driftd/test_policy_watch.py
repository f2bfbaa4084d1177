"""A watched directory: good changes are published once, bad ones told once, nothing is lost."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from driftd.control.policies import Standing
from driftd.control.policy_watch import FILE_BYTES_MAX, PolicyWatch, file_changes
from driftd.errors import UnreachableError
from driftd.yamlfile import Located
from policies.clashes import Platform
from policies.specs import ModelSpec

ONE, TWO = "model: fraud", "model: fraud\nmode: observe"


def content(text: str) -> str:
    """The digest of a file's content."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Book:
    """A book in memory: records what it is told, and is away when asked to be."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str]] = []
        self.specs: list[ModelSpec] = []
        self.refused: list[tuple[str, str, list[str]]] = []
        self.gone: list[tuple[str, str]] = []
        self.befores: list[str] = []
        self.contents: dict[str, list[str]] = {}
        self.away = False

    def publish_file(
        self, *, text: str, digest: str, by: str, spec: ModelSpec, before: str
    ) -> Standing:
        self._reach()
        self.befores.append(before)
        held = self.contents.setdefault(spec.model, [])
        if digest in held and held[-1] not in (digest, before):
            return Standing(holds=held.index(digest) + 1, in_force=len(held))
        if held[-1:] != [digest]:
            held.append(digest)
        self.published.append((spec.model, by))
        self.specs.append(spec)
        return Standing(holds=len(held), in_force=len(held), published=True)

    def apply(self, model: str, digest: str) -> None:
        """Somebody else publishes."""
        self.contents[model].append(digest)

    def heads(self) -> dict[str, tuple[int, str]]:
        self._reach()
        return {model: (len(held), held[-1]) for model, held in self.contents.items()}

    def refuse(self, file: str, model: str, mistakes: tuple[Located, ...]) -> None:
        self._reach()
        self.refused.append((file, model, [one.text(file) for one in mistakes]))

    def on_gone(self, file: str, model: str) -> None:
        self.gone.append((file, model))

    def _reach(self) -> None:
        if self.away:
            raise UnreachableError("the store is away")


def watch(folder: Path, book: Book, **more: Any) -> PolicyWatch:
    return PolicyWatch(folder, book, on_gone=book.on_gone, **more)


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
            "fraud",
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

    # The book knows that it is the same content and keeps its revision.
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
            "fraud",
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
    assert book.refused[0][2] == [
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

    assert [file for file, _, _ in book.refused] == ["a.yaml"]


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

    assert book.refused == [("a.yaml", "", [line])]


def test_a_person_may_put_an_older_content_back(tmp_path: Path) -> None:
    file, book = tmp_path / "a.yaml", Book()
    watching = watch(tmp_path, book)

    for text in (ONE, TWO, "model: [", ONE):
        file.write_text(text)
        watching.look()

    # What counts is the last good content, whatever mistake stood there in between.
    assert book.contents["fraud"] == [content(ONE), content(TWO), content(ONE)]
    assert watching.notices() == ()


def test_a_file_that_an_editor_takes_away_and_puts_back_is_the_same_file(tmp_path: Path) -> None:
    file, book = tmp_path / "a.yaml", Book()
    watching = watch(tmp_path, book)
    for text in (ONE, TWO):
        file.write_text(text)
        watching.look()

    file.unlink()
    watching.look()
    file.write_text(ONE)
    watching.look()

    assert book.contents["fraud"][-1] == content(ONE)


def test_an_old_copy_takes_nothing_back_and_is_told_until_it_is_up_to_date(tmp_path: Path) -> None:
    file, book = tmp_path / "a.yaml", Book()
    file.write_text(ONE)
    watch(tmp_path, book).look()
    book.apply("fraud", content(TWO))

    restarted = watch(tmp_path, book)
    restarted.look()

    assert book.contents["fraud"] == [content(ONE), content(TWO)]
    assert restarted.stale == {"a.yaml"}
    [notice] = restarted.notices()
    assert "a.yaml holds revision 1 of fraud, revision 2 is in force" in notice
    assert "driftd apply a.yaml" in notice

    file.write_text(TWO)
    restarted.look()

    assert restarted.stale == frozenset()
    assert restarted.notices() == ()
    assert len(book.contents["fraud"]) == 2


def test_a_file_that_others_overtook_is_told_without_being_touched(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ONE)
    book = Book()
    watching = watch(tmp_path, book)
    watching.look()

    book.apply("fraud", content(TWO))
    watching.look()

    assert watching.stale == {"a.yaml"}
    book.apply("fraud", content(ONE))
    watching.look()
    assert watching.stale == frozenset()


def test_what_a_file_said_of_another_model_is_no_state_of_this_one(tmp_path: Path) -> None:
    file, book = tmp_path / "a.yaml", Book()
    watching = watch(tmp_path, book)

    for text in (ONE, "model: churn", ONE):
        file.write_text(text)
        watching.look()

    assert book.befores == ["", "", ""]


def test_a_refused_file_is_a_notice_until_it_is_mended(tmp_path: Path) -> None:
    file, book = tmp_path / "a.yaml", Book()
    watching = watch(tmp_path, book)
    file.write_text("model: fraud\nmode: atuo")
    watching.look()

    [notice] = watching.notices()
    assert notice.startswith("a.yaml is refused and changes nothing: a.yaml:2:7:")
    file.write_text(ONE)
    watching.look()
    assert watching.notices() == ()


def test_a_config_map_that_kubernetes_swaps_is_read(tmp_path: Path) -> None:
    """The files are links to ``..data``, a link that is renamed over in one go."""
    book = Book()
    mount(tmp_path, "..1", ONE)
    (tmp_path / "a.yaml").symlink_to(Path("..data") / "a.yaml")

    async def swapped() -> None:
        watching = watch(tmp_path, book)
        running = asyncio.ensure_future(watching.run())
        turn = 0
        # Swapped until it is seen: the watcher starts at a moment of its own.
        while book.contents.get("fraud", [])[-1:] != [content(TWO)]:
            turn += 1
            if book.published:
                mount(tmp_path, f"..2-{turn}", TWO)
            await asyncio.wait({running}, timeout=0.1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(swapped(), 120))

    assert book.contents["fraud"] == [content(ONE), content(TWO)]


def mount(folder: Path, name: str, text: str) -> None:
    """What the kubelet does: a new folder of files, and one rename that shows all of it."""
    (folder / name).mkdir()
    (folder / name / "a.yaml").write_text(text)
    link = folder / "..data_tmp"
    link.symlink_to(name)
    link.replace(folder / "..data")


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
