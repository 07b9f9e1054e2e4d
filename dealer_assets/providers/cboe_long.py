"""A Cboe chain re-shaped to one option a line, which lost its symbols.

Belongs here: giving such rows their root back. Does not belong here: the original layout
(`cboe_csv`).

::

    Expiration Date,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest,Strike,Type,Index Spot
    2025-01-22,0.0,0.0,3677.8,3695.9,0,0.0,0.0,0.0,0,2400.0,Call,6086.3701

An index has two roots that settle differently, and on a standard expiry (third Friday, or the
session before when that is a holiday) both are listed. How the root is found, from 20 recorded
files that kept their symbols (79,566 lines on standard expiries):

- off the standard expiries every option is of the afternoon root;
- a strike that stands twice is listed morning root first, without exception (26,567 of 26,567);
- a strike that stands once on a standard expiry is of the morning root: alone on its date without
  exception (25,612 of 25,612), beside doubled strikes 816 of 820.

The order is verified on the file itself: the afternoon root lives 6.5 hours longer, so that its
straddles cost more. Where they cost less the file was sorted anew, and the two are exchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.sessions import session_on_or_before
from dealer_assets.errors import BadInputError
from dealer_assets.providers.cboe_header import CboeHeader
from dealer_assets.providers.cboe_table import Table, read_dates, read_numbers
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.source_names import named_date, named_underlying
from dealer_assets.underlyings import Underlying, underlying

PROVIDER = "cboe_csv"
LONG_COLUMN = "type"

NEAR_THE_MONEY = 0.02
"""Straddles within this share of spot decide the order: further out both roots cost the same."""

HIGHEST_STRIKE = 100_000.0
"""An OSI symbol has eight digits for the strike in thousandths."""

_REQUIRED = ("expiration date", "strike", "bid", "ask", "open interest")
_RIGHTS = {"call": "C", "put": "P", "c": "C", "p": "P"}


def long_chain(
    table: Table,
    header: CboeHeader,
    *,
    name: str,
    sha256: str,
    columns: Mapping[str, str],
) -> RawChain:
    """Build a raw chain from the long layout.

    Parameters
    ----------
    table : Table
        The table, with a column ``type``.
    header : CboeHeader
        What stood above it, usually nothing.
    name, sha256 : str
        Source name, whose leading word names the underlying, and hash of the payload.
    columns : mapping of str to str
        Vendor's column names to ours.

    Returns
    -------
    RawChain
        Finding ``root_inferred`` when the underlying has two roots.

    Raises
    ------
    BadInputError
        When a column is missing, or the name does not say which underlying it is.
    """
    cells = dict(zip(table.names, table.columns, strict=False))
    missing = [column for column in _REQUIRED if column not in cells]
    if missing:
        raise BadInputError(f"{name}: expected columns {', '.join(_REQUIRED)}, missing: {missing}")
    symbol = named_underlying(name)
    if symbol is None:
        raise BadInputError(
            f"{name}: rows have no option symbols, so the underlying must be the first word of the "
            "file's name, as in SPX_2025-01-22.csv"
        )
    count = len(table.lines)
    expiries, notes = read_dates(cells["expiration date"], [""] * count)
    floats = {
        ours: read_numbers(cells[theirs]) for theirs, ours in columns.items() if theirs in cells
    }
    strikes = read_numbers(cells["strike"])
    rights = [_RIGHTS.get(cell.strip().lower(), "") for cell in cells[LONG_COLUMN]]
    spot, spot_notes = _spot(cells, header)
    roots, root_notes = _roots(
        underlying(symbol),
        expiries=expiries,
        strikes=strikes,
        rights=rights,
        middle=_middle(floats["bid"], floats["ask"]),
        spot=spot,
        source_name=name,
    )
    return RawChain(
        provider=PROVIDER,
        source_name=name,
        source_sha256=sha256,
        symbols=_symbols(roots, expiries, rights=rights, strikes=strikes),
        floats=floats,
        row_numbers=np.arange(1, count + 1, dtype=np.int64),
        raw_texts=table.lines,
        header_name=header.name,
        downloaded_at=header.downloaded_at,
        named_date=named_date(name),
        spot=spot,
        notes=(*header.notes, *notes, *spot_notes, *root_notes),
    )


def _symbols(
    roots: Sequence[str],
    expiries: Sequence[date | None],
    *,
    rights: Sequence[str],
    strikes: NDArray[np.float64],
) -> list[str]:
    """Return OSI symbols; blank, to be quarantined, where a part of one was unreadable."""
    writable = np.isfinite(strikes) & (strikes >= 0) & (strikes < HIGHEST_STRIKE)
    mills = np.rint(np.where(writable, strikes, 0.0) * 1000).astype(np.int64).tolist()
    days = {day: f"{day:%y%m%d}" for day in set(expiries) if day is not None}
    return [
        f"{root}{days[day]}{right}{mill:08d}" if ok and day is not None and right else ""
        for root, day, right, mill, ok in zip(
            roots, expiries, rights, mills, writable.tolist(), strict=True
        )
    ]


def _spot(
    cells: Mapping[str, tuple[str, ...]], header: CboeHeader
) -> tuple[float | None, tuple[tuple[str, str], ...]]:
    if "index spot" not in cells:
        return header.spot, ()
    printed = read_numbers(cells["index spot"])
    values = np.unique(printed[np.isfinite(printed)])
    if values.size > 1:
        text = f"the spot column holds {values.size} values from {values[0]:g} to {values[-1]:g}"
        return float(np.median(printed[np.isfinite(printed)])), (
            ("spot_varies", f"{text}: median"),
        )
    return (float(values[0]) if values.size else header.spot), ()


def _middle(bid: NDArray[np.float64], ask: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the middle of the quotes; NaN where a cell was no number."""
    is_quote = np.isfinite(bid) & np.isfinite(ask)
    return np.where(is_quote, np.where(is_quote, bid, 0) + np.where(is_quote, ask, 0), np.nan) / 2


