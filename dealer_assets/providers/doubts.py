"""What is odd about a believed chain as a whole.

Belongs here: findings that rest on quotes, open interest and spot together, and their thresholds.
Does not belong here: single rows (`quarantine`), dates (`dating`), completeness (`coverage`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.conventions import DAYS_PER_YEAR
from dealer_assets.domain.coverage import FORWARD_SETTLED
from dealer_assets.providers.base import Finding
from dealer_assets.providers.symbol_columns import SymbolColumns
from dealer_assets.underlyings import Underlying

ZERO_BID_SHARE = 0.5
"""Recorded sound chains have at most 25 % of rows without a bid, reset ones 97 %."""

WIPED_SHARE = 0.9
WIPED_LEAST_ROWS = 50
"""Recorded sound chains have at most 71 % of rows without open interest (NDX)."""

PARITY_STRIKES = 7
PARITY_LEAST_PAIRS = 5

SPOT_TOLERANCE = 0.005
CARRY_PER_YEAR = 0.05
"""A forward may differ from spot by this share plus this share per year to expiry: a chain whose
first series has a year to live is not suspect because of interest."""

EXPIRED_SHARE = 0.9
NEAR_THE_MONEY = 0.02


@dataclass(frozen=True)
class Chain:
    """The believed rows of one chain as arrays.

    Parameters
    ----------
    underlying : Underlying
        Registry entry.
    columns : SymbolColumns
        Contracts, n rows.
    floats : mapping of str to float64 array, shape (n,)
        Every one of `raw_chain.FLOAT_COLUMNS`, NaN where missing.
    spot : float or None
        Underlying price.
    """

    underlying: Underlying
    columns: SymbolColumns
    floats: Mapping[str, NDArray[np.float64]]
    spot: float | None


def first_expiry_looks_expired(chain: Chain) -> bool:
    """Tell whether the earliest expiry has neither vols near the money nor bids out of it.

    Parameters
    ----------
    chain : Chain
        Believed rows; at least one.

    Returns
    -------
    bool
        Cboe's files made after the close still list the day's series, with vols and bids of 0.
    """
    columns, spot = chain.columns, chain.spot
    is_first = columns.expiries == columns.expiries.min()
    if spot is None:
        near = out = is_first
    else:
        near = is_first & (np.abs(columns.strikes / spot - 1) <= NEAR_THE_MONEY)
        out = is_first & (columns.is_call == (columns.strikes > spot))
    no_vol = ~(chain.floats["vendor_implied_vol"][near] > 0)
    no_bid = ~(chain.floats["bid"][out] > 0)
    return _share(no_vol) >= EXPIRED_SHARE and _share(no_bid) >= EXPIRED_SHARE


def find_doubts(
    chain: Chain, expires_at: NDArray[np.datetime64], *, event_at: datetime
) -> list[Finding]:
    """Return the findings on the contents of a chain.

    Parameters
    ----------
    chain : Chain
        Believed rows.
    expires_at : datetime64[us] array, shape (n,)
        UTC expiry instants of the rows.
    event_at : datetime.datetime
        UTC instant of the quotes.

    Returns
    -------
    list of Finding
        ``spot_missing``, ``zero_bids``, ``wiped_open_interest``, ``spot_disagrees_with_chain``.
    """
    days_left = (expires_at - np.datetime64(event_at.replace(tzinfo=None), "us")) / np.timedelta64(
        1, "D"
    )
    findings = [
        _spot_missing(chain),
        _zero_bids(chain),
        _wiped_open_interest(chain),
        _spot_disagrees(chain, days_left),
    ]
    return [finding for finding in findings if finding is not None]


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if flags.size else 1.0


def _spot_missing(chain: Chain) -> Finding | None:
    if chain.spot is not None:
        return None
    text = "the payload prints no underlying price: to be derived by put-call parity when pricing"
    return Finding("spot_missing", text)


def _zero_bids(chain: Chain) -> Finding | None:
    share = _share(~(chain.floats["bid"] > 0))
    if share < ZERO_BID_SHARE:
        return None
    return Finding("zero_bids", f"{share:.0%} of the rows have no bid: quotes were reset or absent")


def _wiped_open_interest(chain: Chain) -> Finding | None:
    share = _share(~(chain.floats["open_interest_contracts"] > 0))
    volume = float(np.nansum(chain.floats["volume_contracts"]))
    rows = len(chain.columns.strikes)
    if share < WIPED_SHARE or (volume <= 0 and rows <= WIPED_LEAST_ROWS):
        return None
    text = (
        f"{share:.0%} of the {rows} rows have no open interest (volume: {volume:,.0f} contracts): "
        "it was not delivered"
    )
    return Finding("wiped_open_interest", text)


def _spot_disagrees(chain: Chain, days_left: NDArray[np.float64]) -> Finding | None:
    if chain.spot is None or chain.underlying.symbol in FORWARD_SETTLED:
        return None
    found = parity_forward(chain, days_left)
    if found is None:
        return None
    forward, days = found
    gap = forward / chain.spot - 1
    if abs(gap) <= SPOT_TOLERANCE + CARRY_PER_YEAR * days / DAYS_PER_YEAR:
        return None
    text = (
        f"spot is printed as {chain.spot:g}, quotes {days:.1f} days before their expiry imply "
        f"{forward:.2f} ({gap:+.1%}): they are of different instants"
    )
    return Finding("spot_disagrees_with_chain", text)


def parity_forward(chain: Chain, days_left: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return a quick forward by put-call parity from the nearest expiry that can tell.

    Parameters
    ----------
    chain : Chain
        Believed rows; its spot must be known.
    days_left : float64 array, shape (n,)
        Calendar days to each row's expiry; rows with none left are passed over.

    Returns
    -------
    (float, float) or None
        Median of K + C - P over the strikes nearest to spot, undiscounted, and the days to that
        expiry; None when no expiry has enough two-sided pairs.
    """
    bid, ask = chain.floats["bid"], chain.floats["ask"]
    usable = (days_left > 0) & (bid > 0) & (ask > 0)
    for days in np.unique(days_left[usable]):
        here = usable & (days_left == days)
        for code in np.unique(chain.columns.root_codes[here]):
            forwards = _pair_forwards(chain, here & (chain.columns.root_codes == code))
            if forwards.size >= PARITY_LEAST_PAIRS:
                return float(np.median(forwards)), float(days)
    return None


def _pair_forwards(chain: Chain, here: NDArray[np.bool_]) -> NDArray[np.float64]:
    strikes, is_call = chain.columns.strikes, chain.columns.is_call
    middle = (chain.floats["bid"] + chain.floats["ask"]) / 2
    calls, puts = np.flatnonzero(here & is_call), np.flatnonzero(here & ~is_call)
    both, of_call, of_put = np.intersect1d(strikes[calls], strikes[puts], return_indices=True)
    forwards = both + middle[calls[of_call]] - middle[puts[of_put]]
    nearest = np.argsort(np.abs(both - (chain.spot or 0.0)), kind="stable")[:PARITY_STRIKES]
    return np.asarray(forwards[nearest], dtype=np.float64)
