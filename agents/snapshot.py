"""What is kept of a model's agents between two steps: one value, one revision, one transaction."""

import msgspec

from agents.alerter import AlerterState
from agents.lifecycle import LifecycleState
from agents.watching.state import WatchState

FORMAT = 1


class SnapshotError(ValueError):
    """A snapshot of a newer driftd; this one cannot read it. Run the newer version."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the three agents."""

    watch: WatchState
    lifecycle: LifecycleState
    alerts: AlerterState

    @classmethod
    def new(cls) -> "Snapshot":
        """A model that nobody has looked at yet."""
        return cls(
            watch=WatchState.new(), lifecycle=LifecycleState.new(), alerts=AlerterState.new()
        )

    def to_bytes(self) -> bytes:
        """As msgpack."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes, snapshot_format: int) -> "Snapshot":
        """The same snapshot again; an empty one is new. Older formats are cast up here."""
        if not data:
            return cls.new()
        if snapshot_format > FORMAT:
            raise SnapshotError(f"snapshot format {snapshot_format} is newer than {FORMAT}")
        return msgspec.msgpack.decode(data, type=cls)
