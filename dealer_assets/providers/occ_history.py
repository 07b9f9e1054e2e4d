"""Collected histories of OCC's open interest, as JSON: a grid of strikes by session.

Belongs here: what is odd in these files. Does not belong here: their two layouts (`occ_grid`),
OCC's own reports (`occ`, `occ_series`).

What a 0 means. A strike that OCC did not list is 0 in a grid and missing among days: both mean that
nobody held any, so every cell of a live series is a row, 0 included. An expiry that had open
interest and is all 0 before it expires was not delivered (``expiry_vanished``) and has no row.

Over series. A session's figures still hold the series that expired at the close they were counted
at; of the last of them, those in the money may already be exercised away. They are over before the
session opens, and are quarantined as ``expired_series``.

Roots. The files name none. Where an underlying lists one root for an expiry, that is it. On a
monthly expiry of an index there are two, of different settlement, and the collector has given one
of them, the other, or their sum (``open_interest_jump`` marks a session in which it began to count
differently): those lines are quarantined as ``root_not_told``.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.sessions import session_on_or_before
from dealer_assets.errors import UnknownUnderlyingError
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.csv_fields import refuse
from dealer_assets.providers.json_fields import read_field, read_object
from dealer_assets.providers.occ_dating import opening_place
from dealer_assets.providers.occ_grid import Grid, read_grid
from dealer_assets.providers.record_quarantine import EXPIRED_SERIES, quarantine
from dealer_assets.providers.record_rows import (
    Place,
    Source,
    build,
    contract_columns,
    read_roots,
)
from dealer_assets.underlyings import Underlying, underlying

HISTORY_FORMAT = "occ_history"
JUMP = 1.5
"""Open interest of a whole underlying that grows by this factor in a session, or shrinks by it, is
of another count: recorded sessions stay within 12 %."""

NO_ROOT = "root_not_told"


def sniff(start: bytes) -> bool:
    """Tell whether a payload starts like one of the two layouts."""
    if not start.startswith(b"{"):
        return False
    return b'"pull_dates"' in start[:4096] or (
        b'"closes"' in start[:4096] and b'"days"' in start[:4096]
    )


def parse(payload: bytes, *, name: str, sha256: str) -> Records:
    """Parse a history of either layout.

    Parameters
    ----------
    payload : bytes
        JSON text.
    name : str
        File name, for messages and provenance.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    Records
        `tables.OPEN_INTEREST`, several sessions. Findings ``open_interest_jump`` (where the
        count changed), ``expired_rows_present``, ``expiry_vanished`` and ``root_not_told``; the
        last two leave it incomplete.

    Raises
    ------
    BadInputError
        When it is neither layout, names a day that is no session, or an expiry or number that is
        none.
    """
    source = Source(HISTORY_FORMAT, name, sha256)
    top = read_object(payload, name)
    ticker = read_field(top, "ticker", str, name=name)
    try:
        asset = underlying(ticker)
    except UnknownUnderlyingError as error:
        raise UnknownUnderlyingError(f"{name}: {error}") from error
    grid = read_grid(top, name)
    if not grid.expiries.size:
        refuse(name, "expected expiries with strikes, found none")
    return _records(source, asset, grid)


def _jumps(grid: Grid) -> list[str]:
    """Return a text for each session whose total is of another count than the one before."""
    totals = grid.calls.sum(axis=0) + grid.puts.sum(axis=0)
    found = []
    for i in range(1, totals.size):
        before, after = float(totals[i - 1]), float(totals[i])
        if before > 0.0 and after > 0.0 and max(after / before, before / after) > JUMP:
            text = (
                f"open interest of all series goes from {before:,.0f} to {after:,.0f} contracts in "
                f"session {grid.days[i]}: the source counts something else from there on"
            )
            found.append(text)
    return found


def _records(source: Source, asset: Underlying, grid: Grid) -> Records:
    held = (grid.calls + grid.puts) > 0.0
    expired = grid.expiries[:, None] < np.array(grid.days, "datetime64[D]")[None, :]
    no_root = _has_two_roots(asset, grid.expiries, source.name)[:, None] & ~expired
    absent, vanished = _vanished(grid, expired)
    findings = [
        *(Finding("open_interest_jump", text) for text in _jumps(grid)),
        *_about_expired(grid, expired & held),
        *vanished,
    ]
    if no_root.any():
        roots = ", ".join(root.symbol for root in asset.roots)
        text = f"{int(no_root.sum()):,} lines are of expiries on which {roots} both list: left out"
        findings.append(Finding(NO_ROOT, text))
    return Records(
        table=tables.OPEN_INTEREST,
        rows=_rows(source, asset, grid, keep=~expired & ~no_root & ~absent),
        provider=source.provider,
        source_name=source.name,
        source_sha256=source.sha256,
        rejected=_rejected(source, asset, grid, expired=expired & held, no_root=no_root & held),
        is_complete=not (no_root.any() or absent.any()),
        findings=tuple(findings),
    )


def _has_two_roots(
    asset: Underlying, expiries: NDArray[np.datetime64], name: str
) -> NDArray[np.bool_]:
    """Mark the expiries on which both roots of an underlying list."""
    if len(asset.roots) == 1:
        return np.zeros(expiries.size, dtype=np.bool_)
    if {root.settlement for root in asset.roots} != {"am", "pm"}:
        refuse(
            name,
            f"expected an underlying whose expiries tell the root, found {asset.symbol}",
            remedy="save OCC's series search instead, which names roots",
        )
    unique, place = np.unique(expiries, return_inverse=True)
    is_monthly = [day == _monthly_expiry(day.year, day.month) for day in unique.tolist()]
    found: NDArray[np.bool_] = np.array(is_monthly, dtype=np.bool_)[place]
    return found


def _vanished(grid: Grid, expired: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], list[Finding]]:
    """Mark live lines of an expiry that had open interest in an earlier session and has none."""
    absent = np.zeros(expired.shape, dtype=np.bool_)
    findings = []
    for expiry in np.unique(grid.expiries):
        of_expiry = grid.expiries == expiry
        totals = (grid.calls[of_expiry] + grid.puts[of_expiry]).sum(axis=0)
        gone = (totals == 0.0) & (np.maximum.accumulate(totals) > 0.0)
        gone &= ~expired[of_expiry].any(axis=0)
        if gone.any():
            absent[of_expiry] = gone
            first = int(np.flatnonzero(gone)[0])
            text = (
                f"expiry {expiry} has {totals[first - 1]:,.0f} contracts in session "
                f"{grid.days[first - 1]} and none in {grid.days[first]}: not delivered, no rows"
            )
            findings.append(Finding("expiry_vanished", text))
    return absent, findings


def _monthly_expiry(year: int, month: int) -> date:
    """Third Friday, or the session before where that is a holiday."""
    first = date(year, month, 1)
    third_friday = first + timedelta(days=(4 - first.weekday()) % 7 + 14)
    return session_on_or_before("XNYS", third_friday)


def _about_expired(grid: Grid, cells: NDArray[np.bool_]) -> list[Finding]:
    if not cells.any():
        return []
    calls, puts = float(grid.calls[cells].sum()), float(grid.puts[cells].sum())
    text = (
        f"{int(cells.sum()):,} lines are of series that expired before the session they are given "
        f"for ({calls:,.0f} calls, {puts:,.0f} puts): quarantined"
    )
    return [Finding("expired_rows_present", text)]


def _places(grid: Grid, columns: NDArray[np.int64]) -> Place:
    """Place of each row by its session's index."""
    single = [opening_place(day, 1) for day in grid.days]
    return Place(
        days=np.concatenate([place.days for place in single])[columns],
        event_at=np.concatenate([place.event_at for place in single])[columns],
        known_at=np.concatenate([place.known_at for place in single])[columns],
    )


