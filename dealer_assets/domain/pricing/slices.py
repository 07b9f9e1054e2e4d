"""The live contracts of a snapshot, cut into expiry slices, and each slice's forward.

Belongs here: from chain rows to arrays, and from call-put pairs to the rows of `tables.FORWARDS`.
Does not belong here: the parity fit itself (`domain/forward.py`), vols (`chain`).

A slice is one root and expiry date: SPX and SPXW of one day are two slices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.columns import (
    Bools,
    Floats,
    Ints,
    equals,
    expired,
    floats,
    integers,
    nullable,
    repeated,
)
from dealer_assets.domain.conventions import SECONDS_PER_YEAR
from dealer_assets.domain.forward import Pairs, Slices, fit_slices, venue_slices
from dealer_assets.domain.pricing.terms import PricingModel
from dealer_assets.domain.rates import RateCurve
from dealer_assets.underlyings import underlying

_PARITY_ROUNDS = 3
"""Each leaves a twentieth of the error of an American chain's forwards."""


@dataclass(frozen=True)
class LiveChain:
    """The live contracts of one snapshot as arrays of shape (n,), sorted by the table's key.

    Parameters
    ----------
    rows : pyarrow.Table
        The live rows, `tables.CHAIN_SNAPSHOTS` schema, all dated by the latest `known_at`.
    is_call : bool array
        True for calls.
    strike, bid, ask : float64 array
        USD; bid and ask NaN where missing.
    slice_id : int64 array
        Expiry slice of each contract, 0..m-1, ascending by root and expiry date.
    slice_start : int64 array, shape (m + 1,)
        Slice i holds the contracts ``slice_start[i]:slice_start[i + 1]``.
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
    slice_start: Ints
    slice_years: Floats
    partner: Ints

    @property
    def model(self) -> PricingModel:
        """Exercise model the chain asks for: by its settlement, style and the registry."""
        first = self.rows.slice(0, 1).to_pylist()[0]
        if first["settlement"] == "twap":
            return "average"
        wanted = underlying(first["underlying"]).prices_early_exercise
        return "american" if wanted and first["exercise"] == "american" else "black"

    @property
    def two_sided(self) -> Bools:
        """Contracts with a bid above 0 and an ask not below it."""
        return (self.bid > 0.0) & (self.ask >= self.bid)


def live_chain(rows: pa.Table) -> LiveChain:
    """Cut a snapshot's live contracts into slices.

    Parameters
    ----------
    rows : pyarrow.Table
        One snapshot, `tables.CHAIN_SNAPSHOTS` schema, sorted by its key.

    Returns
    -------
    LiveChain
        Without contracts when all have expired.
    """
    rows = _known_together(rows.filter(pa.array(~expired(rows))))
    strike, is_call = floats(rows, "strike"), equals(rows, "right", "call")
    root = rows["root"].combine_chunks().dictionary_encode().indices.to_numpy()
    day = integers(rows, "expiry_date")
    begins = np.ones(rows.num_rows, np.bool_)
    begins[1:] = (root[1:] != root[:-1]) | (day[1:] != day[:-1])
    first = np.flatnonzero(begins)
    slice_id = np.cumsum(begins) - 1
    event = integers(rows, "event_at")
    years = (integers(rows, "expires_at") - event)[first] / 1e6 / SECONDS_PER_YEAR
    return LiveChain(
        rows=rows,
        is_call=is_call,
        strike=strike,
        bid=floats(rows, "bid"),
        ask=floats(rows, "ask"),
        slice_id=slice_id.astype(np.int64),
        slice_start=np.append(first, rows.num_rows).astype(np.int64),
        slice_years=years,
        partner=_partners(slice_id, strike),
    )


def _known_together(rows: pa.Table) -> pa.Table:
    """Date every row by the latest: a vol rests on its whole slice, forwards on the whole chain."""
    latest = pc.max(rows["known_at"])
    place = rows.schema.get_field_index("known_at")
    return rows.set_column(place, rows.schema.field(place), pa.repeat(latest, rows.num_rows))


def _partners(slice_id: NDArray[np.integer], strike: Floats) -> Ints:
    """Index of the other right at the same strike: neighbours, as rows are sorted by it last."""
    partner = np.full(strike.size, -1, np.int64)
    same = np.flatnonzero((slice_id[:-1] == slice_id[1:]) & (strike[:-1] == strike[1:]))
    partner[same], partner[same + 1] = same + 1, same
    return partner


def printed_spot(chain: LiveChain) -> float:
    """Spot as the source printed it [USD]; NaN when it did not."""
    spot = chain.rows["spot"][0].as_py()
    return float("nan") if spot is None else float(spot)


def forwards_of(rows: pa.Table, *, curve: RateCurve | None) -> pa.Table:
    """Find forward and discount of every live slice of one snapshot.

    Parameters
    ----------
    rows : pyarrow.Table
        One snapshot, `tables.CHAIN_SNAPSHOTS` schema, sorted by its key.
    curve : RateCurve or None
        The rate curve known at the snapshot's instant; None when there is none.

    Returns
    -------
    pyarrow.Table
        `tables.FORWARDS` schema, one row per live slice; a slice that nothing determines has
        method ``none``. Empty when all contracts have expired.
    """
    chain = live_chain(rows)
    if chain.strike.size == 0:
        return tables.FORWARDS.schema.empty_table()
    spot, source = printed_spot(chain), chain.rows["spot_source"][0].as_py()
    slices, is_deamericanised = _slices(chain, spot, curve)
    if np.isnan(spot):
        spot, source = _parity_spot(slices, chain.slice_years), "parity"
    return _rows_out(chain, slices, (spot, source), is_deamericanised, curve)


def _slices(chain: LiveChain, spot: float, curve: RateCurve | None) -> tuple[Slices, bool]:
    venue = floats(chain.rows, "venue_forward")
    if np.isfinite(venue).any():
        by_slice = np.full(chain.slice_years.size, np.nan)
        known = np.isfinite(venue)
        by_slice[chain.slice_id[known]] = venue[known]
        return venue_slices(by_slice, years=chain.slice_years, spot=spot), False
    pairs = pairs_of(chain)
    slices = fit_slices(pairs, chain.slice_years, spot=spot, curve=curve)
    if chain.model != "american":
        return slices, False
    if curve is None:
        return slices, False  # without a rate nobody exercises a put early: see `Terms.model`
    for _ in range(_PARITY_ROUNDS):
        european = replace(pairs, difference=_european_difference(chain, slices))
        slices = fit_slices(european, chain.slice_years, spot=spot, curve=curve)
    return slices, True


def _european_difference(chain: LiveChain, slices: Slices) -> Floats:
    """Call minus put of each pair less their early-exercise premiums, at the forwards so far."""
    from dealer_assets.domain.pricing.american import escrowed_spot, european_parity

    call = _paired_calls(chain)
    own = chain.slice_id[call]
    mid = 0.5 * (chain.bid + chain.ask)
    forward, discount = slices.forward[own], slices.discount[own]
    return european_parity(
        chain.strike[call],
        mid[call],
        put=mid[chain.partner[call]],
        spot=escrowed_spot(forward, D=discount),
        forward=forward,
        discount=discount,
        years=chain.slice_years[own],
    ).difference


def _paired_calls(chain: LiveChain) -> Ints:
    """Find the calls that are quoted on both sides and whose put is too."""
    usable = chain.is_call & (chain.partner >= 0) & chain.two_sided
    return np.flatnonzero(usable & chain.two_sided[chain.partner])


def pairs_of(chain: LiveChain) -> Pairs:
    """Return the call-put pairs of a chain that are quoted on both sides."""
    call = _paired_calls(chain)
    put = chain.partner[call]
    mid = 0.5 * (chain.bid + chain.ask)
    spread = (chain.ask - chain.bid)[call] + (chain.ask - chain.bid)[put]
    return Pairs(
        slice_id=chain.slice_id[call],
        strike=chain.strike[call],
        difference=mid[call] - mid[put],
        half_spread=np.maximum(0.5 * spread, 1e-4 * chain.strike[call]),
    )


def _parity_spot(slices: Slices, years: Floats) -> float:
    """Forward of the nearest slice with a parity fit, standing in for a spot nobody printed."""
    usable = np.flatnonzero(slices.method == "parity")
    if usable.size == 0:
        return float("nan")
    return float(slices.forward[usable[np.argmin(years[usable])]])


def _rows_out(
    chain: LiveChain,
    slices: Slices,
    spot: tuple[float, str],
    is_deamericanised: bool,
    curve: RateCurve | None,
) -> pa.Table:
    first = chain.rows.take(pa.array(chain.slice_start[:-1]))
    m = chain.slice_years.size
    computed: dict[str, pa.Array] = {
        "year_fraction": pa.array(chain.slice_years),
        "spot": nullable(np.full(m, spot[0])),
        "spot_source": pa.repeat(spot[1], m),
        "forward": nullable(slices.forward),
        "forward_error": nullable(slices.forward_error),
        "discount": nullable(slices.discount),
        "rate": nullable(slices.rate),
        "rate_error": nullable(slices.rate_error),
        "rate_source": pa.array(slices.rate_source.tolist(), pa.string()),
        "curve_date": pa.repeat(pa.scalar(curve.date if curve else None, pa.date32()), m),
        "carry": nullable(np.log(slices.forward / spot[0]) / chain.slice_years),
        "dividend_value": nullable(spot[0] - slices.forward * slices.discount),
        "method": pa.array(slices.method.tolist(), pa.string()),
        "pairs": pa.array(slices.pairs, pa.int32()),
        "residual": nullable(slices.residual),
        "quality": pa.array(slices.quality.tolist(), pa.string()),
        "is_deamericanised": pa.repeat(is_deamericanised, m),
    }
    schema = tables.FORWARDS.schema
    shared = {"event_at", "known_at", "session_date", "underlying"}
    columns = [
        computed[name]
        if name in computed
        else (repeated(chain.rows, name, m) if name in shared else first[name])
        for name in schema.names
    ]
    return pa.table(columns, schema=schema)
