"""The workers of a store, as plain values and as a table: who is alive, what each one owns."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from driftd.store.workers import WorkerRow

# Three beats: one may be late, two are not.
ALIVE_S = 15.0
MODELS_SHOWN = 5


def workers_view(rows: Sequence[WorkerRow], now_wall: float) -> list[dict[str, Any]]:
    """One entry a worker: ``silent_s`` since its last sign of life, ``alive``, and what it said then
    (version, api, models, control_partitions, source_partitions, lag, missing, notices)."""
    return [
        {
            "worker": row.worker,
            "role": row.role,
            "started": row.wall_started,
            "silent_s": max(0.0, now_wall - row.wall_seen),
            "alive": now_wall - row.wall_seen <= ALIVE_S,
            **row.body,
        }
        for row in rows
    ]


def workers_table(workers: Sequence[dict[str, Any]]) -> Table:
    """One line a worker."""
    table = Table(box=None, header_style="dim", expand=True)
    for column in ("worker", "role", "version", "heard", "models", "partitions", "lag"):
        table.add_column(column, no_wrap=column != "models")
    table.add_column("state", ratio=1)
    for one in workers:
        table.add_row(
            one["worker"],
            one["role"],
            one["version"],
            f"{one['silent_s']:.0f} s ago",
            _models(one["models"]),
            str(one["source_partitions"]),
            f"{one['lag']:,}",
            _state(one),
        )
    return table


def notices_of(workers: Sequence[dict[str, Any]]) -> list[str]:
    """What the living workers have to tell, each line once with those who say it."""
    said: dict[str, list[str]] = {}
    for one in workers:
        for line in one["notices"] if one["alive"] else ():
            said.setdefault(line, []).append(one["worker"])
    return [f"{line} (says {', '.join(names)})" for line, names in said.items()]


def _models(names: Sequence[str]) -> str:
    more = len(names) - MODELS_SHOWN
    return ", ".join(names[:MODELS_SHOWN]) + (f" and {more} more" if more > 0 else "") or "–"


def _state(one: dict[str, Any]) -> Text:
    if not one["alive"]:
        return Text("gone without a word: killed, or cut off from the store", style="bold red")
    if one["missing"]:
        return Text("; ".join(one["missing"]), style="yellow")
    return Text("takes part", style="green")
