"""A call from body to answer: fail-over, events, shadows, with recorded events and scripted scores."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from agents.commands import Route, Routing, Shadow
from driftd.serving import shadows as shadows_module
from driftd.serving.child import ChildDiedError, Row, ScoringError, UnfitError
from driftd.serving.events import Events
from driftd.serving.metrics import Metrics
from driftd.serving.predict import NotReadyError, Predictor
from driftd.serving.shadows import Shadows
from driftd.serving.switch import Switch


class Model:
    """Version 1 scores .1, version 2 scores .9; `faults` are raised instead, once each, and
    666 kills."""

    positive, negative, pid = "late", "on_time", 1

    def __init__(self, version: str, faults: list[Exception]) -> None:
        self.version = version
        self._faults = faults
        self._dead = asyncio.Event()

    async def ask(self, rows: Sequence[Row]) -> list[float]:
        if any(row["x"] == 666 for row in rows if "x" in row):
            self._dead.set()
            raise ChildDiedError("666 kills")
        if self._faults:
            fault = self._faults.pop(0)
            if isinstance(fault, ChildDiedError):
                self._dead.set()
            raise fault
        return [{"1": 0.1, "2": 0.9}[self.version]] * len(rows)

    async def wait(self) -> None:
        await self._dead.wait()

    async def stop(self) -> None:
        self._dead.set()


class Stage:
    """Everything of a server but its processes, its socket and its broker."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.faults: dict[str, list[Exception]] = {"1": [], "2": []}
        self.metrics = Metrics("delay")
        self.switch = Switch("delay", self._start)
        events = Events(self, "delay")
        self.shadows = Shadows(self.switch.fleet, events, self.metrics)
        self.predictor = Predictor(
            self.switch, events, self.shadows, self.metrics, event_clock=True
        )

    def prediction(self, **event: Any) -> str | None:
        self.events.append({key: value for key, value in event.items() if value is not None})
        return None

    async def _start(self, version: str) -> Model:
        return Model(version, self.faults[version])

    async def route(self, weight: float, *shadows: tuple[str, float]) -> None:
        routes = (
            Route(version="1", variant="champion", weight=1 - weight),
            Route(version="2", variant="challenger", weight=weight),
        )
        self.switch.offer(
            Routing(
                model="delay",
                epoch=1,
                routes=tuple(route for route in routes if route.weight),
                shadows=tuple(Shadow(version=v, share=s) for v, s in shadows),
                loaded=("1", "2"),
            )
        )
        async with asyncio.timeout(10):
            while len(self.switch.fleet.loaded()) < 2:  # noqa: ASYNC110  (it has no event)
                await asyncio.sleep(0)

    async def call(self, **body: Any) -> list[dict[str, Any]]:
        answer = await self.predictor.predict(json.dumps({"ts": 5.0} | body).encode())
        await self.shadows.drain(10)
        predictions: list[dict[str, Any]] = json.loads(answer)["predictions"]
        return predictions

    def told(self, *keys: str) -> list[Mapping[str, Any]]:
        return [{key: event.get(key) for key in keys} for event in self.events]


