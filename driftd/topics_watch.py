"""Looks after the daemon's own topics while it runs: what is missing or refused is told, once."""

import asyncio

import structlog

from driftd.errors import OutsideError
from driftd.settings import Settings
from driftd.topics import TopicAdmin, missing_topics, own_topics
from driftd.topics_report import group_problems, rows_of

log = structlog.get_logger()

LOOK_S = 60.0
RETRY_S = 2.0
# Not every broker describes topics (the demo's does not), and to ask must hold up nothing.
DESCRIBE_S = 5.0


class TopicsWatch:
    """``notices``: what was found last. It is looked for each minute, since topics and permissions
    may be made after us."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._usable = asyncio.Event()
        self.notices: tuple[str, ...] = ()

    async def wait(self, stop: asyncio.Event) -> None:
        """Until all own topics are there, or ``stop``: to read one that is not there would make it
        where the brokers do such a thing, and else be told ten times a second."""
        waits = [asyncio.ensure_future(one.wait()) for one in (self._usable, stop)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()

    async def run(self) -> None:
        """Look until cancelled; a broker that is away is told elsewhere."""
        while True:
            try:
                missing = await asyncio.to_thread(missing_topics, self._settings)
            except OutsideError:
                await asyncio.sleep(RETRY_S)
                continue
            if missing:
                self._tell(missing)
                await asyncio.sleep(RETRY_S)
                continue
            self._usable.set()
            self._tell(await asyncio.to_thread(refusals, self._settings))
            await asyncio.sleep(LOOK_S)

    def _tell(self, found: tuple[str, ...]) -> None:
        for line in found:
            if line not in self.notices:
                log.error("check topics", why=line)
        self.notices = found


def refusals(settings: Settings) -> tuple[str, ...]:
    """One line for everything that keeps the daemon from using its own topics, which are there;
    nothing where the broker does not say. Blocks."""
    own = own_topics(settings)
    try:
        admin = TopicAdmin(settings.kafka, DESCRIBE_S)
        cluster = admin.look(one.name for one in own)
        groups = admin.refused_groups((settings.kafka.control_group, settings.kafka.ingest_group))
    except OutsideError:
        return ()
    return tuple(
        [
            f"the topic {row.name}: {problem.what}: {problem.mend}"
            for row in rows_of(settings, own, cluster)
            for problem in row.problems
            if problem.grave
        ]
        + [f"{one.what}: {one.mend}" for one in group_problems(settings, groups)]
    )
