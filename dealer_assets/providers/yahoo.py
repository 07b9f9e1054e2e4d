"""Yahoo chains, in three recorded layouts.

Belongs here: the field names and clocks of files that tools made from Yahoo's option pages. Does
not belong here: asking Yahoo (its terms forbid it), deciding the session or judging rows
(`assembly`): an overnight file with bids of 0 and no open interest parses like any other.

=============  ======================  ==========================================================
layout         recognised by           clocks
=============  ======================  ==========================================================
quotes JSON    ``quotes``,             ``updated`` is when the tool wrote the file, first as UTC
               ``underlyingPrice``     (``Z``), later with New York's offset: `downloaded_at`
snapshot JSON  ``chains``, ``term``    ``timestamp`` is when the tool wrote the file, New York wall
                                       time without a zone (the file's commit and the VIX close in
                                       it prove that): `downloaded_at`
yfinance CSV   ``contractSymbol``      no clock but a date; the latest ``lastTradeDate`` (UTC) of
                                       any contract is the earliest instant the quotes can have:
                                       `quoted_at`, with a finding
=============  ======================  ==========================================================

No layout states the time of the quotes themselves, which Yahoo delays. Vols are decimal; Yahoo's
search for one ends at 0.00001 when there is none, the snapshot's author lifts that to 0.01.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.instruments import Contract
from dealer_assets.domain.sessions import NEW_YORK
from dealer_assets.errors import UnknownUnderlyingError
from dealer_assets.providers.csv_fields import local_instants, positive, read_table, refuse, typical
from dealer_assets.providers.json_fields import (
    RowTexts,
    number_column,
    positive_number,
    read_field,
    read_object,
    read_rows,
    text_column,
)
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.source_names import named_date
from dealer_assets.underlyings import underlying

LOWEST_VOL = 0.0101
"""Vols up to here are where Yahoo's search, or the snapshot author's floor, gave up."""

_QUOTES_REQUIRED = {
    "bid": "bid",
    "ask": "ask",
    "last": "last_price",
    "volume": "volume_contracts",
    "openInterest": "open_interest_contracts",
    "iv": "vendor_implied_vol",
}
_QUOTES_OPTIONAL = {"delta": "vendor_delta", "gamma": "vendor_gamma"}
_SNAPSHOT = {
    "lastPrice": "last_price",
    "volume": "volume_contracts",
    "openInterest": "open_interest_contracts",
    "iv": "vendor_implied_vol",
}
_YFINANCE = {
    "bid": "bid",
    "ask": "ask",
    "lastPrice": "last_price",
    "volume": "volume_contracts",
    "openInterest": "open_interest_contracts",
    "impliedVolatility": "vendor_implied_vol",
}
_YFINANCE_REQUIRED = ("contractSymbol", "expiration", "lastTradeDate", *_YFINANCE)
_SIDES = {"calls": "call", "puts": "put"}


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts like one of the three layouts.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed for these formats.
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start.startswith(b"{"):
        first = start.partition(b"\n")[0]
        return b"contractSymbol" in first and b"lastTradeDate" in first
    is_quotes = b'"underlyingPrice"' in start and b'"updated"' in start
    return is_quotes or (b'"ticker"' in start and b'"term"' in start and b'"spot"' in start)


def parse(payload: bytes, *, name: str, sha256: str) -> list[RawChain]:
    """Parse one file of any of the three layouts.

    Parameters
    ----------
    payload : bytes
        JSON or CSV text.
    name : str
        File name, for messages and provenance.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of RawChain
        Exactly one. A vol at Yahoo's floor and a last price of 0 become NaN.

    Raises
    ------
    BadInputError
        Naming file and field, when the payload is none of these.
    """
    if payload[:64].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"contractSymbol"):
        return [_parse_yfinance(payload, name, sha256)]
    top = read_object(payload, name)
    if "chains" in top:
        return [_parse_snapshot(top, name, sha256)]
    return [_parse_quotes(top, name, sha256)]


def _parse_quotes(top: dict[str, Any], name: str, sha256: str) -> RawChain:
    rows = read_rows(top, "quotes", name=name)
    floats = {
        ours: number_column(rows, theirs, name=name, required=True)
        for theirs, ours in _QUOTES_REQUIRED.items()
    }
    floats |= {
        ours: number_column(rows, theirs, name=name) for theirs, ours in _QUOTES_OPTIONAL.items()
    }
    return RawChain(
        provider="yahoo",
        source_name=name,
        source_sha256=sha256,
        symbols=text_column(rows, "symbol", name=name),
        floats=_without_floors(floats),
        row_numbers=np.arange(1, len(rows) + 1, dtype=np.int64),
        raw_texts=RowTexts(rows),
        claimed_underlying=read_field(top, "symbol", str, name=name).lstrip("_^").upper(),
        downloaded_at=_updated_at(top, name),
        named_date=named_date(name),
        spot=positive_number(top, "underlyingPrice", name=name),
        declared_expiries=_dates(text_column(rows, "expiration", name=name), name),
    )


def _updated_at(top: Mapping[str, Any], name: str) -> datetime:
    text = read_field(top, "updated", str, name=name)
    try:
        updated = datetime.fromisoformat(text)
        if updated.tzinfo is None:
            raise ValueError(text)
        return updated.astimezone(UTC)
    except (ValueError, OverflowError):
        refuse(name, f"expected an instant with its zone in field 'updated', found {text!r}")


def _parse_snapshot(top: dict[str, Any], name: str, sha256: str) -> RawChain:
    ticker = read_field(top, "ticker", str, name=name).upper()
    rows, expiries, sides = _snapshot_rows(top, name)
    strikes = number_column(rows, "strike", name=name, required=True)
    floats = {
        ours: number_column(rows, theirs, name=name, required=True)
        for theirs, ours in _SNAPSHOT.items()
    }
    floats["vendor_delta"] = number_column(rows, "delta", name=name)
    note = "the file holds last prices only: expected bid and ask; left unknown"
    return RawChain(
        provider="yahoo",
        source_name=name,
        source_sha256=sha256,
        symbols=_osi_symbols(_only_root(ticker, name), expiries, sides, strikes.tolist()),
        floats=_without_floors(floats),
        row_numbers=np.arange(1, len(rows) + 1, dtype=np.int64),
        raw_texts=RowTexts(rows),
        claimed_underlying=ticker,
        downloaded_at=_written_at(top, name),
        named_date=named_date(name),
        spot=positive_number(top, "spot", name=name),
        declared_expiries=expiries,
        notes=(("no_quotes", note),),
    )


def _snapshot_rows(
    top: Mapping[str, Any], name: str
) -> tuple[list[dict[str, Any]], list[date], list[str]]:
    rows: list[dict[str, Any]] = []
    expiries: list[date] = []
    sides: list[str] = []
    for text, chain in read_field(top, "chains", dict, name=name).items():
        expiry = _date(text, name)
        if not isinstance(chain, dict):
            refuse(name, f"expected an object in chains[{text!r}], found {type(chain).__name__}")
        for field, side in _SIDES.items():
            if chain.get(field) == []:
                continue  # an expiry may list one side only
            found = read_rows(chain, field, name=name)
            rows += found
            expiries += repeat(expiry, len(found))
            sides += repeat(side, len(found))
    if not rows:
        refuse(name, "expected option rows in field 'chains', found none")
    return rows, expiries, sides


def _only_root(ticker: str, name: str) -> str:
    """Root of the rows, which have no symbols: certain only where one root is listed."""
    try:
        roots = underlying(ticker).roots
    except UnknownUnderlyingError:
        return ticker  # refused later, by a message that says how to add it
    if len(roots) > 1:
        found = ", ".join(root.symbol for root in roots)
        refuse(name, f"expected option symbols, found only strikes, and {ticker} lists {found}")
    return roots[0].symbol


def _osi_symbols(
    root: str, expiries: Sequence[date], sides: Sequence[str], strikes: Sequence[float]
) -> list[str]:
    # a strike that no symbol can hold leaves the symbol blank, and the row is quarantined for it
    return [
        Contract(root, expiry, side, strike).osi if 0.0 < strike < 100_000.0 else ""
        for expiry, side, strike in zip(expiries, sides, strikes, strict=True)
    ]


def _written_at(top: Mapping[str, Any], name: str) -> datetime:
    text = read_field(top, "timestamp", str, name=name)
    instant = local_instants([text])[0]
    if np.isnat(instant):
        refuse(name, f"expected New York time in field 'timestamp', found {text!r}")
    written: datetime = instant.item()
    return written.replace(tzinfo=NEW_YORK).astimezone(UTC)


def _parse_yfinance(payload: bytes, name: str, sha256: str) -> RawChain:
    table = read_table(payload, name, required=_YFINANCE_REQUIRED)
    trades = _trade_instants(table.columns["lastTradeDate"], name)
    quoted_at, notes = _latest(trades, table.columns.get("snap_date", ("",)))
    spot = typical(positive(table.numbers("spot_price"))) if "spot_price" in table.columns else None
    return RawChain(
        provider="yahoo",
        source_name=name,
        source_sha256=sha256,
        symbols=table.columns["contractSymbol"],
        floats=_without_floors({ours: table.numbers(theirs) for theirs, ours in _YFINANCE.items()}),
        last_trade_at=trades,
        row_numbers=table.row_numbers,
        raw_texts=table.lines,
        quoted_at=quoted_at,
        named_date=named_date(name),
        spot=spot,
        declared_expiries=_dates(table.columns["expiration"], name),
        notes=notes,
    )


def _trade_instants(texts: Sequence[str], name: str) -> NDArray[np.datetime64]:
    for text in texts:
        if text and not text.endswith(("+00:00", "Z")):
            refuse(name, f"expected UTC (+00:00) in 'lastTradeDate', found {text!r:.80}")
    return local_instants([text.removesuffix("Z").removesuffix("+00:00") for text in texts])


def _latest(
    trades: NDArray[np.datetime64], snap_dates: Sequence[str]
) -> tuple[datetime | None, tuple[tuple[str, str], ...]]:
    known = trades[~np.isnat(trades)]
    if not known.size:
        return None, ()
    latest: datetime = known.max().item()
    quoted_at = latest.replace(tzinfo=UTC)
    text = (
        f"the file states a date at most; the latest trade in it, {latest:%Y-%m-%d %H:%M:%S} UTC, "
        "is taken as the time of the quotes"
    )
    notes = [("quoted_at_from_last_trade", text)]
    day, snap_date = quoted_at.astimezone(NEW_YORK).date(), snap_dates[0]
    if snap_date and snap_date != day.isoformat():
        text = f"snap_date says {snap_date!r}, but nothing traded after {day}; the trades win"
        notes.append(("snap_date_mismatch", text))
    return quoted_at, tuple(notes)


def _without_floors(floats: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    vols = floats["vendor_implied_vol"]
    return floats | {
        "vendor_implied_vol": np.where(vols > LOWEST_VOL, vols, np.nan),
        "last_price": positive(floats["last_price"]),
    }


def _dates(texts: Sequence[str], name: str) -> list[date | None]:
    known = {text: _date(text, name) if text else None for text in set(texts)}
    return [known[text] for text in texts]


def _date(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        refuse(name, f"expected the expiry as YYYY-MM-DD, found {text!r:.80}")
