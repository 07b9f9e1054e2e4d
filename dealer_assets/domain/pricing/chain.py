"""Prices a whole chain: a snapshot's rows in, our vols and Greeks per contract out.

Belongs here: which price is inverted for which contract, and what stands in where none is usable,
each case flagged in the row. Does not belong here: kernels (`black`, `implied_vol`), forwards
(`domain/forward.py`), positions (`domain/exposure`).

The vol of a strike comes from its out-of-the-money side and serves both rights (``own`` /
``other_side``): an in-the-money price is mostly intrinsic, and its rounding drowns the vol. Strikes
without a usable out-of-the-money quote take the slice's vol interpolated over strikes
(``interpolated``), beyond the outermost quote the nearest vol (``extrapolated``). Nothing is filled
silently: `iv_source` names the rung and `iv_reason` why the contract's own price was not used.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.conventions import SECONDS_PER_YEAR
from dealer_assets.domain.forward import Pairs, Slices, fit_slices, venue_slices
from dealer_assets.domain.pricing.black import Greeks, black_greeks
from dealer_assets.domain.pricing.implied_vol import REASON_WORDS, IvReason, implied_vol

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_SOURCES = np.array(tables.IV_SOURCES)
_OWN, _OTHER, _INTERPOLATED, _EXTRAPOLATED, _NONE = range(5)


@dataclass(frozen=True)
class LiveChain:
    """The live contracts of one snapshot as arrays of shape (n,), sorted by the table's key.

    Parameters
    ----------
    rows : pyarrow.Table
        The live rows, `tables.CHAIN_SNAPSHOTS` schema.
    is_call : bool array
        True for calls.
    strike, bid, ask : float64 array
        USD; bid and ask NaN where missing.
    slice_id : int64 array
        Expiry slice (root and expiry date) of each contract, 0..m-1.
    slice_years : float64 array, shape (m,)
        Year fraction of each slice.
    partner : int64 array
        Index of the same strike's other right, -1 where it is not listed.
    """

    rows: pa.Table
    is_call: Bools
    strike: Floats
    bid: Floats
    ask: Floats
    slice_id: Ints
    slice_years: Floats
    partner: Ints


def floats(rows: pa.Table, column: str) -> Floats:
    """Return a column as float64 with NaN for null, shape (n,)."""
    array = rows[column].combine_chunks().cast(pa.float64())
    return np.array(pc.fill_null(array, float("nan")).to_numpy(zero_copy_only=False))


def expired(rows: pa.Table) -> Bools:
    """Tell which rows of a snapshot had expired at its instant, shape (n,)."""
    return np.array(pc.less_equal(rows["expires_at"], rows["event_at"]).to_numpy())


def price_chain(rows: pa.Table) -> pa.Table:
    """Price every live contract of one snapshot.

    Parameters
    ----------
    rows : pyarrow.Table
        One snapshot, `tables.CHAIN_SNAPSHOTS` schema, sorted by its key.

    Returns
    -------
    pyarrow.Table
        `tables.CONTRACT_GREEKS` schema, live contracts only, same order. Empty when all expired or
        when neither a spot nor a forward can be told.
    """
    rows = rows.filter(pa.array(~expired(rows)))
    if rows.num_rows == 0:
        return tables.CONTRACT_GREEKS.schema.empty_table()
    rows = _known_together(rows)
    chain = _live_chain(rows)
    spot = _printed_spot(rows)
    slices = _slices(chain, spot)
    spot_source = rows["spot_source"][0].as_py()
    if np.isnan(spot):
        spot, spot_source = _parity_spot(slices, chain.slice_years), "parity"
    if np.isnan(spot):
        return tables.CONTRACT_GREEKS.schema.empty_table()
    vol, source, reason, mid = _vols(chain, slices)
    forward, discount = slices.forward[chain.slice_id], slices.discount[chain.slice_id]
    years = chain.slice_years[chain.slice_id]
    greeks = black_greeks(
        forward,
        chain.strike,
        S=np.full(forward.size, spot),
        T=years,
        sigma=vol,
        D=discount,
        is_call=chain.is_call,
    )
    return _rows_out(chain, slices, spot, spot_source, (vol, source, reason, mid), greeks)


def _known_together(rows: pa.Table) -> pa.Table:
    """Date every row by the latest: a vol rests on its whole slice, forwards on the whole chain."""
    latest = pc.max(rows["known_at"])
    place = rows.schema.get_field_index("known_at")
    return rows.set_column(place, rows.schema.field(place), pa.repeat(latest, rows.num_rows))


def _live_chain(rows: pa.Table) -> LiveChain:
    strike = floats(rows, "strike")
    is_call = np.array(pc.equal(rows["right"], "call").to_numpy())
    root = rows["root"].combine_chunks().dictionary_encode().indices.to_numpy()
    expires = rows["expires_at"].combine_chunks().cast(pa.int64()).to_numpy()
    day = rows["expiry_date"].combine_chunks().cast(pa.int32()).to_numpy()
    label = np.stack([root.astype(np.int64), day.astype(np.int64)], axis=1)
    _, first, slice_id = np.unique(label, axis=0, return_index=True, return_inverse=True)
    slice_id = slice_id.reshape(-1).astype(np.int64)
    event = rows["event_at"][0].value
    years = (expires[first] - event) / 1e6 / SECONDS_PER_YEAR
    return LiveChain(
        rows=rows,
        is_call=is_call,
        strike=strike,
        bid=floats(rows, "bid"),
        ask=floats(rows, "ask"),
        slice_id=slice_id,
        slice_years=years,
        partner=_partners(slice_id, strike, is_call),
    )


def _partners(slice_id: Ints, strike: Floats, is_call: Bools) -> Ints:
    """Index of the other right at the same strike; rows are unique by (slice, strike, right)."""
    order = np.lexsort((~is_call, strike, slice_id))
    partner = np.full(strike.size, -1, np.int64)
    left, right = order[:-1], order[1:]
    same = (slice_id[left] == slice_id[right]) & (strike[left] == strike[right])
    partner[left[same]] = right[same]
    partner[right[same]] = left[same]
    return partner


def _printed_spot(rows: pa.Table) -> float:
    spot = rows["spot"][0].as_py()
    return float("nan") if spot is None else float(spot)


def _slices(chain: LiveChain, spot: float) -> Slices:
    venue = floats(chain.rows, "venue_forward")
    if np.isfinite(venue).any():
        by_slice = np.full(chain.slice_years.size, np.nan)
        known = np.isfinite(venue)
        by_slice[chain.slice_id[known]] = venue[known]
        return venue_slices(by_slice)
    two_sided = (chain.bid > 0.0) & (chain.ask >= chain.bid)
    usable = chain.is_call & (chain.partner >= 0) & two_sided
    usable &= two_sided[chain.partner]
    call = np.flatnonzero(usable)
    put = chain.partner[call]
    mid = 0.5 * (chain.bid + chain.ask)
    spread = (chain.ask - chain.bid)[call] + (chain.ask - chain.bid)[put]
    pairs = Pairs(
        slice_id=chain.slice_id[call],
        strike=chain.strike[call],
        difference=mid[call] - mid[put],
        half_spread=np.maximum(0.5 * spread, 1e-4 * chain.strike[call]),
    )
    return fit_slices(pairs, chain.slice_years, spot=spot)


def _parity_spot(slices: Slices, years: Floats) -> float:
    """Forward of the nearest slice with a parity fit, standing in for a spot nobody printed."""
    usable = np.flatnonzero(slices.method == "parity")
    if usable.size == 0:
        return float("nan")
    return float(slices.forward[usable[np.argmin(years[usable])]])


def _quote_reasons(chain: LiveChain) -> NDArray[np.int8]:
    """Say what is wrong with each contract's quote before anything is inverted."""
    reason = np.zeros(chain.strike.size, np.int8)
    reason[~(chain.bid > 0.0)] = IvReason.NO_BID
    reason[chain.bid > chain.ask] = IvReason.CROSSED
    reason[~(chain.ask > 0.0)] = IvReason.NO_QUOTE
    return reason


