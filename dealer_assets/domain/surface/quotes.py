"""Out-of-the-money quotes in vol, as the surface's fit takes them.

Belongs here: which quotes enter, their vols and their half-spreads. Does not belong here: fitting
(`fit`), inversion (`pricing/implied_vol.py`), forwards (`parity`).

Source: `docs/methods/surface.md`, "Which quotes enter".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.columns import Floats, Ints, expired, floats, integers
from dealer_assets.domain.pricing.terms import terms_of

MAX_HALF_SPREAD_SHARE = 0.25
"""A quote whose half-spread is a larger share of its vol says too little to be fitted."""

HALF_SPREAD_FLOOR = 1e-4
"""Least half-spread in vol: a hundredth of a vol point."""

HALF_SPREAD_FLOOR_SHARE = 0.1
"""Nor is one taken to be under this share of its slice's median, lest one quote decide a slice."""

NO_SPREAD_AT_MONEY = 5e-4
"""Half-spread assumed at the money where no quote has a spread; it grows as vega falls."""

_LEAST_VEGA_SHARE = 1e-3
_BELIEVABLE = (1e-4, 200.0)
"""Vols outside are garbage; minutes before expiry, prices of a tick do reach thousands of %."""

_APART = 1e4
"""More than any half-spread: ranks of a slice's stand together."""

_WIDEST = 12.0
"""Nor is ln(K/F) beyond this a strike."""


@dataclass(frozen=True)
class Quotes:
    """Quotes of one snapshot; m slices by ascending expiry instant, n quotes.

    Parameters
    ----------
    slice_id : int64 array, shape (n,)
        Slice of each quote, 0..m-1.
    log_moneyness : float64 array, shape (n,)
        k = ln(K/F).
    vol, vol_bid, vol_ask : float64 array, shape (n,)
        Annualised, decimal; NaN where there is none. A bid without a vol bounds nothing.
    root : str array, shape (m,)
        Option root of each slice.
    expires_at : int64 array, shape (m,)
        Expiry instant [us since 1970 UTC]; with `root` it identifies a slice over time.
    years, forward, discount : float64 array, shape (m,)
        ACT/365 to the expiry instant, forward [USD], discount factor.
    parity_residual : float64 array, shape (m,)
        Residual of put-call parity in half-spreads, NaN where unknown; passed through.
    spot : float
        Underlying [USD]; NaN when unknown.
    """

    slice_id: Ints
    log_moneyness: Floats
    vol: Floats
    vol_bid: Floats
    vol_ask: Floats
    root: NDArray[np.str_]
    expires_at: Ints
    years: Floats
    forward: Floats
    discount: Floats
    parity_residual: Floats
    spot: float

    @property
    def first(self) -> Ints:
        """Quotes of slice i are ``first[i] : first[i + 1]`` of sorted quotes, shape (m + 1,)."""
        return np.searchsorted(self.slice_id, np.arange(self.years.size + 1)).astype(np.int64)


def clean(quotes: Quotes) -> tuple[Quotes, Floats]:
    """Keep the believable quotes, sorted by slice and k, with their half-spreads.

    Parameters
    ----------
    quotes : Quotes
        In any order, with any garbage.

    Returns
    -------
    Quotes
        Finite k and vol, slice with a positive year fraction, half-spread of at most
        `MAX_HALF_SPREAD_SHARE` of the vol. Slices are all kept.
    float64 array, shape (n,)
        Half-spread in vol, floored. Positive and finite.
    """
    m = quotes.years.size
    k, vol = quotes.log_moneyness, quotes.vol
    inside = (quotes.slice_id >= 0) & (quotes.slice_id < m)
    home = np.where(inside, quotes.slice_id, 0)
    with np.errstate(invalid="ignore"):
        keep = inside & (np.abs(k) < _WIDEST) & (vol > _BELIEVABLE[0]) & (vol < _BELIEVABLE[1])
        keep &= (quotes.years > 0.0)[home] if m else False
        half = _half_spread(quotes)
        keep &= ~(half > MAX_HALF_SPREAD_SHARE * vol)
        keep &= ~(quotes.vol_bid > vol) & ~(quotes.vol_ask < vol)
    index = np.flatnonzero(keep)
    step = np.diff(home[index])
    if ((step < 0) | ((step == 0) & (np.diff(k[index]) < 0.0))).any():
        index = index[np.lexsort((k[index], home[index]))]
    kept = Quotes(
        slice_id=home[index],
        log_moneyness=k[index],
        vol=vol[index],
        vol_bid=quotes.vol_bid[index],
        vol_ask=quotes.vol_ask[index],
        root=quotes.root,
        expires_at=quotes.expires_at,
        years=quotes.years,
        forward=quotes.forward,
        discount=quotes.discount,
        parity_residual=quotes.parity_residual,
        spot=quotes.spot,
    )
    return kept, _floored(kept, half[index])


