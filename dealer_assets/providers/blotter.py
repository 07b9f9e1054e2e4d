"""The generic blotter: OTC and block trades that a desk or a user writes down, one leg a line.

Belongs here: the schema of `docs/blotter.md`, and reading it strictly. Does not belong here:
venues' own block tapes, or how blocks count in positions.

A blotter is written by people, and a block without one of its legs is another trade: so nothing of
a file is taken while any cell of it is wrong, and the refusal names lines and columns.

Whose side it is decides what a row tells: of a ``dealer``, or of a ``customer``, whose counterparty
is the dealer, it is the reporter's word for the dealer's side; of a ``taker`` only who asked;
without a side the row stays unsigned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.providers.base import Records
from dealer_assets.providers.blotter_lines import Leg, Lines
from dealer_assets.providers.csv_fields import read_table, refuse
from dealer_assets.providers.otc_sessions import session_of_trade
from dealer_assets.providers.record_rows import Place, Source, build

PROVIDER = "blotter"

REQUIRED = ("trade_id", "traded_at")
OPTIONAL = (
    "leg",
    "symbol",
    "underlying",
    "root",
    "expiry",
    "strike",
    "right",
    "size_contracts",
    "notional",
    "notional_currency",
    "price",
    "price_currency",
    "side",
    "side_of",
    "underlying_price",
    "implied_vol",
    "venue",
    "rfq_id",
    "reported_at",
)

MOST_COMPLAINTS = 8
"""A refusal lists this many wrong cells."""


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts like a blotter.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed for this format.
    """
    first = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0]
    columns = {cell.strip().strip(b'"') for cell in first.split(b",")}
    return {b"trade_id", b"traded_at"} <= columns


def parse(payload: bytes, *, name: str, sha256: str) -> list[Records]:
    """Parse one blotter.

    Parameters
    ----------
    payload : bytes
        CSV text, columns as in `docs/blotter.md`.
    name : str
        File name, for messages and provenance.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of Records
        One: `tables.BLOCK_TRADES`.

    Raises
    ------
    BadInputError
        When a column is missing or not known, or any cell cannot be read; the message names lines
        and columns, and nothing of the file was taken.
    """
    table = read_table(payload, name, required=REQUIRED)
    width = payload.partition(b"\n")[0].count(b",") + 1
    if len(table.columns) != width:
        complaint = f"expected a cell for each of {width} columns, and each column once, found "
        refuse(name, f"{complaint}{len(table.columns)} columns with cells")
    unknown = sorted(set(table.columns) - {*REQUIRED, *OPTIONAL})
    if unknown:
        refuse(
            name,
            f"expected only the columns {', '.join((*REQUIRED, *OPTIONAL))}, found "
            f"{', '.join(repr(column) for column in unknown)}",
            remedy="rename or drop them (docs/blotter.md)",
        )
    lines = Lines(table)
    legs, numbers = lines.legs(), lines.leg_numbers()
    if lines.complaints:
        shown = "; ".join(lines.complaints[:MOST_COMPLAINTS])
        more = len(lines.complaints) - MOST_COMPLAINTS
        rest = f"; and {more} more" if more > 0 else ""
        refuse(
            name,
            f"expected cells as docs/blotter.md says, found {shown}{rest}",
            remedy="nothing of the file was taken: mend these cells and import it again",
        )
    return [_records(legs, numbers, Source(PROVIDER, name, sha256))]


def _instants(values: Sequence[datetime]) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    return np.array([value.replace(tzinfo=None) for value in values], "datetime64[us]")


def _sign_rule(leg: Leg) -> str:
    if leg.dealer_side:
        return "reporter_side"
    return "taker_side" if leg.taker_side else "unsigned"


def _records(legs: Sequence[Leg], numbers: Sequence[int], source: Source) -> Records:
    per_trade = Counter(leg.trade_id for leg in legs)
    days = np.array(
        [session_of_trade(leg.contract.underlying.calendar, leg.traded_at) for leg in legs],
        "datetime64[D]",
    )
    known_at = _instants([leg.reported_at or leg.traded_at for leg in legs])
    place = Place(days, _instants([leg.traded_at for leg in legs]), known_at)
    values = {
        "underlying": [leg.contract.underlying.symbol for leg in legs],
        "symbol": [leg.contract.symbol for leg in legs],
        "root": [leg.contract.root.symbol for leg in legs],
        "expiry_date": [leg.contract.expiry_date for leg in legs],
        "expires_at": [leg.contract.expires_at for leg in legs],
        "strike": [leg.contract.strike for leg in legs],
        "right": [leg.contract.right for leg in legs],
        "block_id": [leg.trade_id for leg in legs],
        "leg": list(numbers),
        "legs": [per_trade[leg.trade_id] for leg in legs],
        "size_contracts": [leg.size for leg in legs],
        "price": [leg.price for leg in legs],
        "price_currency": [leg.price_currency for leg in legs],
        "underlying_price": [leg.underlying_price for leg in legs],
        "venue_implied_vol": [leg.implied_vol for leg in legs],
        "taker_side": [leg.taker_side for leg in legs],
        "dealer_side": [leg.dealer_side for leg in legs],
        "rfq_id": [leg.rfq_id for leg in legs],
        "venue": [leg.venue for leg in legs],
        "reported_at": [leg.reported_at for leg in legs],
        "sign_rule": [_sign_rule(leg) for leg in legs],
    }
    columns = {
        name: pa.array(cells, tables.BLOCK_TRADES.column(name).type)
        for name, cells in values.items()
    }
    return Records(
        table=tables.BLOCK_TRADES,
        rows=build(tables.BLOCK_TRADES, {**columns, **place.columns()}, source),
        provider=PROVIDER,
        source_name=source.name,
        source_sha256=source.sha256,
    )
