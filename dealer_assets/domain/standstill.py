"""Whether a chain's quotes stand still: somebody repeats old ones under a new clock.

Belongs here: comparing two snapshots. Does not belong here: finding the earlier one.
"""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain import sessions
from dealer_assets.underlyings import Underlying

FROZEN_AFTER = timedelta(minutes=5)
"""Of hundreds of contracts some quote moves every second of a session."""

_LEAST_CONTRACTS = 100
_QUOTES = ["symbol", "bid", "ask", "bid_size_contracts", "ask_size_contracts"]


def stands_still(earlier: pa.Table, later: pa.Table, underlying: Underlying) -> bool:
    """Tell whether every quote of a chain is what it was, minutes of trading ago.

    Parameters
    ----------
    earlier, later : pyarrow.Table
        Two snapshots of `tables.CHAIN_SNAPSHOTS`.
    underlying : Underlying
        Registry entry.

    Returns
    -------
    bool
        False also where it cannot be told: under `FROZEN_AFTER` apart, out of trading hours, or
        under a hundred contracts in both.
    """
    if not earlier.num_rows or not later.num_rows:
        return False
    before, now = earlier["event_at"][0].as_py(), later["event_at"][0].as_py()
    calendar = underlying.calendar
    if now - before < FROZEN_AFTER or not sessions.is_open(calendar, before):
        return False
    if now > sessions.session_close(calendar, later["session_date"][0].as_py()):
        return False  # after the close quotes may rest
    both = earlier.filter(pc.is_in(earlier["symbol"], later["symbol"].combine_chunks()))
    same = later.filter(pc.is_in(later["symbol"], earlier["symbol"].combine_chunks()))
    if both.num_rows < _LEAST_CONTRACTS:
        return False
    left, right = (rows.select(_QUOTES).sort_by("symbol").combine_chunks() for rows in (both, same))
    return bool(left.equals(right))
