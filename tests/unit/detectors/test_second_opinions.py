"""River's detectors as second opinions: fed with counts, storable, and known by what they find."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from river.drift import ADWIN
from river.drift.binary import DDM

from detectors.advisory.adwin import EVENTS_MAX, spread
from detectors.advisory.catalog import PLACES, advisor
from detectors.advisory.contract import Opinion

EACH = pytest.mark.parametrize("name", PLACES)
N = 500


def panes(*shares: tuple[float, int], seed: int = 0, n: int = N) -> list[int]:
    """Wrong answers of panes of n: so many panes at each share."""
    rng = np.random.default_rng(seed)
    return [int(k) for share, count in shares for k in rng.binomial(n, share, count)]


def opinions(name: str, counts: Sequence[int], n: int = N) -> list[Opinion]:
    """A life in which every state goes through stored bytes."""
    state: dict[str, Any] = {}
    said = []
    for wrong in counts:
        state, opinion = advisor(name).step(
            msgspec.msgpack.decode(msgspec.msgpack.encode(state)), wrong, n
        )
        said.append(opinion)
    return said


def test_the_shelf_is_sorted_and_each_thing_knows_its_name() -> None:
    assert list(PLACES) == sorted(PLACES)
    assert [advisor(name).name for name in PLACES] == list(PLACES)


@EACH
def test_a_rise_from_10_to_20_percent_is_found(name: str) -> None:
    for seed in range(5):
        said = opinions(name, panes((0.1, 40), (0.2, 40), seed=seed))
        first = next(i for i, one in enumerate(said) if one.drift)

        assert 40 <= first <= 52
        assert said[first].usual == pytest.approx(0.1, abs=0.03)


@EACH
def test_300_thousand_events_without_a_change_are_quiet(name: str) -> None:
    # Notes on both, per event and 300,000 of them: ADWIN 0 false alarms, DDM fed at pane ends .15.
    found = sum(one.drift for one in opinions(name, panes((0.1, 600), seed=3)))

    assert found <= 1


@EACH
def test_a_fall_is_no_news(name: str) -> None:
    assert not any(one.drift for one in opinions(name, panes((0.2, 40), (0.05, 60), seed=1)))


@EACH
def test_the_state_is_plain_and_bounded(name: str) -> None:
    state: dict[str, Any] = {}
    for wrong in panes((0.1, 510), n=9):
        state, _ = advisor(name).step(state, wrong, 9)
    full = len(json.dumps(state))
    for wrong in panes((0.1, 200), n=9):
        state, _ = advisor(name).step(state, wrong, 9)

    assert len(json.dumps(state)) <= full * 1.1 < 8_000


@EACH
@pytest.mark.parametrize("wrong", [0, 1, 7_000_000, 10_000_000])
def test_a_pane_may_be_huge_empty_of_errors_or_full_of_them(name: str, wrong: int) -> None:
    state: dict[str, Any] = {}
    for _ in range(3):
        state, said = advisor(name).step(state, wrong, 10_000_000)

        assert not said.drift


def test_means_never_find_what_counts_find() -> None:
    shares = panes((0.1, 40), (0.2, 40))
    window = ADWIN()
    found = []
    for wrong in shares:
        window.update(wrong / N)
        found.append(window.drift_detected)

    assert not any(found)
    assert any(one.drift for one in opinions("adwin", shares))


def test_adwin_says_what_river_says_of_the_same_events() -> None:
    counts = panes((0.1, 10), (0.3, 8))
    window, ours = ADWIN(), opinions("adwin", counts)
    theirs = []
    for wrong in counts:
        cut = False
        for event in spread(wrong, N):
            window.update(event)
            cut = cut or window.drift_detected
        theirs.append(cut)

    assert sum(counts) + 0 < EVENTS_MAX
    first = theirs.index(True)
    assert [one.drift for one in ours[: first + 1]] == theirs[: first + 1]


def test_ddm_is_rivers_looked_at_once_a_pane() -> None:
    counts = panes((0.1, 30), (0.2, 20))
    whole, lowest = DDM(warm_start=10**9), (np.inf, np.inf)
    expected = []
    n = bad = 0
    for wrong in counts:
        # River counts the events; the rule of Gama et al. is applied at the end of the pane.
        for event in spread(wrong, N):
            whole.update(event)
        n, bad = n + N, bad + wrong
        p = whole._p.get()
        assert p == pytest.approx(bad / n)
        s = float(np.sqrt(p * (1 - p) / n))
        lowest = min(lowest, (p + s, s))
        expected.append(p + s > lowest[0] - lowest[1] + 3 * lowest[1])
    ours = [one.drift for one in opinions("ddm", counts)]

    first = expected.index(True)
    assert ours[: first + 1] == expected[: first + 1]


@pytest.mark.parametrize(("wrong", "n"), [(0, 7), (7, 7), (3, 10), (1, 1), (333, 1_000)])
def test_events_are_spread_evenly(wrong: int, n: int) -> None:
    events = list(spread(wrong, n))
    ahead = np.cumsum(events) - np.arange(1, n + 1) * wrong / n

    assert sum(events) == wrong
    assert np.abs(ahead).max() < 1
