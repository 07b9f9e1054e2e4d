"""The vendor "L3" end-of-day CSV.

Belongs here: this vendor's column names and clock. Does not belong here: reading CSV cells
(`csv_fields`), deciding the session or judging rows (`assembly`).

One clock: ``quotedate`` is the New York time of the quotes (4:00 PM), so it is `quoted_at`; nothing
says when the file was made. ``optionroot`` holds the whole option symbol, ``underlying`` may hold
an option root (SPXW). The header names three columns that no row has.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from dealer_assets.domain.sessions import NEW_YORK
from dealer_assets.errors import UnknownUnderlyingError
from dealer_assets.providers.csv_fields import (
    CsvTable,
    positive,
    read_table,
    refuse,
    typical,
)
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.source_names import named_date
from dealer_assets.underlyings import underlying, underlying_of_root

_FLOATS = {
    "bid": "bid",
    "ask": "ask",
    "last": "last_price",
    "volume": "volume_contracts",
    "openinterest": "open_interest_contracts",
    "impliedvol": "vendor_implied_vol",
    "delta": "vendor_delta",
    "gamma": "vendor_gamma",
}
_REQUIRED = ("underlying", "underlying_last", "optionroot", "expiration", "quotedate", *_FLOATS)
_US_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/([12]\d{3})")
_US_STAMP = re.compile(r"(\d{1,2}/\d{1,2}/[12]\d{3}) (\d{1,2}:\d\d(?::\d\d)?) ([AP]M)")


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts like this CSV.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed for this format.
    """
    first = head.partition(b"\n")[0]
    return all(word in first for word in (b"underlying_last", b"optionroot", b"quotedate"))


def parse(payload: bytes, *, name: str, sha256: str) -> list[RawChain]:
    """Parse one end-of-day file.

    Parameters
    ----------
    payload : bytes
        CSV text.
    name : str
        File name, for messages and provenance.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of RawChain
        Exactly one. A last price of 0 means that there was no trade and becomes NaN.

    Raises
    ------
    BadInputError
        Naming file and column, when the payload is no such CSV, holds more than one quote date,
        or a number is none.
    """
    table = read_table(payload, name, required=_REQUIRED)
    floats = {ours: table.numbers(theirs) for theirs, ours in _FLOATS.items()}
    floats["last_price"] = positive(floats["last_price"])
    floats["vendor_implied_vol"] = positive(floats["vendor_implied_vol"])
    return [
        RawChain(
            provider="eod_l3",
            source_name=name,
            source_sha256=sha256,
            symbols=table.columns["optionroot"],
            floats=floats,
            row_numbers=table.row_numbers,
            raw_texts=table.lines,
            claimed_underlying=_claimed(table),
            quoted_at=_quoted_at(table.only_value("quotedate"), name),
            named_date=named_date(name),
            spot=typical(positive(table.numbers("underlying_last"))),
            declared_expiries=_dates(table),
        )
    ]


def _claimed(table: CsvTable) -> str | None:
    found = sorted({_symbol(text) for text in set(table.columns["underlying"])})
    if len(found) > 1:
        complaint = f"expected one 'underlying' for all rows, found {', '.join(found[:5])}"
        refuse(table.name, complaint, remedy="split the file by that column")
    return found[0] or None


def _symbol(text: str) -> str:
    symbol = text.strip().upper()
    try:
        return underlying(symbol).symbol
    except UnknownUnderlyingError:
        pass
    try:
        return underlying_of_root(symbol).symbol
    except UnknownUnderlyingError:
        return symbol  # kept, so that the contradiction with the symbols is seen


def _quoted_at(text: str, name: str) -> datetime:
    match = _US_STAMP.fullmatch(text.strip())
    layout = "%m/%d/%Y %I:%M:%S %p" if text.count(":") == 2 else "%m/%d/%Y %I:%M %p"
    try:
        if match is None:
            raise ValueError(text)
        local = datetime.strptime(match.group(), layout).replace(tzinfo=NEW_YORK)
    except ValueError:
        refuse(name, f"expected M/D/YYYY hh:mm AM/PM (New York) in 'quotedate', found {text!r}")
    return local.astimezone(UTC)


def _dates(table: CsvTable) -> list[date | None]:
    cells = table.columns["expiration"]
    known = {text: _us_date(text, table.name) for text in set(cells)}
    return [known[text] for text in cells]


def _us_date(text: str, name: str) -> date | None:
    if not text.strip():
        return None
    match = _US_DATE.fullmatch(text.strip())
    try:
        month, day, year = (int(part) for part in match.groups()) if match else (0, 0, 0)
        return date(year, month, day)
    except ValueError:
        refuse(name, f"expected MM/DD/YYYY in 'expiration', found {text!r}")
