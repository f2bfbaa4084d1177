"""Logs as `"verb noun"` plus key-values, and the daemon's own counters for Prometheus."""

import logging
import sys
from typing import Any

import structlog

from driftd.clock import steady_now
from driftd.metrics import Metrics, count_all

__all__ = ["Complaints", "Metrics", "RateLimit", "configure_logging", "count_all"]

# In an outage aiokafka writes hundreds of lines a second; one library may say this much a minute.
LINES_A_MINUTE_MAX = 60
# One trouble is logged once, then once a minute while it lasts.
SAY_AGAIN_S = 60.0
NOISY_LOGGERS = (
    "aiokafka", "faust", "httpcore", "httpx", "kafka", "mlflow", "mode", "urllib3", "uvicorn",
)  # fmt: skip


class RateLimit(logging.Filter):
    """Lets the first lines of each minute through and says how many were held back. A library's
    loggers share one limit, by the first part of their names; put it on a handler, since filters of
    a logger do not see what its children log."""

    def __init__(self, lines_a_minute: int = LINES_A_MINUTE_MAX) -> None:
        super().__init__()
        self._limit = lines_a_minute
        self._minute: dict[str, int] = {}
        self._seen: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        library, minute = record.name.partition(".")[0], int(steady_now() // 60)
        if minute != self._minute.get(library):
            held = self._seen.get(library, 0) - self._limit
            if held > 0:
                record.msg = f"{record.getMessage()} ({held} lines held back before)"
                record.args = ()
            self._minute[library], self._seen[library] = minute, 0
        self._seen[library] += 1
        return self._seen[library] <= self._limit


def configure_logging(level: str = "info", *, as_json: bool | None = None) -> None:
    """Send all logs to stderr: JSON lines where nobody looks, coloured lines on a terminal."""
    if as_json is None:
        as_json = not sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer]
        if as_json
        else [*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer)
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    # It tells each retry of an outage; who asked tells the outage itself.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    handler.addFilter(RateLimit())


class Complaints:
    """Says a trouble when it begins and once a minute while it lasts: an outage must not flood a
    log. ``key`` tells troubles apart."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._said: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def say(self, key: str, event: str, **details: Any) -> None:
        """Warn, unless the same was said within the last minute."""
        now = steady_now()
        if now - self._said.get(key, -SAY_AGAIN_S) < SAY_AGAIN_S:
            self._held[key] = self._held.get(key, 0) + 1
            return
        self._said[key] = now
        self._log.warning(event, **details, times_before=self._held.pop(key, 0))

    def over(self, key: str) -> None:
        """The trouble has ended; the next one is told at once."""
        self._said.pop(key, None)
        self._held.pop(key, None)
