"""How far one day is expected to go, and what a strike needs to be judged as a pin.

Belongs here: the expected move by straddle and by vol, and the inputs of pin models. Does not
belong here: a pin model, walls (`levels`). Definitions: `docs/methods/scenarios.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.columns import equals, floats, integers
from dealer_assets.domain.conventions import DAYS_PER_YEAR
from dealer_assets.domain.exposure.aggregate import Book

Floats = NDArray[np.float64]

BUSINESS_DAYS_PER_YEAR = 252.0
SHORTEST_YEARS = 0.5 / DAYS_PER_YEAR
"""Expected moves are read off the nearest expiry at least half a day away: what expires sooner
tells the rest of today, not a day."""

PIN_REACH = 0.03
"""Strikes within this share of spot are candidates for a pin."""


@dataclass(frozen=True)
class ExpectedMove:
    """One day's expected move from one expiry; NaN where the chain does not tell.

    Parameters
    ----------
    root : str
        Root of the expiry.
    years : float
        Its year fraction.
    strike : float
        Strike of the straddle: nearest to the forward with both sides quoted [USD].
    straddle_price : float
        Undiscounted mid of call plus put there [USD].
    atm_vol : float
        Vol at the forward, between the two strikes around it.
    straddle_move_usd : float
        The straddle brought to one calendar day by the square root of time: the mean absolute
        move [USD].
    vol_move_365_usd, vol_move_252_usd : float
        ``F vol sqrt(1/365)`` and ``F vol sqrt(1/252)``: one standard deviation [USD].
    """

    root: str
    years: float
    strike: float
    straddle_price: float
    atm_vol: float
    straddle_move_usd: float
    vol_move_365_usd: float
    vol_move_252_usd: float


_UNKNOWN = ExpectedMove("", *([float("nan")] * 7))


def expected_move(priced: pa.Table) -> ExpectedMove:
    """Read one day's expected move off the nearest expiry at least half a day away.

    Parameters
    ----------
    priced : pyarrow.Table
        Live contracts of one snapshot, `tables.CONTRACT_GREEKS` schema; `mid` is null where a
        contract has no two-sided quote.

    Returns
    -------
    ExpectedMove
        NaN throughout when there is no such expiry with a forward and a vol. Of roots that expire
        equally soon the first in alphabetical order is taken.
    """
    years, forward = floats(priced, "year_fraction"), floats(priced, "forward")
    vol = floats(priced, "implied_vol")
    usable = (years >= SHORTEST_YEARS) & np.isfinite(forward) & np.isfinite(vol)
    if not usable.any():
        return _UNKNOWN
    first = int(np.flatnonzero(usable & (years == years[usable].min()))[0])
    root, day = priced["root"][first].as_py(), integers(priced, "expiry_date")
    same = equals(priced, "root", root) & (day == day[first])
    rows = priced.filter(pa.array(same))
    return _move_of(rows, root=root, years=float(years[first]), forward=float(forward[first]))


def _move_of(rows: pa.Table, *, root: str, years: float, forward: float) -> ExpectedMove:
    strike, vol, mid = floats(rows, "strike"), floats(rows, "implied_vol"), floats(rows, "mid")
    discount = float(floats(rows, "discount")[0])
    is_call = equals(rows, "right", "call")
    known = np.isfinite(vol)
    k, first = np.unique(strike[known], return_index=True)
    atm = float(np.interp(forward, k, vol[known][first]))
    both = np.intersect1d(strike[is_call & np.isfinite(mid)], strike[~is_call & np.isfinite(mid)])
    price = at = float("nan")
    if both.size:
        at = float(both[np.argmin(np.abs(both - forward))])
        pair = mid[(strike == at) & np.isfinite(mid)]
        price = float(pair.sum()) / discount
    deviation = forward * atm
    return ExpectedMove(
        root=root,
        years=years,
        strike=at,
        straddle_price=price,
        atm_vol=atm,
        straddle_move_usd=price * float(np.sqrt(1.0 / DAYS_PER_YEAR / years)),
        vol_move_365_usd=deviation * float(np.sqrt(1.0 / DAYS_PER_YEAR)),
        vol_move_252_usd=deviation * float(np.sqrt(1.0 / BUSINESS_DAYS_PER_YEAR)),
    )


@dataclass(frozen=True)
class PinInputs:
    """What a pin model needs, one entry per expiry and strike near spot; arrays of shape (k,).

    Parameters
    ----------
    strike : float64 array
        USD, ascending within an expiry.
    years, hours : float64 array
        To its expiry.
    net_gamma_usd_per_pct, gross_gamma_usd_per_pct : float64 array
        Dealer gamma exposure at the strike, calls and puts with and without sign.
    distance_share : float64 array
        ``strike / spot - 1``.
    distance_sd : float64 array
        Distance in standard deviations to expiry: ``ln(K/F) / (vol sqrt(T))``.
    """

    strike: Floats
    years: Floats
    hours: Floats
    net_gamma_usd_per_pct: Floats
    gross_gamma_usd_per_pct: Floats
    distance_share: Floats
    distance_sd: Floats


def pin_inputs(book: Book, *, reach: float = PIN_REACH) -> PinInputs:
    """Collect the inputs of a pin model: gamma by expiry and strike near spot, distance and time.

    Parameters
    ----------
    book : Book
        Contracts that count, possibly empty.
    reach : float
        Share of spot within which strikes are taken.

    Returns
    -------
    PinInputs
        Expiries ascending; two roots that expire at one instant are one.
    """
    near = np.flatnonzero(np.abs(book.strike / book.spot - 1.0) <= reach)
    label = np.stack([book.years[near], book.strike[near]], axis=1)
    unique, first, where = np.unique(label, axis=0, return_index=True, return_inverse=True)
    where = where.reshape(-1)
    gamma = book.gamma_usd_per_pct[near]
    years, strike = unique[:, 0], unique[:, 1]
    head = near[first]
    size = years.size
    return PinInputs(
        strike=strike,
        years=years,
        hours=years * DAYS_PER_YEAR * 24.0,
        net_gamma_usd_per_pct=_summed(where, gamma, size),
        gross_gamma_usd_per_pct=_summed(where, np.abs(gamma), size),
        distance_share=strike / book.spot - 1.0,
        distance_sd=np.log(strike / book.forward[head]) / (book.vol[head] * np.sqrt(years)),
    )


def _summed(where: NDArray[np.intp], values: Floats, size: int) -> Floats:
    return np.bincount(where, weights=values, minlength=size).astype(np.float64)
