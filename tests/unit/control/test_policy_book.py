"""Policies in force: one that no longer compiles stops nobody else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from driftd.control.policies import PolicyBook, PolicyError
from tests.support.control import MODEL, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.publish()
    yield bench
    bench.store.close()


def test_a_policy_that_no_longer_compiles_is_left_out_and_the_others_stay(bench: Bench) -> None:
    text = "model: old\nwatch: {once_allowed: true}\n"
    bench.store.policies.publish("old", text, "digest", "an older version", b"{}")
    book = PolicyBook(bench.store)

    assert list(book.specs()) == [MODEL]
    with pytest.raises(PolicyError, match="once_allowed"):
        book.spec("old")
