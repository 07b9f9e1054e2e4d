"""One snapshot's live contracts as arrays, ready to be priced again under other conventions.

Belongs here: the arrays, and vols derived again from the quotes given any forwards and discounts.
Does not belong here: which conventions there are (`variants`), errors of quotes (`bootstrap`).

All contracts are European here, on the out-of-the-money side, whatever the underlying: conventions
are compared with each other, and for options on shares the early-exercise premium is common to all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.columns import equals, expired, floats, integers
from dealer_assets.domain.exposure.aggregate import Book
from dealer_assets.domain.exposure.position_error import PositionError
from dealer_assets.domain.pricing.implied_vol import implied_vol
from dealer_assets.errors import BadInputError
from dealer_assets.underlyings import underlying

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

DETERMINED = ("own", "other_side")
"""Sources of a vol that rests on a quote of its own strike."""


@dataclass(frozen=True)
class Market:
    """Live contracts of one snapshot: arrays of shape (n,) in the table's order, slices (m,).

    Parameters
    ----------
    spot : float
        Underlying price [USD].
    calendar : str
        Trading calendar, ``XNYS`` or ``24/7``.
    session_day : numpy.datetime64
        Session of the snapshot.
    is_call : bool array
        True for calls.
    strike, bid, ask : float64 array
        USD; NaN where missing.
    open_interest, volume : float64 array
        Contracts; NaN where not known.
    position : float64 array
        Signed dealer position [contracts]; 0 where the model tells none.
    position_error : PositionError
        Its error, each contract's relative to the position itself.
    multiplier : float64 array
        Units per contract.
    vendor_vol : float64 array
        Vendor's printed vol; NaN where there is none or it is not positive.
    total_vol : float64 array
        Our ``sigma sqrt(T)``; NaN where no vol is known.
    is_determined : bool array
        Our vol rests on a quote of the contract's strike.
    slice_id : int64 array
        Expiry slice (root and date), 0..m-1.
    slice_years, slice_forward, slice_discount : float64 array, shape (m,)
        As priced.
    slice_day : datetime64[D] array, shape (m,)
        Expiry date.
    slice_is_am : bool array, shape (m,)
        Settled by the opening print.
    slice_is_parity : bool array, shape (m,)
        The forward rests on the slice's own quotes, or the venue's.
    slice_pairs, slice_residual : float64 array, shape (m,)
        Call-put pairs behind the forward and their median residual in half-spreads.
    """

    spot: float
    calendar: str
    session_day: np.datetime64
    is_call: Bools
    strike: Floats
    bid: Floats
    ask: Floats
    open_interest: Floats
    volume: Floats
    position: Floats
    position_error: PositionError
    multiplier: Floats
    vendor_vol: Floats
    total_vol: Floats
    is_determined: Bools
    slice_id: Ints
    slice_years: Floats
    slice_forward: Floats
    slice_discount: Floats
    slice_day: NDArray[np.datetime64]
    slice_is_am: Bools
    slice_is_parity: Bools
    slice_pairs: Floats
    slice_residual: Floats

    @property
    def is_two_sided(self) -> Bools:
        """Contracts with a bid and an ask not below it."""
        return np.asarray((self.bid > 0.0) & (self.ask >= self.bid))

    def is_out_of_money(self, forward: Floats) -> Bools:
        """Contracts out of the money against a forward each, shape (n,)."""
        return np.asarray(np.where(self.is_call, self.strike >= forward, self.strike < forward))


def market_of(book: Book, chain: pa.Table, priced: pa.Table) -> Market:
    """Lay a snapshot out as arrays.

    Parameters
    ----------
    book : Book
        The snapshot's book: spot and position model.
    chain : pyarrow.Table
        The snapshot as quoted, `tables.CHAIN_SNAPSHOTS` schema; expired contracts are left out.
    priced : pyarrow.Table
        Its live contracts, `tables.CONTRACT_GREEKS` schema, same order.

    Returns
    -------
    Market

    Raises
    ------
    BadInputError
        When chain and priced rows are not of the same live contracts.
    """
    live = chain.filter(pa.array(~expired(chain)))
    if live.num_rows != priced.num_rows or not live["symbol"].equals(priced["symbol"]):
        raise BadInputError(
            f"expected the priced rows of the chain's {live.num_rows} live contracts in their "
            f"order, found {priced.num_rows} others: price the chain again"
        )
    is_call, strike = equals(priced, "right", "call"), floats(priced, "strike")
    open_interest = floats(priced, "open_interest_contracts")
    vendor = floats(live, "vendor_implied_vol")
    position = np.nan_to_num(book.told.contracts)
    relative = _relative(book.told.error, position)
    # conventions and draws re-price with Black's gamma; the ratio makes it the contract's own
    position[book.counted] *= book.gamma_ratio
    first, slice_id = _slices(priced)
    years = floats(priced, "year_fraction")
    carried = floats(priced, "variance_years")
    variance_years = np.where(np.isfinite(carried), carried, years)
    forward_method = np.array(priced["forward_method"].to_pylist())[first]
    source = np.array(priced["iv_source"].to_pylist())
    return Market(
        spot=book.spot,
        calendar=underlying(str(book.snapshot["underlying"])).calendar,
        session_day=np.datetime64(book.snapshot["session_date"], "D"),
        is_call=is_call,
        strike=strike,
        bid=floats(live, "bid"),
        ask=floats(live, "ask"),
        open_interest=open_interest,
        volume=floats(live, "volume_contracts"),
        position=position,
        position_error=relative,
        multiplier=floats(priced, "multiplier"),
        vendor_vol=np.where(vendor > 0.0, vendor, np.nan),
        total_vol=floats(priced, "implied_vol") * np.sqrt(variance_years),
        is_determined=np.isin(source, DETERMINED),
        slice_id=slice_id,
        slice_years=years[first],
        slice_forward=floats(priced, "forward")[first],
        slice_discount=floats(priced, "discount")[first],
        slice_day=integers(priced, "expiry_date")[first].astype("datetime64[D]"),
        slice_is_am=equals(live, "settlement", "am")[first],
        slice_is_parity=np.isin(forward_method, ("parity", "venue")),
        slice_pairs=floats(priced, "forward_pairs")[first],
        slice_residual=floats(priced, "forward_residual")[first],
    )


def _relative(error: PositionError, position: Floats) -> PositionError:
    with np.errstate(divide="ignore", invalid="ignore"):
        own, common = np.abs(error.own / position), error.common / position
    return PositionError(
        np.where(position == 0.0, 0.0, own), np.where(position == 0.0, 0.0, common), error.group
    )


def _slices(priced: pa.Table) -> tuple[NDArray[np.intp], Ints]:
    """First row of each slice, and the slice of each row; rows are sorted by root and expiry."""
    root = priced["root"].combine_chunks().dictionary_encode().indices.to_numpy()
    day = integers(priced, "expiry_date")
    new = np.ones(day.size, np.bool_)
    new[1:] = (root[1:] != root[:-1]) | (day[1:] != day[:-1])
    return np.flatnonzero(new), np.cumsum(new) - 1


def derive_total_vols(market: Market, forward: Floats, discount: Floats) -> Floats:
    """Derive every contract's total vol again from the quotes, given forwards and discounts.

    The rule is that of `pricing/chain.py`: the mid of a strike's out-of-the-money side serves both
    rights; strikes without one take the slice's vol, linear in log-strike and flat outside.

    Parameters
    ----------
    market : Market
        The quotes.
    forward, discount : float64 array, shape (m,)
        Of each slice [USD, 1].

    Returns
    -------
    float64 array, shape (n,)
        ``sigma sqrt(T)``; NaN where the slice has no quote to tell. It does not depend on T: a
        price tells total vol, and only total vol enters gamma.
    """
    level = forward[market.slice_id]
    quoted = np.flatnonzero(market.is_out_of_money(level) & market.is_two_sided)
    found, _ = implied_vol(
        0.5 * (market.bid[quoted] + market.ask[quoted]),
        level[quoted],
        K=market.strike[quoted],
        T=np.ones(quoted.size),
        D=discount[market.slice_id[quoted]],
        is_call=market.is_call[quoted],
    )
    good = np.isfinite(found)
    quoted, found = quoted[good], found[good]
    k = np.log(market.strike / level)
    total = np.full(k.size, np.nan)
    bounds = np.searchsorted(market.slice_id[quoted], np.arange(forward.size + 1))
    members = np.searchsorted(market.slice_id, np.arange(forward.size + 1))
    for i in range(forward.size):
        inside = slice(bounds[i], bounds[i + 1])
        if bounds[i + 1] > bounds[i]:
            # Rows are sorted by strike, so the known points of a slice ascend; one per strike
            here = slice(members[i], members[i + 1])
            total[here] = np.interp(k[here], k[quoted[inside]], found[inside])
    return total


def of_strike(market: Market, values: Floats) -> Floats:
    """Give both rights of a strike the value of the one that has it; NaN where neither has."""
    same = (market.slice_id[1:] == market.slice_id[:-1]) & (market.strike[1:] == market.strike[:-1])
    first = np.flatnonzero(same)
    out = values.copy()
    out[first] = np.where(np.isnan(values[first]), values[first + 1], values[first])
    out[first + 1] = np.where(np.isnan(values[first + 1]), values[first], values[first + 1])
    return out


def total_vols_at_ask(market: Market, share: float) -> Floats:
    """Our total vols, but those that no quote tells from a share of the strike's lone ask.

    An option without a bid is worth between nothing and its ask: the vol at the ask is the most
    that the quote allows, whatever its neighbours' vols extrapolate to.

    Parameters
    ----------
    market : Market
        The quotes.
    share : float
        Share of the ask taken as the price, over 0.

    Returns
    -------
    float64 array, shape (n,)
        ``sigma sqrt(T)``; as `Market.total_vol` where there is no lone out-of-the-money ask.
    """
    forward = market.slice_forward[market.slice_id]
    lone = market.is_out_of_money(forward) & (market.ask > 0.0) & ~(market.bid > 0.0)
    index = np.flatnonzero(lone)
    found = np.full(market.strike.size, np.nan)
    found[index], _ = implied_vol(
        share * market.ask[index],
        forward[index],
        K=market.strike[index],
        T=np.ones(index.size),
        D=market.slice_discount[market.slice_id[index]],
        is_call=market.is_call[index],
    )
    found = of_strike(market, found)
    known = np.isfinite(found) & ~market.is_determined & np.isfinite(market.total_vol)
    return np.where(known, found, market.total_vol)
