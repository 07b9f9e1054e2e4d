"""Volume and open interest of Cboe's delayed chains: which session they are of.

Belongs here: telling counts of this session from those of another. Does not belong here: quotes
(`cboe_standstill`), asking (`cboe_live`).

Around the open a chain still shows the volume of the session before, told by the clock of the last
trade. Open interest of the close before is taken in late in the morning.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.sessions import NEW_YORK, previous_session, session_of
from dealer_assets.providers import chain_open_interest
from dealer_assets.providers.base import ChainSnapshot, Finding, Records
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.underlyings import Underlying

OPEN_INTEREST_ROLLED = time(10, 30)
"""New York time by which Cboe's file has been seen to hold the session's own open interest; before
it, it may still show that of the session before."""

_NIGHT = time(20, 0)
"""New York time at which a trading day is over; the next one's overnight session comes after."""


def volume_of_the_session(
    raw: RawChain, underlying: Underlying
) -> tuple[NDArray[np.float64], tuple[tuple[str, str], ...]]:
    """Return the volumes of the session that a payload shows, and what was odd about them.

    Parameters
    ----------
    raw : RawChain
        The payload; n rows.
    underlying : Underlying
        Its calendar decides the session.

    Returns
    -------
    float64 array, shape (n,), and notes
        NaN where the last trade lies in an earlier session (``volume_carried_over``).
    """
    volume = raw.floats["volume_contracts"]
    if raw.quoted_at is None or raw.last_trade_at is None or underlying.calendar == "24/7":
        return volume, ()
    session = session_of(underlying.calendar, raw.quoted_at)
    before = previous_session(underlying.calendar, session)
    night = datetime.combine(before, _NIGHT, NEW_YORK).astimezone(UTC).replace(tzinfo=None)
    carried = (volume > 0.0) & (raw.last_trade_at <= np.datetime64(night, "us"))
    if not carried.any():
        return volume, ()
    text = (
        f"{int(carried.sum()):,} contracts show volume, but last traded before session {session}: "
        "it is carried over from an earlier one and left unknown"
    )
    return np.where(carried, np.nan, volume), (("volume_carried_over", text),)


def open_interest_records(chain: ChainSnapshot, underlying: Underlying) -> Records:
    """Return the open interest of a chain for the session that the chain is of.

    Parameters
    ----------
    chain : ChainSnapshot
        Of Cboe.
    underlying : Underlying
        Registry entry.

    Returns
    -------
    Records
        As `chain_open_interest.open_interest_records`; not complete either while Cboe may still
        show that of the session before (``open_interest_early``).
    """
    records = chain_open_interest.open_interest_records(chain, underlying)
    session = chain.session_date
    rolled = datetime.combine(session, OPEN_INTEREST_ROLLED, NEW_YORK)
    if underlying.calendar != "XNYS" or chain.event_at >= rolled:
        return records
    text = (
        f"quotes of {chain.event_at:%H:%M} UTC: until {OPEN_INTEREST_ROLLED:%H:%M} New York "
        f"Cboe may show the open interest of the session before {session}; ask again"
    )
    early = Finding("open_interest_early", text)
    return replace(records, is_complete=False, findings=(*records.findings, early))