def _vols(
    chain: LiveChain, slices: Slices
) -> tuple[Floats, NDArray[np.str_], NDArray[np.str_], Floats]:
    forward, discount = slices.forward[chain.slice_id], slices.discount[chain.slice_id]
    quote_reason = _quote_reasons(chain)
    mid = np.where(quote_reason == IvReason.OK, 0.5 * (chain.bid + chain.ask), np.nan)
    own, reason = implied_vol(
        mid,
        forward,
        K=chain.strike,
        T=chain.slice_years[chain.slice_id],
        D=discount,
        is_call=chain.is_call,
    )
    reason = np.where(quote_reason == IvReason.OK, reason, quote_reason)
    out_of_money = np.where(chain.is_call, chain.strike >= forward, chain.strike < forward)

    other = np.where(chain.partner >= 0, own[chain.partner], np.nan)
    vol = np.where(out_of_money, own, other)
    source = np.where(out_of_money, _OWN, _OTHER)
    missing = np.isnan(vol)
    filled, inside = _interpolate(chain, np.where(out_of_money, own, np.nan), forward)
    vol = np.where(missing, filled, vol)
    source = np.where(missing, np.where(inside, _INTERPOLATED, _EXTRAPOLATED), source)
    source = np.where(np.isnan(vol), _NONE, source)
    return vol, _SOURCES[source], np.array(REASON_WORDS)[reason], mid