def _half_spread(quotes: Quotes) -> Floats:
    """Half of ask minus bid in vol; where the bid has no vol, ask minus mid; NaN without an ask."""
    half = 0.5 * (quotes.vol_ask - quotes.vol_bid)
    half = np.where(np.isfinite(half), half, quotes.vol_ask - quotes.vol)
    return np.where(half >= 0.0, half, np.nan)


def _floored(quotes: Quotes, half: Floats) -> Floats:
    """Give every quote a half-spread that a weight can be made of."""
    first = quotes.first
    count = np.diff(first)
    order = np.argsort(half + _APART * quotes.slice_id, kind="stable")  # NaN last
    known = np.bincount(quotes.slice_id[np.isfinite(half)], minlength=count.size)
    start = np.concatenate([[0], np.cumsum(known)])[:-1]
    ranked = np.append(half[order], np.nan)
    lower = ranked[start + np.maximum(known - 1, 0) // 2]
    upper = ranked[start + known // 2]
    median = np.where(known > 0, 0.5 * (lower + upper), np.nan)
    floor = np.maximum(HALF_SPREAD_FLOOR, HALF_SPREAD_FLOOR_SHARE * median)
    home = quotes.slice_id
    out = np.maximum(np.where(np.isfinite(half), half, 2.0 * median[home]), floor[home])
    for i in np.flatnonzero((known == 0) & (count > 0)):
        part = slice(first[i], first[i + 1])
        out[part] = _by_vega(quotes.log_moneyness[part], quotes.vol[part], quotes.years[i])
    return out


def _by_vega(k: Floats, vol: Floats, years: float) -> Floats:
    """Half-spreads of equal price error: unweighted vols would let far wings decide the middle."""
    total = vol * np.sqrt(years)
    d1 = -k / total + 0.5 * total
    share = np.maximum(np.exp(-0.5 * d1 * d1), _LEAST_VEGA_SHARE)
    return np.asarray(NO_SPREAD_AT_MONEY / share)


def chain_quotes(rows: pa.Table, priced: pa.Table) -> Quotes:
    """Take the out-of-the-money quotes of a priced chain.

    Parameters
    ----------
    rows : pyarrow.Table
        One snapshot, `tables.CHAIN_SNAPSHOTS` schema.
    priced : pyarrow.Table
        What `pricing.chain.price_chain` made of it: the live rows, in the same order.

    Returns
    -------
    Quotes
        One slice per root and expiry, by expiry instant, then root; also slices without a quote.
        A quote enters when it is out of the money (call K >= F, put K < F), its bid is above 0,
        its ask not below the bid, and its mid has a vol.
    """
    live = rows.filter(pa.array(~expired(rows)))
    slice_of, at = _slices(live)
    terms, years = terms_of(priced), floats(priced, "variance_years")
    bid, ask = floats(live, "bid"), floats(live, "ask")
    with np.errstate(invalid="ignore"):
        use = np.where(terms.is_call, terms.strike >= terms.forward, terms.strike < terms.forward)
        use &= (bid > 0.0) & (ask >= bid) & (years > 0.0)
    index = np.flatnonzero(use)
    quoted = terms.take(index)

    def vols(price: Floats) -> Floats:
        return quoted.vols_of(price[index])[0]

    return Quotes(
        slice_id=slice_of[index],
        log_moneyness=np.log(quoted.strike / quoted.forward),
        vol=vols(0.5 * (bid + ask)),
        vol_bid=vols(bid),
        vol_ask=vols(ask),
        root=np.array(live["root"].take(pa.array(at)).to_pylist(), np.str_),
        expires_at=integers(live, "expires_at")[at],
        years=years[at],
        forward=terms.forward[at],
        discount=terms.discount[at],
        parity_residual=floats(priced, "forward_residual")[at],
        spot=float(floats(priced, "spot")[0]) if priced.num_rows else float("nan"),
    )


def _slices(live: pa.Table) -> tuple[Ints, Ints]:
    """Slice of each row, by expiry instant and then root, and one row of each slice."""
    expires = integers(live, "expires_at")
    names = live["root"].combine_chunks().dictionary_encode()
    order = np.argsort(np.array(names.dictionary.to_pylist(), np.str_))
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    root = rank[names.indices.to_numpy()] if live.num_rows else np.zeros(0, np.int64)
    label = expires * max(order.size, 1) + root
    _, at, slice_of = np.unique(label, return_index=True, return_inverse=True)
    return slice_of.reshape(-1).astype(np.int64), at.astype(np.int64)
