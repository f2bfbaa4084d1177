"""Cron expressions in a time zone, turned into the moments at which they are due."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from policies.specs import Schedule

_LONGEST_JUMP_S = 2 * 3_600
# Any moment: an expression is right or wrong at every one of them.
_SOME_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


def last_due(schedule: Schedule, now: float) -> float | None:
    """The newest moment at or before ``now`` at which the schedule was due, seconds since 1970.

    Days on which the clock jumps are taken as Debian's cron takes them: a time that does not exist
    is due right after the jump, one that comes twice is due once.

    >>> last_due(Schedule(cron="0 2 * * 1", timezone="America/New_York"), 1_357_560_000.0)
    1357542000.0
    """
    zone = ZoneInfo(schedule.timezone)
    # The hour that comes twice looks like its first coming: the search starts behind it, or the
    # newest slot would be forgotten for that hour.
    start = datetime.fromtimestamp(int(now) + _LONGEST_JUMP_S, UTC).astimezone(zone)
    moments = (moment.timestamp() for moment in CronSim(schedule.cron, start, reverse=True))
    return next((moment for moment in moments if moment <= now), None)


def cron_problem(cron: str, timezone: str) -> tuple[str, str]:
    """The key that is wrong (``schedule`` or ``timezone``) and why; two empty texts if none is."""
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        why = f"there is no time zone {timezone!r}; write UTC or a name such as Europe/Berlin"
        return "timezone", why
    if len(cron.split()) != 5:
        why = f"{cron!r} must have five fields: minute hour day month weekday, such as 0 2 * * 1"
        return "schedule", why
    try:
        moment = next(CronSim(cron, _SOME_MOMENT), None)
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        why = f"{cron!r} has a bad {field}; the fields are minute hour day month weekday"
        return "schedule", why
    if moment is None:
        return "schedule", f"{cron!r} is never due"
    return "", ""
