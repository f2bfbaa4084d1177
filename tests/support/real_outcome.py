"""What a run on the real services left behind: PostgreSQL, the registry's database, the webhook."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from stack.hook import Told
from tests.support.loop_outcome import Outcome, Rows
from tests.support.real_kills import Killed


@dataclass(frozen=True, kw_only=True)
class RealOutcome(Outcome):
    """``store_url``, ``registry_url``: the databases. ``told``: the alerts of every notification.
    ``exits``: worker -> exit code after SIGTERM."""

    store_url: str
    registry_url: str
    told: Sequence[Told]
    kills: Sequence[Killed]
    exits: dict[str, int]

    def sql(self, query: str) -> Rows:
        """Rows of the workers' store."""
        return select(self.store_url, query)

    def registry(self, query: str) -> Rows:
        """Rows of the registry's own database."""
        return select(self.registry_url, query)

    def notifications(self) -> Counter[tuple[str, str]]:
        """How often it was told of each (incident, status)."""
        return Counter((one.annotations["incident_id"], one.status) for one in self.told)


def select(url: str, query: str) -> Rows:
    """Rows of a database of the run."""
    with psycopg.connect(url, connect_timeout=10) as connection:
        return connection.execute(query.encode()).fetchall()
