"""Whether Cboe's quotes are of the instant they should be of: stale files and frozen quotes.

Belongs here: what can be told from the clocks of an answer and from the answer before it. Does not
belong here: asking (`cboe_live`), parsing (`cboe_json`).

An answer is made now and shows quotes of `VENDOR_DELAY` ago, the instant *shown*. Two things go
wrong. The clock of the data falls behind what should be shown: the file, or its source, is stale.
Or the clock moves on and so may the Greeks, while every bid, ask and size of the chain stands
still: somebody repeats old quotes. Of a chain of hundreds of contracts some quote moves every
second of a session, so five minutes without any change are no market.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import numpy as np

from dealer_assets.domain.conventions import VENDOR_DELAY
from dealer_assets.domain.sessions import session_close, session_of, session_open
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.underlyings import Calendar

STALE_AFTER = timedelta(minutes=10)
"""Data clock behind what should be shown. Measured delays of a sound feed differ by seconds."""

FROZEN_AFTER = timedelta(minutes=5)
"""Minutes of a session without a change of any quote."""

_QUOTES = ("bid", "ask", "bid_size_contracts", "ask_size_contracts")
_GREEKS = ("vendor_delta", "vendor_gamma", "vendor_implied_vol")


@dataclass(frozen=True)
class Standing:
    """The quotes of an answer, and since when they are what they are.

    Parameters
    ----------
    quotes : str
        Fingerprint of contracts, bids, asks and sizes.
    first_greeks : str
        Fingerprint of the Greeks when these quotes were first seen.
    greeks_moved : bool
        Whether the Greeks have changed since, under the same quotes.
    since : datetime.datetime
        UTC instant shown by the first answer with these quotes.
    shown : datetime.datetime
        UTC instant shown by the last one.
    """

    quotes: str
    first_greeks: str
    greeks_moved: bool
    since: datetime
    shown: datetime


def standing(raw: RawChain, made_at: datetime, before: Standing | None) -> Standing:
    """Return how the quotes of an answer stand, given the answer before.

    Parameters
    ----------
    raw : RawChain
        The answer.
    made_at : datetime.datetime
        UTC instant at which it was made.
    before : Standing or None
        Of the last answer for the same symbol, if any.
    """
    shown = made_at - VENDOR_DELAY
    quotes = _fingerprint(raw, _QUOTES, raw.symbols)
    greeks = _fingerprint(raw, _GREEKS, ())
    if before is None or before.quotes != quotes:
        return Standing(quotes, greeks, greeks_moved=False, since=shown, shown=shown)
    moved = before.greeks_moved or greeks != before.first_greeks
    return Standing(
        quotes, before.first_greeks, greeks_moved=moved, since=before.since, shown=shown
    )


def _fingerprint(raw: RawChain, columns: Sequence[str], texts: Sequence[str]) -> str:
    digest = sha256("\n".join(texts).encode())
    for name in columns:
        digest.update(np.ascontiguousarray(raw.floats[name]).tobytes())
    return digest.hexdigest()


def frozen_note(
    seen: Standing, calendar: Calendar, *, after: timedelta
) -> tuple[tuple[str, str], ...]:
    """Return the finding ``quotes_frozen`` when quotes stood still for too long of a session."""
    day = session_of(calendar, seen.shown)
    if seen.shown > session_close(calendar, day):
        return ()
    stood = seen.shown - max(seen.since, session_open(calendar, day))
    if stood <= after:
        return ()
    greeks = "while Greeks moved" if seen.greeks_moved else "and the Greeks with them"
    text = (
        f"every bid, ask and size has stood still for {_minutes(stood)} minutes of the session, "
        f"{greeks}: they are repeated, not quoted"
    )
    return (("quotes_frozen", text),)


def stale_note(
    raw: RawChain, calendar: Calendar, *, now: datetime, after: timedelta
) -> tuple[tuple[str, str], ...]:
    """Return the finding ``stale_quotes`` when the clock of the data is too far behind.

    Parameters
    ----------
    raw : RawChain
        The answer.
    calendar : Calendar
        Of the underlying.
    now : datetime.datetime
        UTC instant of the question, or of the answer when that is later.
    after : datetime.timedelta
        How far the data may be behind what should be shown.
    """
    if raw.quoted_at is None:
        return ()
    shown = now - VENDOR_DELAY
    day = session_of(calendar, shown)
    due = min(shown, session_close(calendar, day)) - after
    if due < session_open(calendar, day) or raw.quoted_at >= due:
        return ()
    text = (
        f"the data is of {raw.quoted_at:%Y-%m-%d %H:%M} UTC, asked at {now:%H:%M} UTC it should be "
        f"of {due + after:%Y-%m-%d %H:%M} UTC: {_minutes(due + after - raw.quoted_at)} minutes "
        "behind"
    )
    return (("stale_quotes", text),)


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f}"
