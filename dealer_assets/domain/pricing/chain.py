"""Prices a whole chain: a snapshot's rows in, our vols and Greeks per contract out.

Belongs here: which price is inverted for which contract, and what stands in where none is usable,
each case flagged in the row. Does not belong here: kernels (`black`, `implied_vol`, `american`),
slices and their forwards (`slices`, `domain/forward.py`), positions (`domain/exposure`).

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
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.columns import Bools, Floats, equals, floats, nullable, words
from dealer_assets.domain.pricing.black import Greeks
from dealer_assets.domain.pricing.implied_vol import REASON_WORDS, IvReason
from dealer_assets.domain.pricing.inverse import coin_greeks
from dealer_assets.domain.pricing.slices import LiveChain, forwards_of, live_chain
from dealer_assets.domain.pricing.terms import PricingModel, Terms
from dealer_assets.errors import BadInputError

_OWN, _OTHER, _INTERPOLATED, _EXTRAPOLATED, _NONE = range(len(tables.IV_SOURCES))


def price_chain(rows: pa.Table, forwards: pa.Table | None = None) -> pa.Table:
    """Price every live contract of one snapshot.

    Parameters
    ----------
    rows : pyarrow.Table
        One snapshot, `tables.CHAIN_SNAPSHOTS` schema, sorted by its key.
    forwards : pyarrow.Table, optional
        Its slices, `tables.FORWARDS` schema; without it they are found in the chain alone, with no
        rate curve.

    Returns
    -------
    pyarrow.Table
        `tables.CONTRACT_GREEKS` schema, live contracts only, same order. Empty when all expired or
        when neither a spot nor a forward can be told.

    Raises
    ------
    BadInputError
        When the forwards are those of another snapshot.
    """
    forwards = forwards_of(rows, curve=None) if forwards is None else forwards
    if forwards.num_rows == 0 or forwards["spot"][0].as_py() is None:
        return tables.CONTRACT_GREEKS.schema.empty_table()
    chain = live_chain(rows)
    by_contract = _by_contract(chain, forwards)
    terms = _terms(chain, by_contract)
    vols = _vols(chain, terms)
    return _rows_out(chain, by_contract, terms, vols)


def _by_contract(chain: LiveChain, forwards: pa.Table) -> pa.Table:
    """Repeat each slice's row for each of its contracts."""
    stated = (forwards["event_at"][0], forwards.num_rows)
    expected = (chain.rows["event_at"][0], chain.slice_years.size)
    if stated != expected:
        raise BadInputError(
            f"expected the forwards of the snapshot at {expected[0]} with {expected[1]} slices, "
            f"found those of {stated[0]} with {stated[1]}: derive the forwards table anew"
        )
    return forwards.take(pa.array(chain.slice_id))


def _terms(chain: LiveChain, by_contract: pa.Table) -> Terms:
    return Terms(
        is_call=chain.is_call,
        strike=chain.strike,
        spot=floats(by_contract, "spot"),
        forward=floats(by_contract, "forward"),
        discount=floats(by_contract, "discount"),
        years=chain.slice_years[chain.slice_id],
        is_venue_forward=equals(by_contract, "method", "venue"),
        model=_model(chain, by_contract),
    )


def _model(chain: LiveChain, by_contract: pa.Table) -> PricingModel:
    """Price early exercise only on forwards freed of it: without a rate they cannot be."""
    if chain.model == "american" and not by_contract["is_deamericanised"][0].as_py():
        return "black"
    return chain.model


@dataclass(frozen=True)
class _Vols:
    """Vol of every contract with its source and reason codes, and the mid it may rest on."""

    vol: Floats
    source: NDArray[np.int8]
    reason: NDArray[np.int8]
    mid: Floats


