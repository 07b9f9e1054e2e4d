"""Open interest of a session, taken from its chains.

Belongs here: which count a chain's open interest is, and whether it can be. Does not belong here:
storing it, or other publishers of it (OCC).
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.underlyings import Underlying

LEAST_TRADED = 50
"""Contracts that traded in a session, of which hardly any ends it with the open interest it began
with: fewer tell nothing."""


def repeats_open_interest(before: pa.Table, chain: pa.Table) -> bool:
    """Tell whether a chain still shows the open interest of the session before.

    Parameters
    ----------
    before : pyarrow.Table
        Newest snapshot of the session before, `tables.CHAIN_SNAPSHOTS`.
    chain : pyarrow.Table
        A snapshot of the session.

    Returns
    -------
    bool
        True when no contract that traded in the session before has another count than then; False
        also where it cannot be told, under `LEAST_TRADED` contracts that did.
    """
    traded = before.filter(pc.greater(before["volume_contracts"], 0.0))
    names = ["symbol", "open_interest_contracts"]
    both = traded.select(names).join(
        chain.select(names), keys="symbol", right_suffix="_now", join_type="inner"
    )
    same = pc.equal(both[names[1]], both[f"{names[1]}_now"]).drop_null()
    return len(same) >= LEAST_TRADED and bool(pc.all(same).as_py())


def open_interest_of(chain: pa.Table, underlying: Underlying) -> pa.Table:
    """Return the open interest that a chain shows.

    US options show the count of the session before all day long, so the row's `event_at` is that
    session's close. A venue around the clock shows the count of the moment, which is `event_at`.

    Parameters
    ----------
    chain : pyarrow.Table, shape (n,)
        One snapshot of `tables.CHAIN_SNAPSHOTS`.
    underlying : Underlying
        Registry entry.

    Returns
    -------
    pyarrow.Table, shape (m,)
        `tables.OPEN_INTEREST` rows of the contracts whose open interest the chain tells.
    """
    schema = tables.OPEN_INTEREST.schema
    told = chain.filter(pc.is_valid(chain["open_interest_contracts"]))
    if not told.num_rows:
        return schema.empty_table()
    counted_at = told["event_at"]
    if underlying.calendar != "24/7":
        day = told["session_date"][0].as_py()
        before = sessions.previous_session(underlying.calendar, day)
        close = sessions.session_close(underlying.calendar, before)
        counted_at = pa.chunked_array([pa.repeat(pa.scalar(close, tables.INSTANT), told.num_rows)])
    name = pa.scalar(f"chain of {told['event_at'][0].as_py():%Y-%m-%d %H:%M} UTC")
    columns = {name: told[name] for name in schema.names if name in told.column_names}
    columns |= {"event_at": counted_at, "source_name": pa.repeat(name, told.num_rows)}
    return pa.table([columns[name] for name in schema.names], schema=schema)
