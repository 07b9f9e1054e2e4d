"""The half-way form between a vendor's payload and a believed snapshot.

Belongs here: the shape every chain parser produces. Does not belong here: parsing (one module per
vendor format) or judging (`assembly` decides the session, quarantines rows, records findings).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.conventions import VENDOR_DELAY

FLOAT_COLUMNS = (
    "bid",
    "ask",
    "bid_size_contracts",
    "ask_size_contracts",
    "last_price",
    "volume_contracts",
    "open_interest_contracts",
    "venue_forward",
    "vendor_implied_vol",
    "vendor_delta",
    "vendor_gamma",
)
"""Columns of a raw chain: float64, our units; NaN where the vendor gave nothing, infinity where the
cell held text that is no number (such a row is quarantined)."""


@dataclass(frozen=True)
class RawChain:
    """A parsed payload, before anything of it is believed.

    Parameters
    ----------
    provider : str
        Format word stored with the rows, e.g. ``cboe_csv``, ``cboe_json``, ``eod_l3``, ``yahoo``.
    source_name : str
        File name or request, without its folder.
    source_sha256 : str
        SHA-256 of the payload as received (after decompression).
    symbols : sequence of str
        One OSI or Deribit symbol per row, as found; blank when the row has none.
    floats : mapping of str to float64 array, shape (n,)
        Any of `FLOAT_COLUMNS`, in our units (vols decimal, prices USD); absent = not supplied.
    last_trade_at : datetime64[us] array or None
        UTC instants, NaT where unknown.
    row_numbers : int64 array, shape (n,)
        1-based line or element number in the payload.
    raw_texts : sequence of str
        The row as received, for the quarantine.
    claimed_underlying : str or None
        Registry symbol that the payload's own header or symbol field claims; None when silent.
    header_name : str or None
        Name as printed in the header, when there is one.
    downloaded_at : datetime or None
        UTC instant the payload says it was made or downloaded.
    quoted_at : datetime or None
        UTC instant of the market data, when the payload states one apart from `downloaded_at`.
    named_date : date or None
        Date in the file's name.
    spot : float or None
        Underlying price printed in the payload.
    spot_source : str or None
        Where it came from, of `tables.base.SPOT_SOURCES`; None: by the kind of underlying.
    declared_expiries : sequence of date or None, or None
        Expiry printed beside each row, to be held against the symbol's own.
    declared_multipliers : float64 array, shape (n,), or None
        Units a contract printed beside each row, NaN where unknown: one that is not the root's is
        of an adjusted series.
    delay : datetime.timedelta
        How far behind the market the quotes were when the payload was made.
    is_partial : bool
        The parser knows that a part of the chain is missing, whatever the rest looks like.
    notes : tuple of (str, str)
        Findings of the parser: (code, text).
    """

    provider: str
    source_name: str
    source_sha256: str
    symbols: Sequence[str]
    floats: Mapping[str, NDArray[np.float64]]
    row_numbers: NDArray[np.int64]
    raw_texts: Sequence[str]
    last_trade_at: NDArray[np.datetime64] | None = None
    claimed_underlying: str | None = None
    header_name: str | None = None
    downloaded_at: datetime | None = None
    quoted_at: datetime | None = None
    named_date: date | None = None
    spot: float | None = None
    spot_source: str | None = None
    declared_expiries: Sequence[date | None] | None = None
    declared_multipliers: NDArray[np.float64] | None = None
    delay: timedelta = VENDOR_DELAY
    is_partial: bool = False
    notes: tuple[tuple[str, str], ...] = field(default=())
