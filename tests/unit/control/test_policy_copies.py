"""Several workers read several copies of one directory: what people did is in force, and nothing else."""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftd.control.policies import PolicyBook, file_author
from driftd.control.policy_watch import PolicyWatch
from driftd.store.policies import MovedError
from driftd.yamlfile import parse_yaml
from policies.checker import check
from policies.specs import ModelSpec
from tests.support.control import MODEL, Bench

TEXTS = tuple(f"model: {MODEL}\nmode: observe\nowner: team-{n}\n" for n in range(4))
FILE = f"{MODEL}.yaml"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def spec_of(text: str) -> ModelSpec:
    spec, mistakes = check(parse_yaml(text).values)
    assert spec is not None
    assert not mistakes
    return spec


def history(bench: Bench) -> list[str]:
    """The texts in the order of their revisions."""
    found = []
    for revision in range(1, 1_000):
        if revision > bench.store.policies.heads().get(MODEL, (0, ""))[0]:
            break
        with bench.store.database.reading() as connection:
            query = "SELECT text FROM policy WHERE model = ? AND revision = ?"
            found.append(connection.exec_driver_sql(query, (MODEL, revision)).scalar_one())
    return found


class Worker:
    """A worker with a directory of its own; it forgets when it is restarted."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.folder = bench.folder / f"policies-{name}"
        self.folder.mkdir()
        self._bench = bench
        self.restart()

    def restart(self) -> None:
        """As after a kill: nothing of what it saw is known any more."""
        self.watch = PolicyWatch(self.folder, PolicyBook(self._bench.store))
        self.watch.look()

    def holds(self, text: str) -> None:
        """Its copy of the directory brings this text."""
        (self.folder / FILE).write_text(text)


def test_restarts_in_any_order_change_nothing(bench: Bench) -> None:
    """Two workers with different files: as many revisions as people made, however often they start."""
    first, second = Worker(bench, "a"), Worker(bench, "b")
    first.holds(TEXTS[0])
    first.watch.look()
    second.holds(TEXTS[1])
    second.watch.look()

    shuffle = random.Random(4)
    for _ in range(40):
        worker = shuffle.choice([first, second])
        shuffle.choice([worker.restart, worker.watch.look])()

    assert history(bench) == [TEXTS[0], TEXTS[1]]
    assert first.watch.stale == {FILE}
    assert second.watch.stale == frozenset()


def test_copies_that_come_late_follow_and_never_take_back(bench: Bench) -> None:
    """A person's edits reach each copy sooner or later, with restarts in between; after each edit
    has arrived anywhere, it is in force, once."""
    workers = [Worker(bench, name) for name in "abc"]
    shuffle, edits = random.Random(7), []
    for n in range(30):
        text = f"{TEXTS[0]}# edit {n}\n"
        edits.append(text)
        order = shuffle.sample(workers, len(workers))
        for worker in order:
            worker.holds(text)
            worker.watch.look()
            assert history(bench) == edits
            shuffle.choice(workers).restart()
        assert history(bench) == edits

    assert [worker.watch.stale for worker in workers] == [frozenset()] * 3


def test_a_person_takes_an_edit_back_in_every_copy(bench: Bench) -> None:
    workers = [Worker(bench, name) for name in "ab"]
    for text in (TEXTS[0], TEXTS[1], TEXTS[0]):
        for worker in workers:
            worker.holds(text)
            worker.watch.look()

    assert history(bench) == [TEXTS[0], TEXTS[1], TEXTS[0]]
    assert not any(worker.watch.stale for worker in workers)


def test_what_was_applied_on_purpose_stays_whatever_the_files_say(bench: Bench) -> None:
    worker = Worker(bench, "a")
    worker.holds(TEXTS[0])
    worker.watch.look()
    assert bench.book.publish_text(TEXTS[1], "ada") == (2, ())

    worker.watch.look()
    worker.restart()

    assert history(bench) == [TEXTS[0], TEXTS[1]]
    [notice] = worker.watch.notices()
    assert notice.startswith(f"{FILE} holds revision 1 of {MODEL}, revision 2 is in force")


def test_two_publish_new_contents_at_one_moment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both stand in the history, one of them wins, and that is the end of it."""
    bench.book.publish_text(TEXTS[0], "ada")
    book, other = PolicyBook(bench.store), PolicyBook(bench.store)
    known = bench.store.policies.revision_of

    def raced(model: str, content: str) -> int:
        if len(history(bench)) == 1:
            assert other.publish_text(TEXTS[2], "bob") == (2, ())
        return known(model, content)

    monkeypatch.setattr(bench.store.policies, "revision_of", raced)
    standing = book.publish_file(
        text=TEXTS[1], digest=digest(TEXTS[1]), by=file_author(FILE), spec=spec_of(TEXTS[1]),
        before=digest(TEXTS[0]),
    )  # fmt: skip

    assert (standing.published, standing.in_force) == (True, 3)
    assert history(bench) == [TEXTS[0], TEXTS[2], TEXTS[1]]


def test_a_revert_loses_to_a_newer_revision_that_came_at_the_same_moment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was meant against what was in force, and that no longer is."""
    for text in TEXTS[:2]:
        bench.book.publish_text(text, "ada")
    book, other = PolicyBook(bench.store), PolicyBook(bench.store)
    known = bench.store.policies.revision_of

    def raced(model: str, content: str) -> int:
        if len(history(bench)) == 2:
            other.publish_text(TEXTS[2], "bob")
        return known(model, content)

    monkeypatch.setattr(bench.store.policies, "revision_of", raced)
    standing = book.publish_file(
        text=TEXTS[0], digest=digest(TEXTS[0]), by=file_author(FILE), spec=spec_of(TEXTS[0]),
        before=digest(TEXTS[1]),
    )  # fmt: skip

    assert (standing.published, standing.holds, standing.in_force) == (False, 1, 3)
    assert history(bench) == list(TEXTS[:3])


def test_a_pipeline_may_say_which_revision_it_expects(bench: Bench) -> None:
    assert bench.book.publish_text(TEXTS[0], "ci", 0) == (1, ())
    with pytest.raises(MovedError, match="revision 1 is in force, not the expected revision 3"):
        bench.book.publish_text(TEXTS[1], "ci", 3)
    assert bench.book.publish_text(TEXTS[1], "ci", 1) == (2, ())
    # Its repetition finds its own content in force: that is what was wanted.
    assert bench.book.publish_text(TEXTS[1], "ci", 1) == (2, ())
    assert len(history(bench)) == 2


def test_a_refused_file_is_told_in_the_journal_of_a_policy_that_was_applied(bench: Bench) -> None:
    bench.publish()
    bench.step()
    worker = Worker(bench, "a")

    worker.holds(f"model: {MODEL}\nmode: atuo\n")
    worker.watch.look()
    bench.step()

    told = [row for row in bench.store.views.decisions(MODEL) if row.what == "refuse policy"]
    assert [row.by for row in told] == [file_author(FILE)]
    assert told[0].why.startswith(f"{FILE} has 1 mistake; revision 1 stays in force: {FILE}:2:7:")
