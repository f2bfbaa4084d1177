"""The versions in memory: started when wanted, stopped after their last answer when not."""

import asyncio
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

import structlog

from driftd.serving.child import Row
from driftd.serving.served import ModelProcess, ServedVersion, Start

log = structlog.get_logger()


class Fleet:
    """Holds one ServedVersion a version. All calls come from one event loop."""

    def __init__(self, start: Start, on_loaded: Callable[[str], None]) -> None:
        self._start = start
        self._on_loaded = on_loaded
        self._versions: dict[str, ServedVersion] = {}
        self.sample: Sequence[Row] = ()
        """A few rows that were answered lately."""
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def versions(self) -> dict[str, ServedVersion]:
        return self._versions

    def loaded(self) -> frozenset[str]:
        """Versions that have been loaded, also those whose process is just being restarted."""
        return frozenset(name for name, served in self._versions.items() if served.was_loaded)

    def get(self, version: str) -> ServedVersion | None:
        return self._versions.get(version)

    def need(self, versions: AbstractSet[str]) -> None:
        """Start what is not in memory; `on_loaded` tells when each one is."""
        for version in sorted(versions - self._versions.keys()):
            log.info("loading version", version=version)
            self._add(version, None)

    def adopt(self, child: ModelProcess) -> None:
        """Take over a child that was started elsewhere (by its alias)."""
        self._add(child.version, child)

    def keep_only(self, versions: AbstractSet[str]) -> None:
        """Let the others finish what they were asked, then stop them."""
        for version in sorted(self._versions.keys() - versions):
            log.info("unloading version", version=version)
            leaving = asyncio.create_task(self._versions.pop(version).stop())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Stop all."""
        self.keep_only(frozenset())
        while self._leaving:
            await asyncio.wait(self._leaving)

    def _add(self, version: str, child: ModelProcess | None) -> None:
        served = ServedVersion(version, self._start, self._on_loaded, lambda: self.sample, child)
        self._versions[version] = served
        served.run()