def _rows(source: Source, asset: Underlying, grid: Grid, *, keep: NDArray[np.bool_]) -> pa.Table:
    line, column = np.nonzero(keep)
    root = next((r for r in asset.roots if r.settlement == "pm"), asset.roots[0])
    twice = np.concatenate([line, line])
    columns = np.concatenate([column, column])
    is_call = np.arange(twice.size) < line.size
    roots = read_roots([root.symbol], source).take(np.zeros(twice.size, np.int64))
    return build(
        tables.OPEN_INTEREST,
        {
            **_places(grid, columns).columns(),
            **contract_columns(
                roots,
                expiries=grid.expiries[twice],
                is_call=is_call,
                strikes=grid.strikes[twice],
            ),
            "open_interest_contracts": pa.array(
                np.concatenate([grid.calls[line, column], grid.puts[line, column]]), pa.float64()
            ),
        },
        source,
    )


def _rejected(
    source: Source,
    asset: Underlying,
    grid: Grid,
    *,
    expired: NDArray[np.bool_],
    no_root: NDArray[np.bool_],
) -> pa.Table:
    line, column = np.nonzero(expired | no_root)
    reasons = np.where(expired[line, column], EXPIRED_SERIES, NO_ROOT).astype(object)
    texts = [
        f"{grid.expiries[i]} {grid.strikes[i]:g}: calls {grid.calls[i, j]:.0f}, "
        f"puts {grid.puts[i, j]:.0f}"
        for i, j in zip(line.tolist(), column.tolist(), strict=True)
    ]
    return quarantine(
        source,
        reasons=reasons,
        places=_places(grid, column),
        underlyings=[asset.symbol] * line.size,
        row_numbers=line.astype(np.int64) + 1,
        raw_texts=texts,
    )
