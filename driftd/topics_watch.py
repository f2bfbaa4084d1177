"""Looks after the daemon's own topics while it runs: what is missing or refused is told, once."""

import asyncio

import structlog

from driftd.errors import OutsideError
from driftd.settings import Settings
from driftd.telemetry import Complaints
from driftd.topics import TopicAdmin, missing_topics, own_topics
from driftd.topics_report import group_problems, rows_of

log = structlog.get_logger()

LOOK_S = 60.0
RETRY_S = 5.0
# Not every broker describes topics (the demo's does not), and to ask must hold up nothing.
DESCRIBE_S = 5.0


def own_problems(settings: Settings) -> tuple[str, ...]:
    """One line for everything that keeps the daemon from using its own topics. Makes none; blocks.
    Raises ``UnreachableError``."""
    lines = missing_topics(settings)
    own = own_topics(settings)
    try:
        admin = TopicAdmin(settings.kafka, DESCRIBE_S)
        cluster = admin.look(one.name for one in own)
        groups = admin.refused_groups((settings.kafka.control_group, settings.kafka.ingest_group))
    except OutsideError:
        return lines
    refused = [
        f"the topic {row.name}: {problem.what}: {problem.mend}"
        for row in rows_of(settings, own, cluster)
        for problem in row.problems
        # What is not there was told above, and so were the partitions.
        if problem.grave and row.state == "differs" and "control_partitions" not in problem.what
    ]
    refused += [f"{one.what}: {one.mend}" for one in group_problems(settings, groups)]
    return (*lines, *refused)


class TopicsWatch:
    """``notices``: what was found last. It is looked for each minute, since topics and permissions
    may be made after us."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._complaints = Complaints(log)
        self.notices: tuple[str, ...] = ()

    async def run(self) -> None:
        """Look until cancelled; a broker that is away is told elsewhere."""
        while True:
            try:
                found = await asyncio.to_thread(own_problems, self._settings)
            except OutsideError:
                await asyncio.sleep(RETRY_S)
                continue
            for line in found:
                self._complaints.say(line, "miss topic", why=line)
            for line in set(self.notices) - set(found):
                self._complaints.over(line)
            self.notices = found
            await asyncio.sleep(LOOK_S)
