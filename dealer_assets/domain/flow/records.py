"""Layout of what kernels of the live book keep by contract, lane and print.

Belongs here: record types and row numbers. Does not belong here: what happens to them
(`dealer_assets.domain.kernels.book`, `.flows`).

A record keeps what one event touches in one place of memory. Its layout is part of a kernel's
signature, so machine code made for another layout is never used.
"""

from __future__ import annotations

import numpy as np

CONTRACTS = np.dtype(
    [
        ("expires_us", np.int64),
        ("fresh_us", np.int64),
        ("strike", np.float64),
        ("multiplier", np.float64),
        ("lane", np.int32),
        ("slice_id", np.int32),
        ("partner", np.int32),
        ("is_call", np.int8),
    ],
    align=True,
)
"""What does not change of a contract in a session; `fresh_us` is the oldest usable quote's age."""

LANES = np.dtype(
    [
        ("spot", np.float64),
        ("spot_us", np.int64),
        ("trades_seen", np.int64),
        ("spot_source", np.int16),
    ],
    align=True,
)
"""What is kept of an underlying."""

LOG = np.dtype(
    [
        ("contract", np.int32),
        ("alike", np.int32),
        ("price", np.float64),
        ("size_contracts", np.float64),
        ("event_us", np.int64),
        ("conditions", np.int64),
        ("number", np.int64),
        ("sequence", np.int64),
        ("confidence", np.float64),
        ("hedge_flow", np.float64),
        ("gamma_flow", np.float64),
        ("last_link", np.int32),
        ("tick_link", np.int32),
        ("exchange", np.int16),
        ("sign", np.int8),
        ("is_taken_back", np.int8),
    ],
    align=True,
)
"""A print of the session. `alike`: the one before of the same contract, price, size and exchange;
`last_link`: the contract's last print before it; `tick_link`: the reference for ticks before it.
Rows of the log, -1 for none."""

JUDGED = np.dtype(
    [
        *((name, np.int64) for name in ("received_us", "event_us", "sequence")),
        *((name, np.int64) for name in ("cancels", "cancels_sequence")),
        *((name, np.int64) for name in ("conditions", "venue_sequence", "number")),
        *((name, np.float64) for name in ("price", "size", "volume", "confidence")),
        *((name, np.float64) for name in ("bid", "ask", "quote_age_us")),
        *((name, np.float64) for name in ("spot", "spot_age_us", "years")),
        *((name, np.float64) for name in ("other_age_us", "surface_vol", "surface_age_us")),
        *((name, np.float64) for name in ("venue_vol", "venue_age_us")),
        *((name, np.float64) for name in ("multiplier", "premium", "dealer_contracts")),
        ("contract", np.int32),
        ("exchange", np.int16),
        *((name, np.int8) for name in ("sign", "basis", "trade_class", "quote_state")),
        *((name, np.int8) for name in ("taker", "is_backfill")),
    ],
    align=True,
)
"""A trade as judged at its moment, with what its vol may come from."""

NUMBERS: tuple[str, ...] = (
    "bid",
    "ask",
    "bid_size",
    "ask_size",
    "mark_price",
    "mark_vol",
    "open_interest",
    "vol",
)
NUMBERS += ("last_price", "volume", "customer", "customer_mean", "customer_variance")
"""Rows of the float64 array, shape (13, n), that is the state of the contracts."""

INSTANTS = ("quote_us", "mark_us", "vol_us", "last_us", "last_row", "tick_row", "traded")
"""Rows of the int64 array, shape (7, n), beside it: instants and rows of the log, -1 for none."""

CANDIDATES = ("price", "forward", "strike", "years", "discount")
"""Rows of the float64 array, shape (5, 2 k), of prices to be inverted for k trades: their own
quotes' first, then their partners'."""