def _quote_reasons(chain: LiveChain) -> NDArray[np.int8]:
    """Say what is wrong with each contract's quote before anything is inverted."""
    reason = np.zeros(chain.strike.size, np.int8)
    reason[~(chain.bid > 0.0)] = IvReason.NO_BID
    reason[chain.bid > chain.ask] = IvReason.CROSSED
    reason[~(chain.ask > 0.0)] = IvReason.NO_QUOTE
    return reason


def _vols(chain: LiveChain, terms: Terms) -> _Vols:
    quote_reason = _quote_reasons(chain)
    mid = np.where(quote_reason == IvReason.OK, 0.5 * (chain.bid + chain.ask), np.nan)
    own, reason = terms.vols_of(mid)
    reason = np.where(quote_reason == IvReason.OK, reason, quote_reason)
    out_of_money = np.where(
        chain.is_call, chain.strike >= terms.forward, chain.strike < terms.forward
    )
    other = np.where(chain.partner >= 0, own[chain.partner], np.nan)
    vol = np.where(out_of_money, own, other)
    source = np.where(out_of_money, _OWN, _OTHER)
    missing = np.isnan(vol)
    if missing.any():
        known = np.where(out_of_money, own, np.nan)
        filled, inside = _interpolate(chain, known, np.log(chain.strike / terms.forward))
        vol = np.where(missing, filled, vol)
        source = np.where(missing, np.where(inside, _INTERPOLATED, _EXTRAPOLATED), source)
        source = np.where(np.isnan(vol), _NONE, source)
    return _Vols(vol, source.astype(np.int8), reason, mid)


def _interpolate(chain: LiveChain, known_vol: Floats, log_strike: Floats) -> tuple[Floats, Bools]:
    """Vol of every strike from its slice's known ones, linear in log-strike, flat outside."""
    filled = np.full(known_vol.size, np.nan)
    inside = np.zeros(known_vol.size, np.bool_)
    is_known = np.isfinite(known_vol)
    for start, stop in zip(chain.slice_start[:-1], chain.slice_start[1:], strict=True):
        known = start + np.flatnonzero(is_known[start:stop])
        if known.size == 0:
            continue
        x, here = log_strike[known], log_strike[start:stop]  # ascending, as strikes are
        filled[start:stop] = np.interp(here, x, known_vol[known])
        inside[start:stop] = (here >= x[0]) & (here <= x[-1])
    return filled, inside


def _rows_out(chain: LiveChain, by_contract: pa.Table, terms: Terms, vols: _Vols) -> pa.Table:
    n = chain.strike.size
    greeks = terms.greeks(vols.vol)
    computed: dict[str, pa.Array] = {
        "variance_years": nullable(terms.variance_years),
        "pricing_model": pa.repeat(pa.scalar(terms.model, pa.string()), n),
        "mid": nullable(vols.mid),
        "implied_vol": nullable(vols.vol),
        "iv_source": words(tables.IV_SOURCES, vols.source),
        "iv_reason": words(REASON_WORDS, vols.reason),
        "is_average_assumed": pa.array(terms.is_average_assumed),
        "premium_adjusted_delta": nullable(_premium_adjusted_delta(terms, greeks)),
    }
    for name in ("spot", "spot_source", "year_fraction", "forward", "discount"):
        computed[name] = by_contract[name]
    for name in ("method", "pairs", "residual"):
        computed[f"forward_{name}"] = by_contract[name]
    schema = tables.CONTRACT_GREEKS.schema
    for field in fields(Greeks):
        if field.name in schema.names:
            computed[field.name] = nullable(getattr(greeks, field.name))
    columns = [
        computed[name].cast(schema.field(name).type) if name in computed else chain.rows[name]
        for name in schema.names
    ]
    return pa.table(columns, schema=schema)


def _premium_adjusted_delta(terms: Terms, greeks: Greeks) -> Floats:
    """Delta less the premium, of options whose premium is paid in coin; NaN of the others."""
    if terms.model != "average":
        return np.full(terms.strike.size, np.nan)
    return coin_greeks(greeks, terms.spot).premium_adjusted_delta
