"""The first worker on an empty store: no sign of life before the tables are there."""

import asyncio

from driftd.console.listening import listener
from driftd.roles import Role
from driftd.settings import Settings
from driftd.store.migrate import migrate
from driftd.wiring import build
from stack.postgres import Postgres
from tests.support.ingesting import until


def test_a_worker_lives_while_another_one_migrates_the_empty_store(postgres: Postgres) -> None:
    """On PostgreSQL a question for a table that is not there is no outage: it ends who asks it."""
    store = postgres.create("heartbeat_first")
    settings = Settings.model_validate({"store": store, "http": {"port": 0}})

    async def story() -> None:
        with listener(settings.http) as listening:
            daemon = build(settings, Role.ALL, listening)
            stop = asyncio.Event()
            beating = asyncio.create_task(daemon.early["heartbeat"](stop))
            early, _ = await asyncio.wait([beating], timeout=1.0)
            assert not early, "it died of the empty store"
            await asyncio.to_thread(migrate, store)
            daemon.has_schema = True
            await until(lambda: bool(daemon.store.workers.all()), "a sign of life")
            stop.set()
            await beating
            assert daemon.store.workers.all() == [], "who stops in order takes its row away"
            await daemon.link.aclose()
            await daemon.alertmanager.aclose()
            daemon.store.close()

    asyncio.run(story())


def test_a_worker_that_is_stopped_before_the_tables_are_there_stops_in_order(
    postgres: Postgres,
) -> None:
    settings = Settings.model_validate(
        {"store": postgres.create("heartbeat_never"), "http": {"port": 0}}
    )

    async def story() -> None:
        with listener(settings.http) as listening:
            daemon = build(settings, Role.ALL, listening)
            stop = asyncio.Event()
            stop.set()
            await daemon.early["heartbeat"](stop)
            await daemon.link.aclose()
            await daemon.alertmanager.aclose()
            daemon.store.close()

    asyncio.run(story())
