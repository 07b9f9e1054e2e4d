"""Rows of the chain snapshot to a raw chain.

Belongs here: the snapshot's field names and what they fail to say. Does not belong here: fetching
(`snapshots`), the instant (`clocks`), the underlying's price (`spot`), judging rows (`assembly`).

Fields that the vendor calls required are absent all the same: no greeks and no vol for deep
contracts, no quote and no trade where the plan has none, nulls for bid and ask at the opening bell.
All of these become NaN. The volume of the session before stands in the day's bar until the first
print of the new one, and is not counted. Open interest is the prior close's, all day long.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa

from dealer_assets.domain.sessions import NEW_YORK
from dealer_assets.providers.polygon.clocks import ChainClock, Note, Stamps, read_clock
from dealer_assets.providers.polygon.fields import (
    COUNT,
    NUMBER,
    TEXT,
    Floats,
    Instants,
    bare_symbols,
    instants,
    joined,
    naive,
    numbers,
    texts,
)
from dealer_assets.providers.polygon.pages import Page, PageTexts
from dealer_assets.providers.polygon.spot import SpotQuote, newest_spot
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.underlyings import Underlying

PRICE_BLOCKS = [
    (
        "last_quote",
        pa.struct(
            [
                ("bid", NUMBER),
                ("ask", NUMBER),
                ("bid_size", NUMBER),
                ("ask_size", NUMBER),
                ("last_updated", COUNT),
                ("timeframe", TEXT),
            ]
        ),
    ),
    ("last_trade", pa.struct([("price", NUMBER), ("sip_timestamp", COUNT), ("timeframe", TEXT)])),
    ("greeks", pa.struct([("delta", NUMBER), ("gamma", NUMBER)])),
    ("implied_volatility", NUMBER),
    ("open_interest", NUMBER),
    (
        "underlying_asset",
        pa.struct(
            [("value", NUMBER), ("price", NUMBER), ("last_updated", COUNT), ("timeframe", TEXT)]
        ),
    ),
]
"""Fields that a row of the chain and one of the unified snapshot share."""

CHAIN_ROW = pa.struct(
    [
        (
            "details",
            pa.struct(
                [("ticker", TEXT), ("expiration_date", TEXT), ("shares_per_contract", NUMBER)]
            ),
        ),
        ("day", pa.struct([("volume", NUMBER), ("last_updated", COUNT)])),
        *PRICE_BLOCKS,
    ]
)

FLOAT_FIELDS: dict[str, tuple[str, ...]] = {
    "bid": ("last_quote", "bid"),
    "ask": ("last_quote", "ask"),
    "bid_size_contracts": ("last_quote", "bid_size"),
    "ask_size_contracts": ("last_quote", "ask_size"),
    "last_price": ("last_trade", "price"),
    "open_interest_contracts": ("open_interest",),
    "vendor_implied_vol": ("implied_volatility",),
    "vendor_delta": ("greeks", "delta"),
    "vendor_gamma": ("greeks", "gamma"),
}


@dataclass(frozen=True)
class ReadChain:
    """A chain as its rows tell it.

    Parameters
    ----------
    raw : RawChain
        Without a price of the underlying.
    clock : ChainClock
        When it is of.
    spot : SpotQuote or None
        The underlying's price beside the rows.
    """

    raw: RawChain
    clock: ChainClock
    spot: SpotQuote | None


def read_chain(
    pages: Sequence[Page], *, underlying: Underlying, at: datetime, delay: timedelta
) -> ReadChain:
    """Read the pages of a chain.

    Parameters
    ----------
    pages : sequence of Page
        Rows of `CHAIN_ROW`.
    underlying : Underlying
        Registry entry.
    at : datetime.datetime
        UTC instant at which the chain was asked for.
    delay : datetime.timedelta
        How far behind the market the plan is declared to be.
    """
    rows, damaged = joined(pages, CHAIN_ROW)
    quoted_at = instants(rows, "last_quote", "last_updated")
    traded_at = instants(rows, "last_trade", "sip_timestamp")
    told_by = "last_trade" if np.isnat(quoted_at).all() else "last_quote"
    stamps = Stamps(
        quoted_at=quoted_at,
        traded_at=traded_at,
        spot_at=instants(rows, "underlying_asset", "last_updated"),
        timeframes=texts(rows, told_by, "timeframe"),
    )
    clock = read_clock(stamps, at=at, delay=delay, calendar=underlying.calendar)
    floats = {name: numbers(rows, *path) for name, path in FLOAT_FIELDS.items()}
    floats["bid"] = np.where(damaged, np.inf, floats["bid"])  # quarantined as not a number
    floats["volume_contracts"], notes = _volume(rows, traded_at, clock.session)
    symbols = bare_symbols(texts(rows, "details", "ticker"))
    raw = RawChain(
        provider="polygon",
        source_name=f"polygon {underlying.symbol} {clock.quoted_at:%Y-%m-%dT%H:%MZ}",
        source_sha256=_digest(pages),
        symbols=symbols.to_pylist(),
        floats=floats,
        row_numbers=np.arange(1, len(rows) + 1, dtype=np.int64),
        raw_texts=PageTexts(pages),
        last_trade_at=traded_at,
        claimed_underlying=underlying.symbol,
        downloaded_at=max(at, clock.newest),
        quoted_at=clock.quoted_at,
        declared_expiries=_dates(texts(rows, "details", "expiration_date")),
        declared_multipliers=numbers(rows, "details", "shares_per_contract"),
        delay=clock.lag,
        notes=clock.notes + notes,
    )
    return ReadChain(raw, clock, newest_spot(rows, at=at))


def _volume(
    rows: pa.StructArray, traded_at: Instants, session: date
) -> tuple[Floats, tuple[Note, ...]]:
    """Return the session's volume; that of a session before is 0 when nothing traded since."""
    volume = numbers(rows, "day", "volume")
    midnight = naive(datetime.combine(session, time(0), NEW_YORK).astimezone(UTC))
    old_bar = instants(rows, "day", "last_updated") < midnight  # NaT compares as False
    old_trade = traded_at < midnight
    carried = (volume > 0) & (old_bar | old_trade)
    if not carried.any():
        return volume, ()
    text = (
        f"{int(carried.sum())} of {volume.size} contracts show the volume of a session before "
        f"{session} ({volume[carried].sum():,.0f} contracts): not counted"
    )
    known_none = carried & old_bar & old_trade
    volume = np.where(known_none, 0.0, np.where(carried, np.nan, volume))
    return volume, (("volume_carried_over", text),)


def _dates(days: pa.StringArray) -> list[date | None]:
    """Return ISO dates; None where blank or unreadable, worked out once per date."""
    encoded = days.dictionary_encode()
    known = [_date(text) for text in encoded.dictionary.to_pylist()]
    return [known[code] for code in encoded.indices.to_numpy().tolist()]


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _digest(pages: Sequence[Page]) -> str:
    digest = hashlib.sha256()
    for page in pages:
        digest.update(page.body)
    return digest.hexdigest()
