"""What the fleet may do at once: a command over a limit waits for its turn."""

from driftd.sections import LimitSettings
from driftd.store.rows import OutboxRow
from driftd.store.store import Store


class FleetLimits:
    """The settings' ``limits``, held against what is under way in all workers together."""

    def __init__(self, store: Store, limits: LimitSettings) -> None:
        self._store = store
        self._limits = limits

    def bar(self, row: OutboxRow) -> str:
        """Why this command has to wait, or an empty string. Blocks on the store."""
        if row.kind == "train":
            most, busy = self._limits.trainings_at_once, self._others("train", row.op_id)
            return _told("trainings", busy, most)
        if row.kind == "challenger":
            # A rollout begins with it; those that begin at this moment are not marked open yet.
            open_ones = self._store.ingest.rollouts_open() - {row.model}
            busy = len(open_ones) + self._others("challenger", row.op_id)
            return _told("rollouts", busy, self._limits.rollouts_at_once)
        return ""

    def _others(self, kind: str, op_id: str) -> int:
        return sum(row.op_id != op_id for row in self._store.outbox.running(kind))


def _told(what: str, busy: int, most: int) -> str:
    if busy < most:
        return ""
    return f"{busy} {what} are under way; limits.{what}_at_once is {most}"
