"""What a worker process does; several of them share one store and one set of topics."""

from enum import StrEnum


class Role(StrEnum):
    """``ingest`` reads events into the store, ``control`` decides and acts; ``all`` does both."""

    INGEST = "ingest"
    CONTROL = "control"
    ALL = "all"

    @property
    def ingests(self) -> bool:
        """Whether it reads the topics of events."""
        return self is not Role.CONTROL

    @property
    def controls(self) -> bool:
        """Whether it steps models and executes commands."""
        return self is not Role.INGEST
