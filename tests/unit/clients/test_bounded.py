"""Calls end with their deadline, whatever the client does."""

import threading

import pytest

from driftd.clients.bounded import OPEN_MAX, Deadline
from driftd.errors import UnreachableError


def _slots() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(OPEN_MAX)


def test_a_call_gives_its_value_or_its_own_error() -> None:
    deadline = Deadline("adding", 10, _slots())
    assert deadline.call(sum, [1, 2]) == 3
    with pytest.raises(ZeroDivisionError):
        deadline.call(divmod, 1, 0)


def test_a_hanging_call_is_left_behind_and_no_further_one_is_made() -> None:
    release, made = threading.Event(), list[int]()
    deadline = Deadline("moving an alias", 0.05, _slots())
    with pytest.raises(UnreachableError, match=r"moving an alias took longer than 0\.05 s"):
        deadline.call(release.wait)
    with pytest.raises(UnreachableError):
        deadline.call(made.append, 1)
    release.set()
    assert made == []


def test_calls_that_hang_are_bounded_in_number() -> None:
    release, slots = threading.Event(), _slots()
    for _ in range(OPEN_MAX):
        with pytest.raises(UnreachableError):
            Deadline("reading", 0.01, slots).call(release.wait)
    with pytest.raises(UnreachableError, match="8 other calls have not come back"):
        Deadline("reading", 0.01, slots).call(lambda: None)
    release.set()


def test_more_calls_than_may_be_open_wait_for_each_other() -> None:
    slots, answers = _slots(), list[int]()
    threads = [
        threading.Thread(target=lambda n=n: answers.append(Deadline("a", 60, slots).call(abs, n)))
        for n in range(3 * OPEN_MAX)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == list(range(3 * OPEN_MAX))
