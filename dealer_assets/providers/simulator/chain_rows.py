"""The simulated chain at one minute as rows of `tables.CHAIN_SNAPSHOTS`.

Belongs here: the columns of a snapshot. Does not belong here: what they are made of (`quotes`,
`flow`, `market_day`), or the tape (`tape_rows`).
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.providers.simulator.listing import Floats
from dealer_assets.providers.simulator.market_day import MarketDay, traded_by
from dealer_assets.providers.simulator.quotes import (
    displayed_quotes,
    fair_values,
    vendor_greeks,
)


def chain_rows(market: MarketDay, minute: int, *, stamps: dict[str, date]) -> pa.Table:
    """Return the chain at a minute of the session.

    Parameters
    ----------
    market : MarketDay
        The session.
    minute : int
        Since the open.
    stamps : dict
        ``session_date``, ``event_at`` and ``known_at`` of every row.
    """
    session, flow = market.session, market.flow
    listing = session.listing
    n = listing.strike.size
    at = session.live_minute(minute)
    fair = fair_values(session, np.arange(n), minute=at)
    bid, ask, bid_size, ask_size = displayed_quotes(
        session, minute=minute, fair=fair, open_interest=flow.open_interest
    )
    volume, last_price, last_trade_us = traded_by(market, minute)
    is_deribit = market.entry.kind == "crypto"
    vol, delta, gamma = vendor_greeks(fair, is_call=listing.is_call, is_deribit=is_deribit)
    floats: dict[str, Floats] = {
        "bid": bid,
        "ask": ask,
        "bid_size_contracts": bid_size,
        "ask_size_contracts": ask_size,
        "last_price": last_price,
        "volume_contracts": volume,
        "open_interest_contracts": flow.open_interest,
        "venue_forward": np.round(fair.forward, 2) if is_deribit else np.full(n, np.nan),
        "vendor_implied_vol": vol,
        "vendor_delta": delta,
        "vendor_gamma": gamma,
    }
    spot = float(session.path.spot[min(minute, session.path.minutes)])
    constants = stamps | {"provider": "simulator", "spot": spot, "spot_source": "simulated"}
    constants |= {"is_partial": False}
    schema = tables.CHAIN_SNAPSHOTS.schema
    columns = dict(listing.columns)
    columns |= {name: pa.array(values, mask=np.isnan(values)) for name, values in floats.items()}
    columns |= {
        name: pa.repeat(pa.scalar(value, schema.field(name).type), n)
        for name, value in constants.items()
    }
    traded = pa.array(last_trade_us, mask=volume <= 0.0)
    columns["last_trade_at"] = traded.cast(schema.field("last_trade_at").type)
    return pa.table([columns[name] for name in schema.names], schema=schema)
