"""Quiet hours: when alerts are held back.

Belongs here: reading the setting, and whether an instant is quiet. Does not belong here: which
alerts are held (`delivery`).

Hours are a wall clock's: ``22:00-07:00 America/New_York`` is quiet at 06:59 and loud at 07:00 there
on every day, those of a clock change included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dealer_assets.errors import BadInputError

_MINUTE = timedelta(minutes=1)
_GRAMMAR = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})(?:\s+(\S+))?")


@dataclass(frozen=True)
class QuietHours:
    """A span of the day, over midnight where it ends before it begins.

    Parameters
    ----------
    begins, ends : datetime.time
        Wall clock; `ends` itself is loud.
    zone : zoneinfo.ZoneInfo
        Whose clock.
    """

    begins: time
    ends: time
    zone: ZoneInfo

    def covers(self, now: datetime) -> bool:
        """Tell whether an instant is quiet."""
        clock = now.astimezone(self.zone).time()
        if self.begins <= self.ends:
            return self.begins <= clock < self.ends
        return clock >= self.begins or clock < self.ends

    def end_after(self, now: datetime) -> datetime:
        """Return when the quiet that covers `now` ends [UTC]; `now` where none does."""
        if not self.covers(now):
            return now
        # by the minute: the wall clock may skip the end in spring, and show it twice in autumn
        end = now.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
        while self.covers(end):
            end += _MINUTE
        return end


def quiet_hours(text: str) -> QuietHours | None:
    """Read DEALER_ALERT_QUIET.

    Parameters
    ----------
    text : str
        ``HH:MM-HH:MM ZONE``; the zone is UTC where left out. Empty: never quiet.

    Raises
    ------
    BadInputError
        When it is neither.
    """
    if not text.strip():
        return None
    found = _GRAMMAR.fullmatch(text.strip())
    if found is None:
        raise _refusal(text, "something else")
    first_hour, first_minute, last_hour, last_minute, zone = found.groups()
    try:
        begins = time(int(first_hour), int(first_minute))
        ends = time(int(last_hour), int(last_minute))
    except ValueError as error:
        raise _refusal(text, str(error)) from error
    if begins == ends:
        raise _refusal(text, "hours that begin when they end")
    try:
        return QuietHours(begins, ends, ZoneInfo(zone or "UTC"))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise _refusal(text, f"the unknown time zone {zone!r}") from error


def _refusal(text: str, found: str) -> BadInputError:
    return BadInputError(
        f"DEALER_ALERT_QUIET={text!r}: expected hours like 22:00-07:00 America/New_York, found "
        f"{found}"
    )
