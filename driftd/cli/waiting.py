"""Following one wish in the journal until it is known what became of it."""

import sys
import time
from typing import Any

from driftd.errors import RefusedError, UnreachableError

# What ends the wait for a canary, and whether it began.
ENDS = {"canary": True, "ask for approval": True, "keep champion": False}
POLL_S = 0.5


def newest(model: str, api: str | None) -> int:
    """The number of the journal's last line; 0 where it has none."""
    return max((line["id"] for line in _lines(model, api, 1)), default=0)


def until_begun(model: str, version: str, since: int, *, api: str | None, wait_s: float) -> None:
    """Return when a canary of ``version`` has begun; prints on stderr what is decided meanwhile.

    ``since``: only later lines count. Raises ``RefusedError`` with the reason when it did not
    begin, ``UnreachableError`` when nothing was decided in ``wait_s``.
    """
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        for line in sorted(_lines(model, api, 50), key=lambda one: one["id"]):
            if line["id"] <= since:
                continue
            since = line["id"]
            begun = ENDS.get(line["what"]) if f" {version} " in f" {line['why']} " else None
            if line["why"].startswith("canary was declined"):
                begun = False
            if begun is False:
                raise RefusedError(f"{line['what']}: {line['why']}")
            print(f"{line['what']}: {line['why']}", file=sys.stderr)
            if begun:
                return
        time.sleep(POLL_S)
    raise UnreachableError(
        f"nothing was decided about version {version} in {wait_s:g} s; "
        f"`driftd status {model}` shows what it waits for"
    )


def _lines(model: str, api: str | None, limit: int) -> list[dict[str, Any]]:
    from driftd.cli.client import call, model_path

    path = f"{model_path(model, 'decisions')}?limit={limit}"
    found: list[dict[str, Any]] = call("GET", path, api=api)
    return found
