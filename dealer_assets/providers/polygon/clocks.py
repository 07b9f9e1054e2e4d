"""When a chain's quotes are of: what its rows' clocks, its plan and the caller's clock say.

Belongs here: the vendor's snapshots have no instant of their own, so one is derived. Does not
belong here: weighing it against the contents (`dating`), prices.

The instant of a chain is its newest quote's, floored to the minute, or the end of quoting once that
has passed: asked twice within a minute, the chain is stored once. The quotes are up to as old as
reading all pages takes; `known_at` is not before the caller asked nor before the newest quote.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa

from dealer_assets.domain.conventions import VENDOR_DELAY
from dealer_assets.domain.sessions import (
    is_open,
    quotes_end,
    session_close,
    session_of,
    session_open,
)
from dealer_assets.providers.polygon.fields import Bools, Instants, naive, utc
from dealer_assets.underlyings import Calendar

Note = tuple[str, str]

AHEAD = timedelta(minutes=5)
"""A quote dated this far after the caller's now has a wrong clock, or the caller has."""

FROZEN_AFTER = timedelta(minutes=5)
"""Whole chains of the registry's underlyings have a new quote every second while they trade."""

_MANY = 0.01
_OLD_SHARE = 0.5


@dataclass(frozen=True)
class Stamps:
    """What the rows of a chain say about time; arrays of shape (n,).

    Parameters
    ----------
    quoted_at, traded_at, spot_at : datetime64[us] array
        UTC instants of last quote, last trade and underlying's price; NaT where untold.
    timeframes : pyarrow.StringArray
        ``REAL-TIME``, ``DELAYED`` or blank: how the plan delivers the quotes, or without quotes
        the trades.
    """

    quoted_at: Instants
    traded_at: Instants
    spot_at: Instants
    timeframes: pa.StringArray


@dataclass(frozen=True)
class ChainClock:
    """When a chain is of.

    Parameters
    ----------
    quoted_at : datetime.datetime
        UTC instant to date it by.
    newest : datetime.datetime
        UTC instant of the newest quote that can be believed.
    lag : datetime.timedelta
        How far behind the market it was when it was read.
    session : datetime.date
        Session of the quotes.
    notes : tuple of (str, str)
        Findings.
    """

    quoted_at: datetime
    newest: datetime
    lag: timedelta
    session: date
    notes: tuple[Note, ...]


def read_clock(stamps: Stamps, *, at: datetime, delay: timedelta, calendar: Calendar) -> ChainClock:
    """Derive the instant of a chain.

    Parameters
    ----------
    stamps : Stamps
        Of all rows.
    at : datetime.datetime
        UTC instant at which the caller asked.
    delay : datetime.timedelta
        How far behind the market the plan is declared to be.
    calendar : Calendar
        Of the underlying.
    """
    delayed = stamps.timeframes.to_numpy(zero_copy_only=False) == "DELAYED"
    lag = VENDOR_DELAY if delayed.any() else timedelta(0) if _is_told(stamps) else delay
    newest, notes = _newest(stamps, at=at, lag=lag)
    if delayed.any():
        newest = min(newest, at - VENDOR_DELAY)
        if not delay:
            notes += (_downgraded(delayed),)
    session = session_of(calendar, newest)
    end, seen = quotes_end(calendar, session), at - lag
    quoted_at = end if max(seen, newest) >= end else newest.replace(second=0, microsecond=0)
    notes += _frozen(stamps, newest=newest, seen=seen, calendar=calendar)
    return ChainClock(quoted_at, newest, lag, session, notes)


def _is_told(stamps: Stamps) -> bool:
    return bool((stamps.timeframes.to_numpy(zero_copy_only=False) == "REAL-TIME").any())


def _newest(stamps: Stamps, *, at: datetime, lag: timedelta) -> tuple[datetime, tuple[Note, ...]]:
    """Return the newest clock that is not ahead of the caller's, with what is odd about it."""
    clocks = stamps.quoted_at[~np.isnat(stamps.quoted_at)]
    notes: tuple[Note, ...] = ()
    if not clocks.size:
        others = np.concatenate([stamps.traded_at, stamps.spot_at])
        clocks = others[~np.isnat(others)]
        text = "no row has a quote: bid and ask are unknown, the chain is dated by its trades"
        notes = (("quotes_missing", f"{text}; quotes need a plan that has them"),)
    if not clocks.size:
        text = f"no row says when it is of: dated {lag} before it was asked for"
        return at - lag, (*notes, ("clock_missing", text))
    ahead = clocks > naive(at + AHEAD)
    if not ahead.any():
        return utc(clocks.max()), notes
    text = (
        f"{int(ahead.sum())} of {ahead.size} clocks lie more than {AHEAD} after the instant asked "
        f"for, {at:%Y-%m-%d %H:%M:%S} UTC (newest: {utc(clocks.max()):%Y-%m-%d %H:%M:%S})"
    )
    if ahead.mean() > _MANY:
        text += ": this machine's clock seems to be slow, the vendor's is believed"
        return utc(clocks.max()), (*notes, ("clock_skew", text))
    return utc(clocks[~ahead].max()), (*notes, ("quote_clock_ahead", f"{text}: not believed"))


def _downgraded(delayed: Bools) -> Note:
    text = (
        f"the plan is declared as real time, but {int(delayed.sum())} of {delayed.size} quotes are "
        f"marked DELAYED: the chain is dated {VENDOR_DELAY} before it was asked for; check the "
        "plan, or set DEALER_POLYGON_DELAY_MINUTES=15"
    )
    return ("plan_downgraded", text)


def _frozen(
    stamps: Stamps, *, newest: datetime, seen: datetime, calendar: Calendar
) -> tuple[Note, ...]:
    """Find a feed that stands still, in whole or for most contracts, while the market trades."""
    day = session_of(calendar, seen)
    expected = min(seen, session_close(calendar, day))
    if expected - newest > FROZEN_AFTER:
        text = (
            f"the newest quote is of {newest:%Y-%m-%d %H:%M:%S} UTC, expected one of about "
            f"{expected:%Y-%m-%d %H:%M:%S}: the feed stands still"
        )
        return (("frozen_quotes", text),)
    clocks = stamps.quoted_at[~np.isnat(stamps.quoted_at)]
    if not (clocks.size and is_open(calendar, seen)):
        return ()
    old = clocks < naive(session_open(calendar, day))
    if old.mean() <= _OLD_SHARE:
        return ()
    text = f"{int(old.sum())} of {old.size} quotes are of before the session's open"
    return (("frozen_quotes", text),)