def _standard_expiries(days: set[date]) -> set[date]:
    """Return the days on which the morning root expires."""
    found = set()
    for day in days:
        first = day.replace(day=1)
        third_friday = first + timedelta(days=(4 - first.weekday()) % 7 + 14)
        if session_on_or_before("XNYS", third_friday) == day:
            found.add(day)
    return found


def _roots(
    entry: Underlying,
    *,
    expiries: list[date | None],
    strikes: NDArray[np.float64],
    rights: list[str],
    middle: NDArray[np.float64],
    spot: float | None,
    source_name: str,
) -> tuple[list[str], tuple[tuple[str, str], ...]]:
    """Return the root of each row; see the module's docstring for the rules."""
    by_rule = {root.settlement: root.symbol for root in entry.roots}
    if len(by_rule) != len(entry.roots):
        raise BadInputError(
            f"{source_name}: the roots of {entry.symbol} share a settlement rule, so rows without "
            "symbols cannot be told apart: get the original file"
        )
    if len(entry.roots) == 1:
        return [entry.roots[0].symbol] * len(expiries), ()
    morning, afternoon = by_rule["am"], by_rule["pm"]
    standard = _standard_expiries({day for day in expiries if day is not None})
    first_of: dict[tuple[date | None, float, str], int] = {}
    pairs: list[tuple[int, int]] = []
    roots = [morning if day in standard else afternoon for day in expiries]
    for row, key in enumerate(zip(expiries, strikes.tolist(), rights, strict=True)):
        before = first_of.setdefault(key, row)
        if before != row and key[0] in standard:
            pairs.append((before, row))
    near = [p for p in pairs if spot and abs(strikes[p[0]] / spot - 1) <= NEAR_THE_MONEY]
    dearer = _share_of_dearer_straddles(near, expiries=expiries, strikes=strikes, middle=middle)
    is_swapped = dearer is not None and dearer < 0.5
    for first, second in pairs:
        roots[first], roots[second] = (afternoon, morning) if is_swapped else (morning, afternoon)
    singles = sum(day in standard for day in expiries) - 2 * len(pairs)
    text = (
        f"rows have no symbols: {len(pairs)} options stand twice on standard expiries, "
        f"{'second' if is_swapped else 'first'} taken as {morning}, the other as {afternoon} "
        f"({_proof(dearer)}); {singles} stand once and are taken as {morning}; all others "
        f"{afternoon}"
    )
    return roots, (("root_inferred", text),)


def _proof(dearer: float | None) -> str:
    if dearer is None:
        return "by Cboe's order alone: no straddle near the money to verify it"
    return f"the second's straddle near the money is dearer in {dearer:.0%} of cases"


def _share_of_dearer_straddles(
    pairs: list[tuple[int, int]],
    *,
    expiries: list[date | None],
    strikes: NDArray[np.float64],
    middle: NDArray[np.float64],
) -> float | None:
    """Share of doubled strikes whose second call and put together cost more than the first two."""
    straddles: dict[tuple[date | None, float], list[float]] = {}
    for first, second in pairs:
        excess = float(middle[second] - middle[first])
        straddles.setdefault((expiries[first], float(strikes[first])), []).append(excess)
    excesses = [sum(both) for both in straddles.values() if len(both) == 2]
    decided = [excess > 0 for excess in excesses if np.isfinite(excess) and excess != 0]
    return sum(decided) / len(decided) if decided else None
