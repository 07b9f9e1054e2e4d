"""Cboe's delayed-quotes JSON.

Belongs here: Cboe's field names and clocks. Does not belong here: asking Cboe (`cboe_live`),
reading columns out of JSON rows (`json_fields`), deciding the session or judging rows (`assembly`).
Source: docs/methods/files.md; the feed is undocumented by Cboe.

Two clocks, easily confused. The top-level ``timestamp`` is the UTC instant at which the file was
made, about 15 minutes after the data. ``last_trade_time``, in the header and in the rows, is New
York time without a zone; the header's is the clock of the data. Reading the first as New York time
moves a chain by four or five hours and often into another session.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from dealer_assets.providers.csv_fields import (
    local_instants,
    new_york_to_utc,
    positive,
    refuse,
)
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

_REQUIRED = {
    "bid": "bid",
    "ask": "ask",
    "volume": "volume_contracts",
    "open_interest": "open_interest_contracts",
}
_OPTIONAL = {
    "bid_size": "bid_size_contracts",
    "ask_size": "ask_size_contracts",
    "last_trade_price": "last_price",
    "iv": "vendor_implied_vol",
    "delta": "vendor_delta",
    "gamma": "vendor_gamma",
}


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts like Cboe's delayed-quotes JSON.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed for this format.
    """
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and (
        b'"data"' in head and b'"options"' in head
    )


def parse(payload: bytes, *, name: str, sha256: str) -> list[RawChain]:
    """Parse one delayed-quotes payload.

    Parameters
    ----------
    payload : bytes
        JSON text.
    name : str
        File name or request, for messages and provenance.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of RawChain
        Exactly one. An implied vol of 0 means that Cboe found none, a last price of 0 that there
        was no trade: both become NaN.

    Raises
    ------
    BadInputError
        Naming file and field, when the payload is no such JSON.
    """
    top = read_object(payload, name)
    data = read_field(top, "data", dict, name=name)
    rows = read_rows(data, "options", name=name)
    floats = {
        ours: number_column(rows, f, name=name, required=True) for f, ours in _REQUIRED.items()
    }
    floats |= {ours: number_column(rows, f, name=name) for f, ours in _OPTIONAL.items()}
    for column in ("vendor_implied_vol", "last_price"):
        floats[column] = positive(floats[column])
    made_at = _made_at(top, name)
    quoted_at, notes = _quoted_at(data, made_at, name)
    return [
        RawChain(
            provider="cboe_json",
            source_name=name,
            source_sha256=sha256,
            symbols=text_column(rows, "option", name=name),
            floats=floats,
            last_trade_at=new_york_to_utc(local_instants([r.get("last_trade_time") for r in rows])),
            row_numbers=np.arange(1, len(rows) + 1, dtype=np.int64),
            raw_texts=RowTexts(rows),
            claimed_underlying=_claimed(top, data, name),
            downloaded_at=made_at,
            quoted_at=quoted_at,
            named_date=named_date(name),
            spot=positive_number(data, "current_price", name=name),
            notes=notes,
        )
    ]


def _claimed(top: Mapping[str, Any], data: Mapping[str, Any], name: str) -> str | None:
    symbol = top.get("symbol", data.get("symbol"))
    if symbol is None:
        return None
    if not isinstance(symbol, str):
        refuse(name, f"expected text in field 'symbol', found {symbol!r}")
    return symbol.lstrip("_^").upper() or None


def _made_at(top: Mapping[str, Any], name: str) -> datetime:
    text = read_field(top, "timestamp", str, name=name)
    instant = local_instants([text])[0]
    if np.isnat(instant):
        refuse(name, f"expected 'YYYY-MM-DD HH:MM:SS' (UTC) in field 'timestamp', found {text!r}")
    made: datetime = instant.item()
    return made.replace(tzinfo=UTC)


def _quoted_at(
    data: Mapping[str, Any], made_at: datetime, name: str
) -> tuple[datetime | None, tuple[tuple[str, str], ...]]:
    text = data.get("last_trade_time")
    if text is None:
        note = "header has no last_trade_time: expected the New York time of the data; left unknown"
        return None, (("header_clock_missing", note),)
    instant = new_york_to_utc(local_instants([text]))[0]
    if np.isnat(instant):
        refuse(name, f"expected New York time in field 'last_trade_time', found {text!r}")
    quoted: datetime = instant.item().replace(tzinfo=UTC)
    if quoted <= made_at:
        return quoted, ()
    note = (
        f"header last_trade_time {text} (New York) lies after the file's own timestamp "
        f"{made_at:%Y-%m-%d %H:%M:%S} UTC; the timestamp is used"
    )
    return made_at, (("quoted_after_download", note),)