def play(story: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        stage = Stage()
        async with asyncio.timeout(30):
            await story(stage)
            await stage.switch.fleet.close()

    asyncio.run(run())


def test_an_answer_and_its_event_say_the_same() -> None:
    async def story(stage: Stage) -> None:
        await stage.route(0)
        (answer,) = await stage.call(
            instances=[{"temp": 3}], ids=["a"], subject="s", segment={"region": "eu"}
        )

        assert answer == {
            "id": "a", "score": 0.1, "prediction": "on_time", "version": "1", "variant": "champion",
        }  # fmt: skip
        (event,) = stage.events
        assert event.pop("latency_ms") > 0
        assert event == {
            "model": "delay", "version": "1", "variant": "champion", "ts": 5.0, "id": "a",
            "features": {"temp": 3.0}, "score": 0.1, "prediction": "on_time", "subject": "s",
            "segment": {"region": "eu"},
        }  # fmt: skip
        assert set(stage.metrics.last_live_answer) == {"1"}

    play(story)


def test_instances_without_a_subject_are_drawn_one_by_one_and_answered_in_order() -> None:
    async def story(stage: Stage) -> None:
        await stage.route(0.5)
        answers = await stage.call(instances=[{"x": i} for i in range(50)])
        again = await stage.call(
            instances=[{"x": i} for i in range(50)], ids=[answer["id"] for answer in answers]
        )

        assert {answer["version"] for answer in answers} == {"1", "2"}
        assert answers == again
        assert [event["id"] for event in stage.events[:50]] != [a["id"] for a in answers]

    play(story)


def test_every_live_answer_has_its_shadow() -> None:
    async def story(stage: Stage) -> None:
        await stage.route(0.5, ("1", 1.0), ("2", 1.0))
        answers = await stage.call(instances=[{"x": i} for i in range(20)])

        shadows = {e["shadow_of"]: e for e in stage.events if e["variant"] == "shadow"}
        assert set(shadows) == {answer["id"] for answer in answers}
        for answer in answers:
            shadow = shadows[answer["id"]]
            assert {shadow["version"], answer["version"]} == {"1", "2"}
            assert shadow["ts"] == 5.0
            assert shadow["features"]
        # A shadow is no live answer.
        live = sum(answer["version"] == "2" for answer in answers)
        assert f'predictions_total{{model="delay",variant="challenger",version="2"}} {live}.0' in (
            stage.metrics.render().decode()
        )

    play(story)


@pytest.mark.parametrize(
    "fault", [ScoringError("it raised"), UnfitError("x: a number", 0), ChildDiedError("it died")]
)
def test_the_champion_answers_what_a_challenger_cannot(fault: Exception) -> None:
    async def story(stage: Stage) -> None:
        await stage.route(1 - 1e-9)
        stage.faults["2"].append(fault)
        (answer,) = await stage.call(instances=[{"x": 1}], ids=["a"])

        assert (answer["id"], answer["version"], answer["variant"]) == ("a", "1", "champion")
        # The failure counts against the challenger, under an id of its own.
        failure, success = stage.told("version", "variant", "error", "id", "score")
        assert failure == {
            "version": "2", "variant": "challenger", "error": str(fault), "id": None, "score": None,
        }  # fmt: skip
        assert (success["id"], success["version"], success["error"]) == ("a", "1", None)

    play(story)


def test_a_champion_that_dies_is_asked_again_when_it_is_back() -> None:
    async def story(stage: Stage) -> None:
        await stage.route(0)
        stage.faults["1"].append(ChildDiedError("it died"))
        (answer,) = await stage.call(instances=[{"x": 1}])

        assert answer["version"] == "1"

    play(story)


def test_an_instance_that_kills_is_not_what_the_next_process_is_warmed_with() -> None:
    async def story(stage: Stage) -> None:
        await stage.route(0)
        await stage.call(instances=[{"x": 1}])
        with pytest.raises(ChildDiedError):
            await stage.call(instances=[{"x": 666}])

        (answer,) = await stage.call(instances=[{"x": 2}])
        assert answer["version"] == "1"

    play(story)


def test_what_nobody_can_score_fails_and_is_told() -> None:
    async def story(stage: Stage) -> None:
        await stage.route(0)
        stage.faults["1"].append(ScoringError("it raised"))
        with pytest.raises(ScoringError):
            await stage.call(instances=[{"x": 1}], ids=["a"])

        assert stage.told("id", "error", "score") == [
            {"id": "a", "error": "it raised", "score": None}
        ]

    play(story)


def test_what_fits_no_version_is_the_callers_mistake_and_nobodys_error() -> None:
    async def story(stage: Stage) -> None:
        await stage.route(1 - 1e-9)
        for version in ("1", "2"):
            stage.faults[version].append(UnfitError("x: the model needs a number", 0))
        with pytest.raises(UnfitError, match=r"instances\[0\].x"):
            await stage.call(instances=[{"x": "q"}])

        assert stage.events == []

    play(story)


def test_shadows_are_dropped_and_counted_when_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shadows_module, "WAITING_ROWS_MAX", 2)

    async def story(stage: Stage) -> None:
        await stage.route(0, ("2", 1.0))
        await stage.call(instances=[{"x": 1}] * 3, subject="s")

        assert [event["variant"] for event in stage.events] == ["champion"] * 3
        assert (
            'shadow_dropped_total{model="delay",version="2"} 3.0' in stage.metrics.render().decode()
        )

    play(story)


def test_a_shadow_that_fails_says_so_in_its_event_only() -> None:
    async def story(stage: Stage) -> None:
        await stage.route(0, ("2", 1.0))
        stage.faults["2"].append(ScoringError("it raised"))
        (answer,) = await stage.call(instances=[{"x": 1}])

        assert answer["version"] == "1"
        assert stage.told("variant", "error", "shadow_of")[-1] == {
            "variant": "shadow", "error": "it raised", "shadow_of": answer["id"],
        }  # fmt: skip

    play(story)


def test_before_anything_is_loaded_a_call_is_told_to_come_again() -> None:
    async def story(stage: Stage) -> None:
        with pytest.raises(NotReadyError):
            await stage.call(instances=[{"x": 1}])

    play(story)
