"""Cboe's "quotedata" CSV, as downloaded and as people re-saved it.

Belongs here: which column of the table means what. Does not belong here: the lines above the table
(`cboe_header`), text to arrays (`cboe_table`), the long re-shape without symbols (`cboe_long`).

One line per strike, a call and a put side by side; column names repeat::

    Expiration Date,Calls,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest,Strike,Puts,...
    Tue Feb 07 2023,SPXW230207C01000000,0,0,3156.3,3180.3,0,0,0,0,0,1000.00,SPXW230207P01000000,...

Units: prices USD or index points, IV decimal, delta and gamma per unit of the underlying, open
interest in contracts as of the morning. Row numbers count options: line i of the table gives
2i - 1 (its call) and 2i (its put).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dealer_assets.errors import BadInputError
from dealer_assets.providers.cboe_header import CboeHeader, read_header
from dealer_assets.providers.cboe_long import LONG_COLUMN, long_chain
from dealer_assets.providers.cboe_table import (
    HEADER_WITHIN,
    Table,
    is_heading,
    read_dates,
    read_numbers,
    read_table,
)
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.source_names import named_date

PROVIDER = "cboe_csv"

COLUMNS = {
    "bid": "bid",
    "ask": "ask",
    "last sale": "last_price",
    "volume": "volume_contracts",
    "open interest": "open_interest_contracts",
    "iv": "vendor_implied_vol",
    "delta": "vendor_delta",
    "gamma": "vendor_gamma",
}
"""The vendor's column names and ours."""

HALF_A_TICK = 5e-4
"""Strikes are written in thousandths."""

REQUIRED = ("bid", "ask", "open interest")


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload is a Cboe CSV.

    Parameters
    ----------
    head : bytes
        First bytes of the payload, decompressed.
    name : str
        Source name; not used, since people rename these files.

    Returns
    -------
    bool
        True also for a file that lost its column names but kept the lines above them, so that the
        refusal can say so.
    """
    lines = head.decode("latin-1").replace("\r", "\n").split("\n")[: 2 * HEADER_WITHIN]
    has_banner = any("Last:" in line for line in lines) and any("Date:" in line for line in lines)
    return has_banner or any(is_heading(line) for line in lines)


def parse(payload: bytes, *, name: str, sha256: str) -> list[RawChain]:
    """Parse a Cboe CSV.

    Parameters
    ----------
    payload : bytes
        The file, decompressed.
    name : str
        File name without its folder; its date and leading word are read.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of RawChain
        One chain.

    Raises
    ------
    BadInputError
        When the file is empty, a web page or binary, or lacks column names, a required column or
        rows.
    """
    table = read_table(payload, name)
    header = read_header(table.above)
    if LONG_COLUMN in table.names:
        return [long_chain(table, header, name=name, sha256=sha256, columns=COLUMNS)]
    return [_wide_chain(table, header, name=name, sha256=sha256)]


def _wide_chain(table: Table, header: CboeHeader, *, name: str, sha256: str) -> RawChain:
    for side in ("expiration date", "calls", "puts", "strike"):
        if side not in table.names:
            raise BadInputError(
                f"{name}: expected a column {side.title()!r}, found {', '.join(table.names)}"
            )
    middle = table.names.index("puts")
    calls = _side(table, table.names.index("calls"), stop=middle, source_name=name)
    puts = _side(table, middle, stop=len(table.names), source_name=name)
    floats = {
        ours: _interleave(read_numbers(calls[theirs]), read_numbers(puts[theirs]))
        for theirs, ours in COLUMNS.items()
        if theirs in calls and theirs in puts
    }
    symbols = [
        symbol for pair in zip(calls["symbol"], puts["symbol"], strict=True) for symbol in pair
    ]
    days = [symbol.strip()[-15:-9] for symbol in symbols]
    declared, date_notes = read_dates(
        table.columns[table.names.index("expiration date")], days[::2]
    )
    strike_notes = _strike_notes(table.columns[table.names.index("strike")], symbols)
    return RawChain(
        provider=PROVIDER,
        source_name=name,
        source_sha256=sha256,
        symbols=symbols,
        floats=floats,
        row_numbers=np.arange(1, len(symbols) + 1, dtype=np.int64),
        raw_texts=[line for line in table.lines for _ in range(2)],
        header_name=header.name,
        downloaded_at=header.downloaded_at,
        named_date=named_date(name),
        spot=header.spot,
        declared_expiries=[day for day in declared for _ in range(2)],
        notes=(*header.notes, *date_notes, *strike_notes),
    )


def _side(table: Table, start: int, *, stop: int, source_name: str) -> dict[str, tuple[str, ...]]:
    """Return one half of the table by the vendor's names, the symbols as ``symbol``."""
    found = {"symbol": table.columns[start]}
    for place in range(start + 1, stop):
        # The first wins: a call half ends with the shared strike, names do not repeat within it.
        found.setdefault(table.names[place], table.columns[place])
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise BadInputError(
            f"{source_name}: expected columns {', '.join(REQUIRED)} for calls and for puts, found "
            f"no {', '.join(missing)} right of {table.names[start]!r}: download the file again"
        )
    return found


def _interleave(calls: NDArray[np.float64], puts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([calls, puts], axis=1).ravel()


def _strike_notes(cells: Sequence[str], symbols: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Hold the strike column against the symbols, which win."""
    printed = np.repeat(read_numbers(cells), 2)
    said = read_numbers([symbol.strip()[-8:] for symbol in symbols]) / 1000.0
    comparable = np.flatnonzero(np.isfinite(printed) & np.isfinite(said))
    differing = comparable[np.abs(printed[comparable] - said[comparable]) > HALF_A_TICK]
    if not differing.size:
        return ()
    row = int(differing[0])
    text = (
        f"{differing.size} options whose strike column differs from their symbol, first "
        f"{symbols[row]!r} beside {printed[row]:g}: symbols taken"
    )
    return (("strike_column_mismatch", text),)
