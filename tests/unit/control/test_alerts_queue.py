"""What the queue in front of Alertmanager keeps, and what it must not say any more."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from structlog.testing import capture_logs

from driftd.clients.alertmanager import AlertmanagerClient
from driftd.control.alerts import WAITING_MAX, Alerts
from driftd.telemetry import Metrics
from tests.support.alerting import alert
from tests.support.ingesting import until


@dataclass
class Post:
    """Sees each post where Alertmanager would listen, and is away at will."""

    away: bool = False
    tries: int = 0
    taken: list[str] = field(default_factory=list)
    """The summary of each alert that was taken, in the order in which they came."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        """One post."""
        self.tries += 1
        if self.away:
            return httpx.Response(503)
        self.taken += [one["annotations"]["summary"] for one in json.loads(request.content)]
        return httpx.Response(200)


@asynccontextmanager
async def sending(post: Post, metrics: Metrics, owned: set[str]) -> AsyncIterator[Alerts]:
    """The service while the block lasts."""
    transport = httpx.MockTransport(post.answer)
    async with AlertmanagerClient(["http://am"], transport=transport) as client:
        alerts = Alerts(client, metrics, owns=owned.__contains__, again_s=0.0)
        stop = asyncio.Event()
        running = asyncio.create_task(alerts.run(stop))
        yield alerts
        stop.set()
        await running


def test_an_end_is_said_until_somebody_takes_it_and_then_no_more() -> None:
    async def story() -> None:
        post = Post(away=True)
        async with sending(post, Metrics(), {"m"}) as alerts:
            alerts.put((alert("m", ended=True),))
            await until(lambda: post.tries >= 2)
            post.away = False
            await until(lambda: len(post.taken) == 1)
            tries = post.tries
            alerts.put((alert("other"),))
            await until(lambda: len(post.taken) == 2)
            assert post.tries == tries + 1

    asyncio.run(story())


def test_a_beginning_is_left_to_the_control_loops_repetition() -> None:
    async def story() -> None:
        post, metrics = Post(away=True), Metrics()
        async with sending(post, metrics, {"m", "n"}) as alerts:
            alerts.put((alert("m"),))
            await until(lambda: post.tries == 1)
            post.away = False
            alerts.put((alert("n"),))
            await until(lambda: bool(post.taken))
        assert len(post.taken) == 1
        assert "in n" in post.taken[0]

    asyncio.run(story())


def test_an_old_end_never_puts_out_a_new_alert_of_its_labels() -> None:
    async def story() -> None:
        post = Post(away=True)
        async with sending(post, Metrics(), {"m", "n"}) as alerts:
            alerts.put((alert("m", ended=True),))
            await until(lambda: post.tries >= 1)
            alerts.put((alert("m"),))
            await until(lambda: post.tries >= 2)
            post.away = False
            alerts.put((alert("n"),))
            await until(lambda: bool(post.taken))
        assert [text.split(":")[0] for text in post.taken] == ["Data fault in n"]

    asyncio.run(story())


def test_another_workers_model_is_left_to_it() -> None:
    async def story() -> None:
        post, owned = Post(away=True), {"m", "n"}
        async with sending(post, Metrics(), owned) as alerts:
            alerts.put((alert("m", ended=True), alert("n", ended=True)))
            await until(lambda: post.tries >= 1)
            owned.discard("m")
            post.away = False
            await until(lambda: bool(post.taken))
        assert [text.split(":")[0] for text in post.taken] == ["Data fault in n"]

    asyncio.run(story())


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    async def story() -> None:
        metrics = Metrics()
        async with AlertmanagerClient([]) as client:
            alerts = Alerts(client, metrics)
            alerts.put(tuple(alert("m") for _ in range(WAITING_MAX + 3)))
        assert metrics.alerts_sent.labels(outcome="dropped")._value.get() == 3

    asyncio.run(story())


def test_an_outage_is_one_line_and_not_one_a_try() -> None:
    async def story() -> None:
        post = Post(away=True)
        async with sending(post, Metrics(), {"m"}) as alerts:
            alerts.put((alert("m", ended=True),))
            await until(lambda: post.tries >= 3)

    with capture_logs() as logs:
        asyncio.run(story())

    assert [line["event"] for line in logs] == ["alert ends", "miss alerts"]
