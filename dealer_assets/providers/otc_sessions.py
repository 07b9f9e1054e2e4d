"""Which session a trade off the exchange belongs to: it may be done at any hour of any day.

Belongs here: that rule. Does not belong here: sessions of quotes (`domain.sessions.session_of`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from dealer_assets.domain.sessions import NEW_YORK, is_session, next_session
from dealer_assets.underlyings import Calendar


def session_of_trade(calendar: Calendar, instant: datetime) -> date:
    """Return the session of a trade: its local date, or the next session where that is none.

    Parameters
    ----------
    calendar : {"XNYS", "24/7"}
        Of the underlying. ``24/7`` counts UTC days.
    instant : datetime.datetime
        UTC instant of the trade.

    Returns
    -------
    datetime.date
        Unlike that of quotes it is not put back before the open: what was traded at 8 or 20 o'clock
        of a day is part of that day's positions, what was traded on a Sunday of Monday's.
    """
    if calendar == "24/7":
        return instant.astimezone(UTC).date()
    day = instant.astimezone(NEW_YORK).date()
    return day if is_session(calendar, day) else next_session(calendar, day)
