"""What a check of a table says: one finding a thing, with its weight and the way out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
RANK: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}
EXAMPLES_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``count`` of ``of`` rows are meant. ``examples`` are numbers of rows, counted from 1 without
    the header, never values: what a finding says may be shown to anybody."""

    check: str
    severity: Severity
    column: str
    count: int
    of: int
    says: str
    todo: str
    examples: tuple[int, ...] = ()


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Errors first, then what concerns most rows."""
    return sorted(findings, key=lambda one: (RANK[one.severity], -one.count, one.column, one.check))


def share_text(count: int, of: int) -> str:
    """``12 of 400 rows (3.0 %)``."""
    percent = 100 * count / max(of, 1)
    return f"{count:,} of {of:,} rows ({'<0.1' if 0 < percent < 0.1 else f'{percent:.1f}'} %)"
