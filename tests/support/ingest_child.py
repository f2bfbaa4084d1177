"""Ingest in a process of its own, so that a test can kill it with -9. Arguments: broker, directory."""

import asyncio
import sys
from pathlib import Path

from driftd.ingest.service import Ingest
from driftd.store.store import open_store
from driftd.telemetry import Metrics
from tests.support.ingesting import MODEL, settings, spec


async def main() -> None:
    """Run until killed."""
    given = settings(sys.argv[1], Path(sys.argv[2]))
    ingest = Ingest(
        given,
        open_store(given.store),
        lambda: {MODEL: spec()},
        Metrics(),
        on_flushed=lambda _: None,
    )
    await ingest.run(asyncio.Event())


asyncio.run(main())