def _interpolate(chain: LiveChain, known_vol: Floats, forward: Floats) -> tuple[Floats, Bools]:
    """Vol of every strike from its slice's known ones, linear in log-strike, flat outside."""
    filled = np.full(known_vol.size, np.nan)
    inside = np.zeros(known_vol.size, np.bool_)
    log_strike = np.log(chain.strike / forward)
    for slice_id in range(chain.slice_years.size):
        members = np.flatnonzero(chain.slice_id == slice_id)
        known = members[np.isfinite(known_vol[members])]
        if known.size == 0:
            continue
        order = known[np.argsort(log_strike[known], kind="stable")]
        x = log_strike[order]
        filled[members] = np.interp(log_strike[members], x, known_vol[order])
        inside[members] = (log_strike[members] >= x[0]) & (log_strike[members] <= x[-1])
    return filled, inside


def _rows_out(
    chain: LiveChain,
    slices: Slices,
    spot: float,
    spot_source: str,
    vols: tuple[Floats, NDArray[np.str_], NDArray[np.str_], Floats],
    greeks: Greeks,
) -> pa.Table:
    n = chain.strike.size
    vol, source, reason, mid = vols
    computed: dict[str, pa.Array] = {
        "spot": pa.array(np.full(n, spot)),
        "spot_source": pa.array([spot_source] * n),
        "year_fraction": pa.array(chain.slice_years[chain.slice_id]),
        "forward": _nullable(slices.forward[chain.slice_id]),
        "discount": _nullable(slices.discount[chain.slice_id]),
        "forward_method": pa.array(slices.method[chain.slice_id]),
        "forward_pairs": pa.array(slices.pairs[chain.slice_id]),
        "forward_residual": _nullable(slices.residual[chain.slice_id]),
        "mid": _nullable(mid),
        "implied_vol": _nullable(vol),
        "iv_source": pa.array(source),
        "iv_reason": pa.array(reason),
    }
    for field in fields(Greeks):
        if field.name != "price":
            computed[field.name] = _nullable(getattr(greeks, field.name))
    schema = tables.CONTRACT_GREEKS.schema
    columns = [
        computed[name].cast(schema.field(name).type) if name in computed else chain.rows[name]
        for name in schema.names
    ]
    return pa.table(columns, schema=schema)


def _nullable(values: Floats) -> pa.Array:
    return pa.array(values, mask=~np.isfinite(values))
