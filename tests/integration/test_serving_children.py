"""Real model processes: what they answer, and what becomes of those that die, hang or eat."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from driftd.serving.child import (
    Child,
    ChildDiedError,
    ChildSpec,
    LoadError,
    ScoringError,
    UnfitError,
    start_child,
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ChildSpec:
    folder = tmp_path_factory.mktemp("serving")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    script = Path(__file__).with_name("serving_models.py")
    subprocess.run(
        [sys.executable, "-I", str(script), uri, str(folder / "artifacts")],
        check=True, cwd=folder, capture_output=True,
    )  # fmt: skip
    return ChildSpec(name="delay", tracking_uri=uri)


def play(spec: ChildSpec, version: str, story: Callable[[Child], Awaitable[None]]) -> int:
    """The pid of the child, for a look at what is left of it."""

    async def run() -> int:
        child = await start_child(spec, version)
        try:
            await story(child)
        finally:
            await child.stop()
        return child.pid

    return asyncio.run(run())


def odd(spec: ChildSpec) -> ChildSpec:
    return replace(spec, name="odd")


def test_scores_do_not_depend_on_order_or_extras_and_nothing_is_left_behind(
    spec: ChildSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def scratch() -> list[Path]:
        return list(tmp_path.iterdir())

    async def story(child: Child) -> None:
        assert (child.version, child.positive, child.negative) == ("1", "late", "on_time")
        plain, turned, extra = await child.ask(
            [
                {"temp": 1.0, "carrier": "UA"},
                {"carrier": "UA", "temp": 1.0},
                {"carrier": "UA", "temp": 1.0, "unknown": "x"},
            ]
        )
        assert plain == turned == extra
        (cold,) = await child.ask([{"temp": -1.0, "carrier": None}])
        assert 0 < cold < plain < 1
        assert len(scratch()) == 1

    pid = play(spec, "@champion", story)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert scratch() == []


def test_an_instance_that_does_not_fit_is_named_and_the_next_one_is_answered(
    spec: ChildSpec,
) -> None:
    async def story(child: Child) -> None:
        with pytest.raises(UnfitError, match=r"instances\[1\].temp: the model needs a number"):
            await child.ask([{"temp": 1.0, "carrier": "UA"}, {"temp": "hot", "carrier": "UA"}])
        with pytest.raises(UnfitError, match="carrier: the model needs a text"):
            await child.ask([{"temp": 1.0, "carrier": 3.0}])
        # Logistic regression takes no gaps: the model raises, the process lives.
        with pytest.raises(ScoringError, match="NaN"):
            await child.ask([{"carrier": "UA"}])
        assert len(await child.ask([{"temp": 1.0, "carrier": "UA"}] * 18)) == 18

    play(spec, "2", story)


def test_a_version_that_is_not_there_says_why(spec: ChildSpec) -> None:
    async def refused(version: str) -> None:
        with pytest.raises(LoadError, match=f"models:/delay/{version} could not be loaded: .*not"):
            await start_child(spec, version)

    async def run() -> None:
        await asyncio.gather(refused("99"), refused("@nobody"))

    asyncio.run(run())


def test_a_model_sees_none_of_our_secrets(spec: ChildSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTD_TOKEN", "secret")
    monkeypatch.setenv("MY_MODEL_NEEDS", "this")

    async def story(child: Child) -> None:
        assert await child.ask([{"x": 0.25, "mode": None}]) == [0.25]
        with pytest.raises(ScoringError) as caught:
            await child.ask([{"x": 0.5, "mode": "raise"}])
        assert "MY_MODEL_NEEDS" in str(caught.value)
        assert "DRIFTD_TOKEN" not in str(caught.value)
        with pytest.raises(ScoringError, match="MemoryError"):
            await child.ask([{"x": 0.5, "mode": "eat"}])
        assert await child.ask([{"x": 0.25, "mode": None}]) == [0.25]

    play(replace(odd(spec), pass_env=("MY_MODEL_NEEDS",), memory_bytes=2 << 30), "1", story)


def test_a_death_is_noticed_at_once_with_the_last_words(spec: ChildSpec) -> None:
    async def story(child: Child) -> None:
        with pytest.raises(ChildDiedError, match="no more"):
            await child.ask([{"x": 0.5, "mode": "die"}])
        await child.wait()

    play(odd(spec), "1", story)


def test_a_kill_ends_the_question_in_flight(spec: ChildSpec) -> None:
    async def story(child: Child) -> None:
        asked = asyncio.create_task(child.ask([{"x": 0.5, "mode": "hang"}]))
        await asyncio.sleep(0)
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(ChildDiedError):
            await asked

    play(odd(spec), "1", story)


def test_one_that_hangs_is_killed(spec: ChildSpec) -> None:
    async def story(child: Child) -> None:
        with pytest.raises(ChildDiedError, match="gave no answer in"):
            await child.ask([{"x": 0.5, "mode": "hang"}])
        await child.wait()

    play(replace(odd(spec), score_timeout_s=0.5), "1", story)
