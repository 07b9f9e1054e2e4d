"""Option rows of Cboe's delayed quotes, made from a chain.

Belongs here: Cboe's names, roundings and placeholders of one option. Does not belong here: the
file around the rows, its clocks and its faults (`cboe`).

What is odd about them is Cboe's: counts are floats, gamma has four decimals, a vol that was not
found is 0.0 or null, times are New York's without a zone, a missing quote is 0.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.domain.conventions import SECONDS_PER_YEAR
from dealer_assets.domain.pricing.black import black_greeks

Floats = NDArray[np.float64]

UNSOLVED_NULL_EVERY = 8
"""One in so many vols that were not found is null; the others are 0.0."""

_DEEP_DELTA = 0.9974


def floats(rows: pa.Table, name: str, missing: float = 0.0) -> Floats:
    """Return a column of a chain, `missing` where it is null, shape (n,)."""
    values = pc.fill_null(rows[name].combine_chunks(), missing)
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)


def aligned(rows: pa.Table, other: pa.Table | None, name: str) -> Floats:
    """Return a column of another chain for the contracts of this one, NaN where it lacks them."""
    if other is None:
        return np.full(rows.num_rows, np.nan)
    found = pc.index_in(rows["symbol"], other["symbol"].combine_chunks())
    column = other[name].combine_chunks().take(found.combine_chunks())
    return np.asarray(pc.fill_null(column, np.nan).to_numpy(zero_copy_only=False), np.float64)


def new_york_texts(instants: pa.ChunkedArray) -> list[str | None]:
    """Return instants as New York time without a zone, None where null."""
    local = pc.local_timestamp(instants.cast(pa.timestamp("s", "America/New_York"), safe=False))
    texts: list[str | None] = pc.strftime(local, format="%Y-%m-%dT%H:%M:%S").to_pylist()
    return texts


def option_rows(
    quotes: pa.Table,
    *,
    greeks_of: pa.Table,
    previous: pa.Table | None,
    open_interest: Floats,
) -> list[dict[str, Any]]:
    """Return the rows of ``data.options``.

    Parameters
    ----------
    quotes : pyarrow.Table
        Chain whose market fields are printed; n contracts.
    greeks_of : pyarrow.Table
        Chain whose Greeks are printed; the same one unless quotes stand still.
    previous : pyarrow.Table or None
        The session before at its close, for the day's changes.
    open_interest : float64 array, shape (n,)
        Open interest to print.

    Returns
    -------
    list of dict
        One per contract, keys in Cboe's order.
    """
    bid, ask = floats(quotes, "bid"), floats(quotes, "ask")
    volume, last = floats(quotes, "volume_contracts"), floats(quotes, "last_price")
    before = np.nan_to_num(
        (aligned(quotes, previous, "bid") + aligned(quotes, previous, "ask")) / 2
    )
    traded = np.where(volume > 0.0, last, 0.0)
    change = np.where((volume > 0.0) & (before > 0.0), last - before, 0.0)
    relative = np.divide(100.0 * change, before, out=np.zeros_like(before), where=before > 0.0)
    columns: dict[str, list[Any]] = {
        "option": quotes["symbol"].to_pylist(),
        "bid": bid.tolist(),
        "bid_size": floats(quotes, "bid_size_contracts").tolist(),
        "ask": ask.tolist(),
        "ask_size": floats(quotes, "ask_size_contracts").tolist(),
    }
    columns |= _greeks(quotes, greeks_of, open_interest=open_interest, volume=volume)
    columns |= {
        "theo": np.round(0.5 * (bid + ask), 4).tolist(),
        "change": np.round(change, 4).tolist(),
        "open": traded.tolist(),
        "high": traded.tolist(),
        "low": traded.tolist(),
        "tick": np.select([change > 0, change < 0], ["up", "down"], "no_change").tolist(),
        "last_trade_price": last.tolist(),
        "last_trade_time": new_york_texts(quotes["last_trade_at"]),
        "percent_change": np.round(relative, 4).tolist(),
        "prev_day_close": before.tolist(),
    }
    names = tuple(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _greeks(
    quotes: pa.Table, greeks_of: pa.Table, *, open_interest: Floats, volume: Floats
) -> dict[str, list[Any]]:
    is_call = np.asarray(pc.equal(quotes["right"], "call"), bool)
    vol = aligned(quotes, greeks_of, "vendor_implied_vol")
    solved = vol > 0.0
    printed: list[float | None] = np.where(solved, np.round(vol, 4), 0.0).tolist()
    for i in np.flatnonzero(~solved)[::UNSOLVED_NULL_EVERY].tolist():
        printed[i] = None
    delta = aligned(quotes, greeks_of, "vendor_delta")
    delta = np.where(np.isnan(delta), np.where(is_call, _DEEP_DELTA, -_DEEP_DELTA), delta)
    gamma = np.nan_to_num(aligned(quotes, greeks_of, "vendor_gamma"))
    now = greeks_of["event_at"][0].value
    left = np.asarray(quotes["expires_at"].cast(pa.int64()).to_numpy(), np.float64) - now
    spot = np.full(vol.size, float(greeks_of["spot"][0].as_py() or np.nan))
    rest = black_greeks(
        spot,
        floats(quotes, "strike"),
        S=spot,
        T=left / 1e6 / SECONDS_PER_YEAR,
        sigma=vol,
        D=np.ones(vol.size),
        is_call=is_call,
    )
    return {
        "iv": printed,
        "open_interest": open_interest.tolist(),
        "volume": volume.tolist(),
        "delta": np.round(delta, 4).tolist(),
        "gamma": np.round(gamma, 4).tolist(),
        "theta": np.round(np.nan_to_num(rest.theta), 4).tolist(),
        "rho": np.round(np.nan_to_num(rest.rho), 4).tolist(),
        "vega": np.round(np.nan_to_num(rest.vega), 4).tolist(),
    }
